"""The evaluator of receipts: the compiled kernel, put together with its lowering and raising."""

from collections.abc import Collection
from weakref import WeakKeyDictionary

from ext.engine import Engine
from rewards.evaluate import Evaluation
from rewards.facts import Facts
from rewards.lowering import Lowering
from rewards.raising import Found, TraceMemo, raise_evaluation
from rewards.ruleset import ProgramRules
from rewards.sale import Sale


class PreparedProgram:
    """A program as the kernel holds it, with what is remembered while it is in memory."""

    def __init__(self, rules: ProgramRules) -> None:
        """Lower the program and hand its tables to the kernel."""
        self._program = rules.program
        self._lowering = Lowering(rules.program)
        self._engine = Engine(self._lowering.plan.tables)
        self._memo = TraceMemo()

    def evaluate(self, sale: Sale, facts: Facts, only: Collection[int] | None = None) -> Evaluation:
        """Evaluate a receipt, as `rewards.evaluate.evaluate` does."""
        found = Found._make(self._engine.evaluate(self._lowering.lower(sale, facts, only)))
        plan = self._lowering.plan
        return raise_evaluation(self._program, plan, self._memo, sale, facts, found)


_PREPARED: WeakKeyDictionary[ProgramRules, PreparedProgram] = WeakKeyDictionary()
"""Lives as long as the rules do: a version that leaves memory takes its tables with it."""


def prepare(rules: ProgramRules) -> PreparedProgram:
    """Prepare a program, once; best when a ruleset is loaded, as it takes a while."""
    prepared = _PREPARED.get(rules)
    if prepared is None:
        prepared = _PREPARED[rules] = PreparedProgram(rules)
    return prepared


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
    return prepare(rules).evaluate(sale, facts, only)
