"""The optimiser of a `best` lane: against CP-SAT on mix-and-match baskets, alone on hard ones.

Receipts go the whole way: program, compilation, evaluation by the kernel; CP-SAT gets the problem
that their promotions pose, written without the engine. Baskets are packing problems by themselves.
The kernel's time includes reading the Python integers; CP-SAT's is that of its search alone, with
one worker and the model already built. Source: DESIGN section 11.
"""

import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from bench.baskets import HARD_APPLICATIONS, HARD_KINDS, Problem, basket_problem, hard_problem
from bench.best_receipts import Posed, posed_receipt
from ext import packing
from rewards.compilation import compile_ruleset
from rewards.ruleset import ProgramRules, Ruleset
from server.evaluator import kernel_evaluator

T = TypeVar("T")
Opponent = subprocess.Popen[str]

ROOT = Path(__file__).resolve().parents[1]
PINS = Path(__file__).with_name("cp_sat.txt")
STEPS_MAX = 20_000
"""The default budget of a program."""
CP_SAT_SECONDS_MAX = 60.0
REPEATS = 3
"""Both solve a basket so often, and the fastest counts: neither is measured on cold caches."""


class Size(NamedTuple):
    """How much is measured: baskets, and hard problems of each kind."""

    baskets: int
    hard: int


FULL = Size(baskets=10_000, hard=25)
SMOKE = Size(baskets=50, hard=1)


class Compared(NamedTuple):
    """How often both found the same optimum, and the figures by name."""

    same: int
    figures: dict[str, object]


class Solved(NamedTuple):
    """An answer of the kernel and how long it took."""

    total: int
    bound: int
    steps: int
    us: float


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: of no meaning here.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    size = SMOKE if smoke else FULL
    with _cp_sat(console) as opponent:
        receipts = _receipts(size.baskets, opponent, console)
        baskets = _baskets(size.baskets, opponent, console)
    same = (receipts.same + baskets.same) / (2 * size.baskets)
    figures = {"same_optimum": same, **receipts.figures, **baskets.figures}
    return figures | _hard(size.hard, console)


def _receipts(count: int, opponent: Opponent, console: Console) -> Compared:
    """The engine evaluates receipts; CP-SAT solves what their promotions pose."""
    same, proved, us, ratios = 0, 0, [], []
    for seed in _tracked(range(count), "receipts against CP-SAT", console):
        posed = posed_receipt(seed)
        answer = _ask(opponent, posed.problem)
        assert answer["proved"], "CP-SAT must prove every receipt"
        compiled = compile_ruleset(1, (posed.program,))
        rules = Ruleset(compiled).by_chain[posed.program.chain_id]
        evaluation = kernel_evaluator(rules, posed.sale, posed.facts)
        paid_minor = sum(line.amount_minor for line in evaluation.outcomes if line is not None)
        same += posed.sale.header.amount_minor - paid_minor == answer["total"]
        proved += all(proof.optimal for proof in evaluation.proofs)
        taken_us = _evaluated_us(rules, posed)
        us.append(taken_us)
        ratios.append(answer["solve_us"] / taken_us)
    figures = {
        "receipts": count,
        "receipts_same_optimum": same / count,
        "receipts_proved_share": proved / count,
        "receipts_speedup_median": round(median(ratios), 1),
        "receipts_evaluate_us_median": round(median(us), 1),
    }
    return Compared(same, figures)


def _evaluated_us(rules: ProgramRules, posed: Posed) -> float:
    """Microseconds of the whole evaluation, not of its best lane alone."""
    fastest_us = inf
    for _ in range(REPEATS):
        begun = time.perf_counter()
        kernel_evaluator(rules, posed.sale, posed.facts)
        fastest_us = min(fastest_us, (time.perf_counter() - begun) * 1e6)
    return fastest_us


