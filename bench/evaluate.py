"""The promotion engine alone: microseconds a receipt, kernel, twin, and a general rule engine.

Figures include lowering the decoded receipt and raising the result, not the inner loop alone. Every
size has a catalogue of its own, so that an article is named by three promotions whatever their
number, as in a chain whose promotions cover its whole assortment: cost follows candidates. All
cases alternate in rounds of one run, and of each the fastest round counts: what else the machine
does only adds. The middle round is told beside it. Source: DESIGN section 11.
"""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

import zen
from rich.console import Console
from rich.progress import Progress

from bench.shelf import Shelf, one_condition_program, receipts, weekly_program
from ext.kernel import allocate
from rewards.compilation import compile_ruleset
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.program import Program
from rewards.ruleset import ProgramRules, Ruleset
from rewards.sale import Sale
from server.evaluator import kernel_evaluator

Kind = Literal["weekly", "single"]
Receipts = list[tuple[Sale, Facts]]
Evaluate = Callable[[ProgramRules, Sale, Facts], Evaluation]

ROUNDS = 9
LINES = (10, 100, 1_000)
PROMOTIONS = (100, 1_000, 10_000)
BATCH_S = 0.1
"""How long a case is measured in a round, at least."""


class Case(NamedTuple):
    """What is measured: a name, what runs once over all receipts, and how many these are."""

    name: str
    run: Callable[[], None]
    receipts: int


def by_kernel(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
    """Evaluate as the server does by default."""
    return kernel_evaluator(rules, sale, facts)


def by_twin(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
    """Evaluate by the reference."""
    return evaluate(rules, sale, facts, allocate)


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: not used: there is none.
        console: where progress goes.

    Returns:
        Figures by name; `us` holds microseconds a receipt by case, `us_median` those of the middle
        round.
    """
    sizes = (PROMOTIONS[:1], LINES[:2]) if smoke else (PROMOTIONS, LINES)
    cases = list(_cases(*sizes))
    found: dict[str, list[float]] = {case.name: [] for case in cases}
    rounds = 1 if smoke else ROUNDS
    with Progress(console=console) as progress:
        task = progress.add_task("evaluate", total=rounds * len(cases))
        for _ in range(rounds):
            for case in cases:
                found[case.name].append(_measured_us(case))
                progress.advance(task)
    us = {name: round(min(times), 2) for name, times in found.items()}
    middle = {name: round(median(times), 2) for name, times in found.items()}
    return {**({} if smoke else _summary(us)), "us": us, "us_median": middle}


def _summary(us: dict[str, float]) -> dict[str, object]:
    return {
        "us_10_lines_1000_promotions": round(us["kernel 10x1000"], 2),
        "growth_100_to_10000": round(us["kernel 10x10000"] / us["kernel 10x100"], 2),
        "ms_1000_lines_10000_pieces": round(us["kernel 1000x1000"] / 1_000, 3),
        "against_twin": round(us["twin 10x1000"] / us["kernel 10x1000"], 1),
        "against_zen": round(us["zen 10x1000"] / us["kernel single 10x1000"], 1),
    }


def _cases(promotions: tuple[int, ...], lines: tuple[int, ...]) -> list[Case]:
    cases = []
    for count in promotions:
        shelf = Shelf(count)
        rules = _rules(weekly_program(shelf))
        single = _rules(one_condition_program(shelf))
        for line_count in lines:
            sold = receipts(shelf, line_count, seed=line_count)
            size = f"{line_count}x{count}"
            cases.append(_case(f"kernel {size}", by_kernel, rules, sold))
            cases.append(_case(f"twin {size}", by_twin, rules, sold[:2]))
            if line_count == lines[0]:
                cases.append(_case(f"kernel single {size}", by_kernel, single, sold))
                cases.append(_zen_case(f"zen {size}", shelf, sold[:2]))
    return cases


def _rules(program: Program) -> ProgramRules:
    return Ruleset(compile_ruleset(1, (program,))).by_chain[program.chain_id]


def _case(name: str, evaluate: Evaluate, rules: ProgramRules, sold: Receipts) -> Case:
    def run_once() -> None:
        for sale, facts in sold:
            evaluate(rules, sale, facts)

    run_once()
    return Case(name, run_once, len(sold))


def _zen_case(name: str, shelf: Shelf, sold: Receipts) -> Case:
    """The same rules as one decision table, asked for each line of a receipt."""
    decision = zen.ZenEngine().create_decision(json.dumps(_decision_table(shelf)))
    asked = [[{"sku": line.sku} for line in sale.lines] for sale, _ in sold]

    def run_once() -> None:
        for lines in asked:
            for line in lines:
                decision.evaluate(line)

    return Case(name, run_once, len(sold))


def _decision_table(shelf: Shelf) -> dict[str, object]:
    rules = [{"_id": sku, "sku": f'"{sku}"', "rate": "1000"} for sku in shelf.single_skus]
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": "sku", "name": "sku", "field": "sku"}],
        "outputs": [{"id": "rate", "name": "rate", "field": "rate"}],
        "rules": rules,
    }
    place = {"x": 0, "y": 0}
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in", "position": place},
        {
            "id": "table",
            "type": "decisionTableNode",
            "name": "table",
            "position": place,
            "content": table,
        },
        {"id": "out", "type": "outputNode", "name": "out", "position": place},
    ]
    edges = [
        {"id": "first", "type": "edge", "sourceId": "in", "targetId": "table"},
        {"id": "second", "type": "edge", "sourceId": "table", "targetId": "out"},
    ]
    return {"nodes": nodes, "edges": edges}


def _measured_us(case: Case) -> float:
    """Microseconds a receipt."""
    runs, start_s = 0, time.perf_counter()
    elapsed_s = 0.0
    while elapsed_s < BATCH_S:
        case.run()
        runs += 1
        elapsed_s = time.perf_counter() - start_s
    return elapsed_s * 1_000_000 / (runs * case.receipts)
