"""Evaluates the cases of a seed by the kernel and by its twin, and says how they differ."""

import traceback
from collections.abc import Sequence
from itertools import zip_longest

from msgspec import Struct

from rewards.allocate import allocate
from rewards.evaluate import Evaluation, evaluate
from rewards.ruleset import ProgramRules
from server.evaluator import kernel_evaluator
from tests.fuzz.case import cases_of
from tests.fuzz.invariant import broken
from tests.strategies import Case

_LIMIT = 2**63


class Finding(Struct, frozen=True):
    """Something wrong with a case.

    Attributes:
        kind: what, in a word; the same for the same fault in a smaller case.
    """

    change: str
    case: Case
    kind: str
    text: str


class Verdict(Struct, frozen=True):
    """What came of a seed.

    Attributes:
        refused: receipts that the kernel refused because a figure does not fit 64 bits.
    """

    receipts: int
    refused: int
    findings: tuple[Finding, ...]


class _Refused(Exception):
    """A figure does not fit 64 bits, says the kernel, and the twin's figures do not either."""


def judge(seed: int) -> Verdict:
    """Evaluate all cases of a seed twice and compare."""
    receipts, refused = 0, 0
    findings: list[Finding] = []
    rules = None
    for change, case in cases_of(seed):
        receipts += 1
        # One program in memory for all receipts: nothing of one may be left for the next.
        rules = rules or case.rules()
        try:
            found = faults(rules, case)
        except _Refused:
            refused += 1
        else:
            findings += [Finding(change, case, kind, text) for kind, text in found]
    return Verdict(receipts, refused, tuple(findings))


def complaint(case: Case) -> str:
    """Kind of the first fault of a case; empty if it has none."""
    try:
        found = faults(case.rules(), case)
    except _Refused:
        return ""
    return found[0][0] if found else ""


def faults(rules: ProgramRules, case: Case) -> list[tuple[str, str]]:
    """Kind and text of everything that is wrong with a case."""
    try:
        expected = evaluate(rules, case.sale, case.facts, allocate)
    except OverflowError:
        return _refused_by_both(rules, case)
    except Exception:
        return [("twin raises", f"the twin raises:\n{traceback.format_exc()}")]
    try:
        found = kernel_evaluator(rules, case.sale, case.facts)
    except OverflowError as error:
        if _is_too_large(expected):
            raise _Refused from error
        return [("kernel refuses", f"refused, and the twin's figures fit: {error}")]
    except Exception:
        return [("kernel raises", f"the kernel raises:\n{traceback.format_exc()}")]
    return [*differences(expected, found), *(("broken", text) for text in broken(case, found))]


def _refused_by_both(rules: ProgramRules, case: Case) -> list[tuple[str, str]]:
    """Of a receipt that the twin refuses as too large: whether the kernel does, too."""
    try:
        kernel_evaluator(rules, case.sale, case.facts)
    except OverflowError as error:
        raise _Refused from error
    return [("kernel answers", "the twin refuses it as too large for 64 bits")]


def differences(expected: Evaluation, found: Evaluation) -> list[tuple[str, str]]:
    """Fields in which the kernel's evaluation is not the twin's, with what they say."""
    texts = []
    for field in expected.__struct_fields__:
        by_twin, by_kernel = getattr(expected, field), getattr(found, field)
        if by_twin != by_kernel:
            texts.append((field, f"{field}{_first_difference(by_twin, by_kernel)}"))
    return texts


def _is_too_large(value: object) -> bool:
    """Whether a figure in an evaluation does not fit 64 bits."""
    if isinstance(value, int):
        return not -_LIMIT <= value < _LIMIT
    if isinstance(value, Struct):
        return any(_is_too_large(getattr(value, name)) for name in value.__struct_fields__)
    return isinstance(value, tuple) and any(map(_is_too_large, value))


def _first_difference(by_twin: Sequence[object], by_kernel: Sequence[object]) -> str:
    pairs = enumerate(zip_longest(by_twin, by_kernel, fillvalue="nothing"))
    place, (expected, found) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    return f"[{place}] is {found} by the kernel and {expected} by the twin"
