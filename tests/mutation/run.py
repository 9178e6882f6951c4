"""Runs mutmut in a sandbox, and follows it by the files it writes."""

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.mutation.mutant import DETECTED, Mutant, read_mutants
from tests.mutation.sandbox import environment

CANARY = "rewards.rounding.x_share_bp__mutmut_1"
"""A mutant that any working run kills."""
_LOG_NAME = "mutmut.log"
_LOG_LINES_SHOWN = 40
_POLL_S = 2.0


class RunError(Exception):
    """The run says nothing about the tests: they fail without a mutant, or mutmut does."""


def generate(sandbox: Path, workers: int, console: Console) -> list[Mutant]:
    """Make all mutants, learn which test runs what, and see that the canary is killed."""
    with console.status("making mutants, running the tests without any"):
        _finish(sandbox, _start(sandbox, workers, [CANARY]))
    mutants = read_mutants(sandbox)
    canary = [mutant for mutant in mutants if mutant.name == CANARY]
    if not canary or canary[0].verdict not in DETECTED:
        raise RunError(f"the canary {CANARY} was not killed")
    return mutants


def run_mutants(
    sandbox: Path, names: Sequence[str], workers: int, console: Console
) -> list[Mutant]:
    """Run the tests of these mutants; gives them with what became of them."""
    wanted = frozenset(names)
    process = _start(sandbox, workers, names)
    columns = (TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("", total=len(names))
        while _runs(process):
            judged = _judged(sandbox, wanted)
            alive = sum(mutant.verdict not in DETECTED for mutant in judged)
            progress.update(bar, completed=len(judged), description=f"{alive} not killed")
    _finish(sandbox, process)
    return _judged(sandbox, wanted)


def _judged(sandbox: Path, wanted: Collection[str]) -> list[Mutant]:
    found = (mutant for mutant in read_mutants(sandbox) if mutant.name in wanted)
    return [mutant for mutant in found if mutant.verdict is not None]


def _start(sandbox: Path, workers: int, names: Sequence[str]) -> subprocess.Popen[bytes]:
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(workers), *names]
    with _log(sandbox).open("wb") as log:
        return _open(command, sandbox, log)


def _open(command: list[str], sandbox: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=sandbox,
        env={**os.environ, **environment(sandbox)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def _runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _finish(sandbox: Path, process: subprocess.Popen[bytes]) -> None:
    if process.wait() != 0:
        lines = _log(sandbox).read_text(errors="replace").splitlines()
        raise RunError("\n".join(lines[-_LOG_LINES_SHOWN:]))


def _log(sandbox: Path) -> Path:
    return sandbox / _LOG_NAME
