"""The evaluator of receipts: the compiled kernel, put together with its lowering and raising."""

from collections.abc import Collection
from weakref import WeakKeyDictionary

from ext.engine import Engine
from ext.rows import Lines, values_of
from rewards.evaluate import Evaluation
from rewards.facts import Facts
from rewards.lowering import Lowering
from rewards.raising import Findings, Found, Raising, TraceMemo
from rewards.ruleset import ProgramRules
from rewards.runs import Adjustment, LineOutcome, Run
from rewards.sale import Sale
from rewards.trace import TraceEntry

_LINES = Lines(LineOutcome, Run, Adjustment)


class PreparedProgram:
    """A program as the kernel holds it, with what is remembered while it is in memory."""

    def __init__(self, rules: ProgramRules) -> None:
        """Lower the program and hand its tables to the kernel."""
        program = rules.program
        self._lowering = Lowering(program)
        plan = self._lowering.plan
        self._engine = Engine(plan.tables)
        self._raising = Raising(program, plan, TraceMemo(_as_it_is), _LINES.of, values_of)

    def find(self, sale: Sale, facts: Facts, only: Collection[int] | None = None) -> Findings:
        """Evaluate a receipt, as `rewards.evaluate.evaluate` does; lines are not raised yet."""
        found = Found._make(self._engine.evaluate(*self._lowering.lower(sale, facts, only)))
        return Findings(self._raising, sale, facts, found)


def _as_it_is(entry: TraceEntry) -> TraceEntry:
    return entry


_PREPARED: WeakKeyDictionary[ProgramRules, PreparedProgram] = WeakKeyDictionary()
"""Lives as long as the rules do: a version that leaves memory takes its tables with it."""


def prepare(rules: ProgramRules) -> PreparedProgram:
    """Prepare a program, once; best when a ruleset is loaded, as it takes a while."""
    prepared = _PREPARED.get(rules)
    if prepared is None:
        prepared = _PREPARED[rules] = PreparedProgram(rules)
    return prepared


def kernel_findings(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None = None
) -> Findings:
    """Evaluate a receipt by the kernel for an answer, which reads little of it as values.

    Raises:
        OverflowError: as `kernel_evaluator` does.
    """
    return prepare(rules).find(sale, facts, only)


def kernel_evaluator(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None = None
) -> Evaluation:
    """Evaluate a receipt by the kernel.

    Args:
        rules: the chain's rules at the version in force.
        sale: what was scanned, within all limits.
        facts: everything else that is read.
        only: numbers of the promotions that may take part; without it all.

    Raises:
        OverflowError: a figure does not fit 64 bits, as amounts or rates near their bounds do not.
    """
    return prepare(rules).find(sale, facts, only).raised()