def _baskets(count: int, opponent: Opponent, console: Console) -> Compared:
    """Both solve the same baskets in turn."""
    solved: list[Solved] = []
    opponents: list[dict[str, Any]] = []
    for seed in _tracked(range(count), "baskets against CP-SAT", console):
        problem = basket_problem(seed)
        opponents.append(_ask(opponent, problem))
        solved.append(_solve(problem))
    pairs = list(zip(solved, opponents, strict=True))
    assert all(other["proved"] for other in opponents), "CP-SAT must prove every basket"
    same = sum(one.total == other["total"] for one, other in pairs)
    figures = {
        "baskets": count,
        "baskets_same_optimum": same / count,
        "proved_share": sum(one.total == one.bound for one in solved) / count,
        "speedup_median": round(median(other["solve_us"] / one.us for one, other in pairs), 1),
        "kernel_us_median": round(median(one.us for one in solved), 1),
        "kernel_us_p99": round(sorted(one.us for one in solved)[count * 99 // 100], 1),
        "cp_sat_us_median": round(median(other["solve_us"] for other in opponents), 1),
        "cp_sat_build_us_median": round(median(other["build_us"] for other in opponents), 1),
    }
    return Compared(same, figures)


def _hard(count: int, console: Console) -> dict[str, object]:
    """Problems of 60 pieces and 1,000 applications, within the default budget."""
    cases = [(kind, seed) for kind in HARD_KINDS for seed in range(count)]
    found: dict[str, list[Solved]] = {kind: [] for kind in HARD_KINDS}
    for kind, seed in _tracked(cases, "hard baskets", console):
        found[kind].append(_solve(hard_problem(kind, seed)))
    every = [one for solved in found.values() for one in solved]
    return {
        "hard": len(every),
        "hard_steps_max": STEPS_MAX,
        "hard_proved_share": _proved_share(every),
        "hard_proved_share_by_kind": {kind: _proved_share(one) for kind, one in found.items()},
        "hard_ms_median": round(median(one.us for one in every) / 1e3, 2),
        "hard_ms_max": round(max(one.us for one in every) / 1e3, 2),
        "hard_worst_bound_gap": max((one.bound - one.total) / one.total for one in every),
    }


def _proved_share(solved: Sequence[Solved]) -> float:
    return round(sum(one.total == one.bound for one in solved) / len(solved), 4)


def _solve(problem: Problem) -> Solved:
    """Solve by the kernel."""
    applications, parties = problem.applications, problem.parties
    uses = [use for one in applications for use in one.uses]
    arrays = (
        problem.capacities,
        [one.value for one in applications],
        [one.times_max for one in applications],
        [one.promotion for one in applications],
        [0, *accumulate(len(one.uses) for one in applications)],
        [number for number, _ in uses],
        [count for _, count in uses],
        [party.times_max for party in parties],
        [party.group for party in parties],
    )
    fastest_us = inf
    for _ in range(REPEATS if len(applications) < HARD_APPLICATIONS else 1):
        begun = time.perf_counter()
        _, total, bound, steps = packing.pack(*arrays, STEPS_MAX)
        fastest_us = min(fastest_us, (time.perf_counter() - begun) * 1e6)
    return Solved(total, bound, steps, fastest_us)


def _ask(opponent: Opponent, problem: Problem) -> dict[str, Any]:
    """Solve by CP-SAT."""
    assert opponent.stdin is not None
    assert opponent.stdout is not None
    applications = [(a.promotion, a.value, a.times_max, a.uses) for a in problem.applications]
    parties = [(party.times_max, party.group) for party in problem.parties]
    asked = {"capacities": problem.capacities, "applications": applications, "parties": parties}
    opponent.stdin.write(json.dumps(asked) + "\n")
    opponent.stdin.flush()
    line = opponent.stdout.readline()
    if not line:
        raise RuntimeError("CP-SAT ended without an answer: see its error above")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def _cp_sat(console: Console) -> Iterator[Opponent]:
    """Start the opponent in its environment."""
    command = [str(_interpreter(console)), "-m", "bench.cp_sat", str(CP_SAT_SECONDS_MAX)]
    command.append(str(REPEATS))
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as opponent:
        yield opponent


def _interpreter(console: Console) -> Path:
    """Python that has OR-tools; installed below our own environment when it is not there yet."""
    place = Path(sys.prefix) / "cp-sat"
    python, stamp = place / "bin" / "python", place / "installed"
    pins = PINS.read_text()
    if not stamp.exists() or stamp.read_text() != pins:
        console.print(f"installing OR-tools into {place.name}, for this benchmark only")
        venv.create(place, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(PINS)], check=True)
        stamp.write_text(pins)
    return python


def _tracked(items: Sequence[T], title: str, console: Console) -> Iterator[T]:
    """Show how far the items are: a bar in a terminal, one line elsewhere."""
    if console.is_terminal:
        yield from track(items, title, console=console)
    else:
        console.print(f"{len(items):,} {title}")
        yield from items
