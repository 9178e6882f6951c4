"""Reads a program from a TOML file; what is wrong is said by file, key and reason."""

import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path

from rewards.program import Program
from server.program_shape import ProgramShapeError, shape_program

FILE_BYTES_MAX = 64 * 1024 * 1024
_TOML_PLACE = re.compile(r"^(?P<reason>.*) \((?:at )?(?P<place>[^()]*)\)$", re.DOTALL)


class ProgramFileError(ValueError):
    """A program file cannot be read.

    Attributes:
        path: the file.
        key: path of the key, for example `promotions[0].gives`; for bad TOML the line and
            column; empty where the whole file is meant.
        reason: what is wrong and what is expected.
    """

    def __init__(self, path: Path, key: str, reason: str) -> None:
        """Keep the three."""
        super().__init__(": ".join(part for part in (str(path), key, reason) if part))
        self.path = path
        self.key = key
        self.reason = reason


def read_program(path: Path) -> Program:
    """Read and decode a program; fields that contradict each other are not looked for.

    Args:
        path: a TOML file of at most 64 MiB.

    Raises:
        ProgramFileError: it cannot be read, is no TOML, or a key is unknown, missing, of the
            wrong type or out of its range.
    """
    try:
        return shape_program(_with_texts(_parse(path, _read_text(path))))
    except ProgramShapeError as error:
        raise ProgramFileError(path, error.problem.path, error.problem.reason) from None
    except RecursionError:
        raise ProgramFileError(path, "", "is nested too deeply") from None


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ProgramFileError(path, "", "is larger than 64 MiB")
        # Editors of Windows put a mark of three bytes before the text.
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise ProgramFileError(path, "", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise ProgramFileError(path, f"byte {error.start}", "is not UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_PLACE.match(str(error))
        place, reason = (match["place"], match["reason"]) if match else ("", str(error))
        raise ProgramFileError(path, place, f"is no TOML: {reason}") from None
    except ValueError:
        # What Python says of a number of thousands of digits; tomllib does not say where it is.
        raise ProgramFileError(path, "", "holds a number that is too long to be read") from None


def _with_texts(node: object) -> object:
    """Spell dates and times that TOML knows as such (written without quotes) as texts."""
    if isinstance(node, dict):
        return {key: _with_texts(child) for key, child in node.items()}
    if isinstance(node, list):
        return [_with_texts(child) for child in node]
    if isinstance(node, date) and not isinstance(node, datetime):
        return node.isoformat()
    if isinstance(node, time) and not (node.second or node.microsecond):
        return node.isoformat("minutes")
    return node
