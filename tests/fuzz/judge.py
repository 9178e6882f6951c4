"""Evaluates the cases of a seed by the kernel and by its twin, and says how they differ."""

from collections.abc import Sequence
from itertools import zip_longest

from msgspec import Struct

from rewards.allocate import allocate
from rewards.evaluate import Evaluation, evaluate
from server.evaluator import kernel_evaluator
from tests.fuzz.case import cases_of
from tests.fuzz.invariant import broken

_LIMIT = 2**63


class Verdict(Struct, frozen=True):
    """What came of a seed.

    Attributes:
        refused: receipts that the kernel refused because a figure does not fit 64 bits.
        findings: one text a disagreement or broken invariant.
    """

    receipts: int
    refused: int
    findings: tuple[str, ...]


def judge(seed: int) -> Verdict:
    """Evaluate all cases of a seed twice and compare."""
    receipts, refused = 0, 0
    findings: list[str] = []
    rules = None
    for name, case in cases_of(seed):
        receipts += 1
        # One program in memory for all receipts: nothing of one may be left for the next.
        rules = rules or case.rules()
        expected = evaluate(rules, case.sale, case.facts, allocate)
        try:
            found = kernel_evaluator(rules, case.sale, case.facts)
        except OverflowError as error:
            refused += 1
            if not _is_too_large(expected):
                findings.append(f"{name}: refused, and the twin's figures fit: {error}")
            continue
        texts = [*differences(expected, found), *broken(case, found)]
        findings += [f"{name}: {text}" for text in texts]
    return Verdict(receipts, refused, tuple(findings))


def _is_too_large(value: object) -> bool:
    """Whether a figure in an evaluation does not fit 64 bits."""
    if isinstance(value, int):
        return not -_LIMIT <= value < _LIMIT
    if isinstance(value, Struct):
        return any(_is_too_large(getattr(value, name)) for name in value.__struct_fields__)
    return isinstance(value, tuple) and any(map(_is_too_large, value))


def differences(expected: Evaluation, found: Evaluation) -> list[str]:
    """Fields in which the kernel's evaluation is not the twin's."""
    texts = []
    for field in expected.__struct_fields__:
        by_twin, by_kernel = getattr(expected, field), getattr(found, field)
        if by_twin != by_kernel:
            texts.append(f"{field}: {_first_difference(by_twin, by_kernel)}")
    return texts


def _first_difference(by_twin: Sequence[object], by_kernel: Sequence[object]) -> str:
    pairs = enumerate(zip_longest(by_twin, by_kernel, fillvalue="nothing"))
    place, (expected, found) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    return f"[{place}] is {found} by the kernel and {expected} by the twin"
