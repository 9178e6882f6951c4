from collections.abc import Sequence

class Engine:
    def __new__(cls, tables: tuple[Sequence[int], ...]) -> Engine: ...
    def evaluate(
        self,
        lines: list[tuple[object, ...]],
        articles: dict[str, tuple[int, ...]],
        lowered: list[int],
    ) -> tuple[Sequence[int], ...]: ...
