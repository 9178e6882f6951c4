"""The rules of style a machine can hold us to: each takes one source and lists what breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import TypeGuard

from tests.tidy.tree import Source

Rule = Callable[[Source], list[str]]

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
COLUMNS_MAX = 100
BANNED_NAMES = frozenset({"base", "common", "helpers", "manager", "utils"})
EXACT_SUFFIXES = ("_minor", "_milli")

# Spelled in two pieces, so that this file does not break its own rules.
_LEFT_UNDONE = re.compile(r"\b(?:FIX" + r"ME|TO" + r"DO|XX" + r"X)\b")
_MACHINE_PATH = re.compile(r"(?<![\w.}>-])/(?:home|opt|root|tmp|Users|work)" + r"(?:/|\b(?!\w))")
_REGISTRY = re.compile(r"pypi\." + r"org|pythonhosted\." + r"org|(?:extra-)?index-" + r"url", re.I)

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(source: Source) -> list[str]:
    """Functions of more than 70 lines, their docstring not counted."""
    return [
        f"{source.path}:{node.lineno} {node.name} has {_function_lines(node)} lines"
        for node in ast.walk(ast.parse(source.text))
        if isinstance(node, _Function) and _function_lines(node) > FUNCTION_LINES_MAX
    ]


def long_files(source: Source) -> list[str]:
    """A file of more than 800 lines."""
    count = len(source.text.splitlines())
    return [f"{source.path} has {count} lines"] if count > FILE_LINES_MAX else []


def wide_lines(source: Source) -> list[str]:
    """Lines of more than 100 columns."""
    return _lines_where(source, lambda line: len(line) > COLUMNS_MAX)


def banned_names(source: Source) -> list[str]:
    """A module or package that is named for nothing in particular."""
    names = [*source.path.parts[:-1], source.path.stem]
    return [f"{source.path}: name it for what it answers" for n in names if n in BANNED_NAMES]


def left_undone(source: Source) -> list[str]:
    """Notes to ourselves that should have become work or an issue."""
    return _lines_where(source, lambda line: _LEFT_UNDONE.search(line) is not None)


def machine_paths(source: Source) -> list[str]:
    """Absolute paths that exist on somebody's machine only."""
    return _lines_where(source, lambda line: _MACHINE_PATH.search(line) is not None)


def registry_addresses(source: Source) -> list[str]:
    """Addresses of package registries: where packages come from is the machine's setting."""
    return _lines_where(source, lambda line: _REGISTRY.search(line) is not None)


def unnamed_divisions(source: Source) -> list[str]:
    """Bare divisions of money or quantity, which hide how they round."""
    return [
        f"{source.path}:{node.lineno} divides an exact amount; use a rule of rewards.rounding"
        for node in ast.walk(ast.parse(source.text))
        if _is_division(node) and any(map(_is_exact_amount, _operand_names(node)))
    ]


def _function_lines(node: _Function) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return lines
    docstring = node.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def _lines_where(source: Source, broken: Callable[[str], bool]) -> list[str]:
    lines = enumerate(source.text.splitlines(), start=1)
    return [f"{source.path}:{number} {line.strip()}" for number, line in lines if broken(line)]


def _is_division(node: ast.AST) -> TypeGuard[ast.BinOp | ast.AugAssign]:
    if not isinstance(node, ast.BinOp | ast.AugAssign):
        return False
    return isinstance(node.op, ast.Div | ast.FloorDiv)


def _operand_names(node: ast.AST) -> Iterator[str]:
    """Names an operand is made of; a call counts by its own name, not by its arguments."""
    if isinstance(node, ast.Call):
        yield from _operand_names(node.func)
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript):
        yield from _operand_names(node.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _operand_names(child)


def _is_exact_amount(name: str) -> bool:
    return name.endswith(EXACT_SUFFIXES)
