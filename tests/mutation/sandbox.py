"""A copy of the tree for mutmut to work in, so that nothing of it lands among the sources."""

import shutil
from pathlib import Path

from tests.mutation import profile

MUTATED = "rewards"
SELECTION = ("table", "property", "differential", "unit", "peer_cases")
"""Folders of tests that say what rewards/ does, and need no database."""
SLOW = ("tests/table/test_sqlstate.py", "tests/unit/test_authoring.py", "tests/unit/test_pos_sim*")
"""Tests among them that start processes and say nothing of rewards/."""

_LEFT_OUT = frozenset({"build", "var", "__pycache__", "mutants"})
_TIMEOUT_FACTOR = 4.0
_TIMEOUT_CONSTANT_S = 5.0


def make_sandbox(root: Path, sandbox: Path) -> None:
    """Copy the tree at `root` to an empty `sandbox`, set up for mutmut."""
    shutil.rmtree(sandbox, ignore_errors=True)
    sandbox.mkdir(parents=True)
    kept = [entry for entry in sorted(root.iterdir()) if _is_kept(entry)]
    for entry in kept:
        if entry.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(entry, sandbox / entry.name, ignore=ignored)
        else:
            shutil.copy2(entry, sandbox / entry.name)
    copied = [entry.name for entry in kept if entry.name not in (MUTATED, "tests")]
    with (sandbox / "pyproject.toml").open("a") as file:
        file.write(_settings(copied))


def environment(sandbox: Path) -> dict[str, str]:
    """Variables a run in the sandbox needs on top of those of the caller."""
    # The stubs must be those of the copy too: an editable installation knows the tree's own ones.
    protos = sandbox / "mutants" / "protos"
    return {"LOYALTY_HYPOTHESIS": profile.NAME, "PYTHONPATH": str(protos)}


def _is_kept(entry: Path) -> bool:
    hidden = entry.name.startswith(".") or entry.name.endswith(".egg-info")
    return not hidden and entry.name not in _LEFT_OUT


def _settings(copied: list[str]) -> str:
    ignored = [f"--ignore-glob={pattern}" for pattern in SLOW]
    arguments = ["-p", profile.__name__, "--timeout=0", *ignored]
    return f"""
[tool.mutmut]
source_paths = {[MUTATED]}
also_copy = {copied}
pytest_add_cli_args = {arguments}
pytest_add_cli_args_test_selection = {[f"tests/{name}" for name in SELECTION]}
timeout_multiplier = {_TIMEOUT_FACTOR}
timeout_constant = {_TIMEOUT_CONSTANT_S}
use_git_change_detection = false
track_dependencies = false
"""
