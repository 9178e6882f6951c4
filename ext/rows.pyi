from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

Line = TypeVar("Line")
Run = TypeVar("Run")
Adjustment = TypeVar("Adjustment")
Key = TypeVar("Key")
Value = TypeVar("Value")

def values_of(known: Mapping[Key, Value], keys: Sequence[Key]) -> tuple[Value, ...]: ...

class Lines(Generic[Line, Run, Adjustment]):
    def __init__(
        self,
        line: Callable[[int, tuple[Run, ...], tuple[Adjustment, ...]], Line],
        run: Callable[[int, int, int], Run],
        adjustment: Callable[[int, int, int], Adjustment],
    ) -> None: ...
    def of(self, columns: Sequence[Sequence[int]]) -> tuple[Line | None, ...]: ...
