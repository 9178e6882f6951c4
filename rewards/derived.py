"""Values derived from an immutable struct when they are first asked for, and kept beside it.

They are no part of it: neither compared nor stored nor copied. The struct is declared with
`dict=True`. As `functools.cached_property`, which takes a lock each time in Python 3.11.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class derived(Generic[Value]):
    """Derives a value once for each instance, whose own it then is."""

    def __init__(self, derive: Callable[[Any], Value]) -> None:
        """Keep how it is derived.

        Args:
            derive: called with the instance.
        """
        self._derive = derive
        self._name = derive.__name__
        self.__doc__ = derive.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "derived[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "derived[Value] | Value":
        """Derive it: what is kept on an instance goes before this."""
        if instance is None:
            return self
        value = self._derive(instance)
        instance.__dict__[self._name] = value
        return value
