from collections.abc import Callable
from typing import Any

_Field = tuple[int, int, int, int, int, "Form | None"]

def split(message: bytes, most: int) -> list[tuple[int, int | bytes]] | None: ...

class Form:
    absent: Any
    def __init__(
        self,
        fields: tuple[_Field, ...],
        make: Callable[..., Any] | None = None,
        tail: int = -1,
        absent: Any = None,
    ) -> None: ...
    def read(self, message: bytes) -> Any: ...
