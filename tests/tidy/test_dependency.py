"""Every dependency is pinned by name and version only, and says in the docs why it is here."""

import re
import tomllib
from typing import Any

from tests.tidy.tree import ROOT

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.+!]*)")
_DOCUMENTED = re.compile(r"^\* \*\*([A-Za-z0-9._-]+)\*\*: \S", re.MULTILINE)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirement_name(requirement: str) -> str:
    return _normalized(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def _declared() -> set[str]:
    """The names pyproject.toml asks for: to build, to run and to develop."""
    pyproject: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    groups = [pyproject["build-system"]["requires"], project["dependencies"], *extras]
    return {_requirement_name(requirement) for group in groups for requirement in group}


def _constraint_lines() -> list[str]:
    return (ROOT / "constraints.txt").read_text().splitlines()


def test_constraints_are_names_and_versions_only() -> None:
    assert [line for line in _constraint_lines() if not _PIN.fullmatch(line)] == []


def test_every_dependency_is_pinned_once() -> None:
    pinned = [_normalized(line.partition("==")[0]) for line in _constraint_lines()]
    assert len(pinned) == len(set(pinned))
    assert _declared() <= set(pinned)


def test_every_dependency_says_why_it_is_here() -> None:
    documented = _DOCUMENTED.findall((ROOT / "docs" / "dependencies.md").read_text())
    assert sorted(map(_normalized, documented)) == sorted(_declared())
