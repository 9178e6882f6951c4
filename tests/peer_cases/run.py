"""Runs cases through every evaluator and says what differs from what is expected."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.compilation import compile_ruleset
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.program_check import check_program
from rewards.ruleset import ProgramRules, Ruleset
from rewards.sale import Sale
from rewards.spending import bounded
from server.evaluator import kernel_evaluator
from tests.peer_cases.answer import Answer, read_answer
from tests.peer_cases.case import Case
from tests.peer_cases.expectation import differences
from tests.peer_cases.facts import facts_of
from tests.peer_cases.naming import in_line_order
from tests.peer_cases.plan import Untranslatable
from tests.peer_cases.program import CHAIN, Translation, translate
from tests.peer_cases.receipt import sale_of
from tests.peer_cases.refunds import Evaluator, returned_of


def _by_reference(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None
) -> Evaluation:
    return evaluate(rules, sale, facts, allocate, only)


EVALUATORS: Mapping[str, Evaluator] = {
    "reference": _by_reference,
    "kernel": kernel_evaluator,
}
"""All of them must meet the expectation, and each other."""


class Result(Struct, frozen=True):
    """What became of a case."""

    case: Case
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything that is asserted holds."""
        return not self.differences


def run_cases(
    cases: Iterable[Case], evaluators: Mapping[str, Evaluator] = EVALUATORS
) -> Iterator[Result]:
    """Run cases one after another."""
    for case in cases:
        yield Result(case, tuple(_run(case, evaluators)))


def _run(case: Case, evaluators: Mapping[str, Evaluator]) -> list[str]:
    """Differences of one case, and words that may be why."""
    found = _differences(case, evaluators)
    if found and case.not_understood:
        found.append(f"not understood: {', '.join(case.not_understood)}")
    return found


def _differences(case: Case, evaluators: Mapping[str, Evaluator]) -> list[str]:
    """What differs of one case; one that cannot be run differs in that."""
    if case.unreadable:
        return [f"not read: {case.unreadable}"]
    try:
        (first, answer), *others = _answers(case, evaluators).items()
        found = differences(case, answer)
    except Untranslatable as reason:
        return [f"not translated: {reason}"]
    except Exception as error:
        # A case that breaks the engine is a failed case, and the others still run.
        return [f"broke: {type(error).__name__}: {error}"]
    told = [f"{name} answers otherwise than {first}" for name, other in others if other != answer]
    return [*found, *told]


def _published(translation: Translation) -> Translation:
    """What a chain could publish: a promotion that is refused gives nothing.

    Raises:
        Untranslatable: what is refused is no promotion.
    """
    program, problems = translation.program, check_program(translation.program)
    refused = {problem.path.partition(".")[0] for problem in problems}
    kept = tuple(
        one for n, one in enumerate(program.promotions) if f"promotions[{n}]" not in refused
    )
    groups = {one.exclusive_group for one in kept}
    less = replace(
        program,
        promotions=kept,
        exclusive_groups=tuple(g for g in program.exclusive_groups if g.group_id in groups),
    )
    if problems and check_program(less):
        raise Untranslatable(f"{problems[0].path} {problems[0].reason}")
    return replace(translation, program=less) if problems else translation


def _answers(spelled: Case, evaluators: Mapping[str, Evaluator]) -> dict[str, Answer]:
    case = in_line_order(spelled)
    translation = _published(translate(case))
    rules = Ruleset(compile_ruleset(1, (translation.program,))).by_chain[CHAIN]
    sale, facts = sale_of(case), facts_of(case, translation)
    answers = {}
    for name, evaluator in evaluators.items():
        said = bounded(evaluator(rules, sale, facts, None), facts)
        returned = returned_of(case, rules, sale, facts, evaluator)
        answers[name] = read_answer(case, translation, rules, sale, said, returned)
    return answers
