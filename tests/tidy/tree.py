"""Which files are ours to keep tidy: all text in the tree that neither a tool nor protoc wrote."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BUILT_DIRECTORIES = frozenset({"build", "var", "__pycache__"})
HIDDEN_KEPT = frozenset({".ci", ".gitignore"})
GENERATED_MARKS = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
CODE_SUFFIXES = frozenset({".py", ".pyi", ".pyx", ".pxd", ".pxi", ".proto", ".sql"})


class Source(NamedTuple):
    """A text file of ours: its path below the root, and what it holds."""

    path: Path
    text: str

    @property
    def is_code(self) -> bool:
        """Whether the limits of length and width bind it."""
        return self.path.suffix in CODE_SUFFIXES or self.path.name in ("Makefile", "run")


def is_generated(path: Path) -> bool:
    """Whether protoc writes this file."""
    return path.name.endswith(GENERATED_MARKS)


@cache
def sources() -> tuple[Source, ...]:
    """Read every text file of ours, generated stubs excluded, in the order of their paths."""
    return tuple(_read(sorted(_walk(ROOT))))


def python_sources() -> list[Source]:
    """Read the Python modules of ours, tests included."""
    return [source for source in sources() if source.path.suffix == ".py"]


def _walk(directory: Path) -> Iterator[Path]:
    for entry in directory.iterdir():
        hidden = entry.name.startswith(".") and entry.name not in HIDDEN_KEPT
        if hidden or entry.name in BUILT_DIRECTORIES or entry.name.endswith(".egg-info"):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.is_file() and not is_generated(entry):
            yield entry


def _read(paths: list[Path]) -> Iterator[Source]:
    for path in paths:
        content = path.read_bytes()
        if path.suffix != ".so" and b"\0" not in content:
            yield Source(path.relative_to(ROOT), content.decode())
