"""Goal: however a receipt comes back, all its refunds together give what was paid, never more."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.program import Policy
from rewards.refund import Refund, decide_refund
from rewards.refund_price import PaidOut
from rewards.sale import Line, LineAction, Unit
from tests.examples import at_most
from tests.strategies import Case, cases
from tests.table.test_refund import by_reference

CLAWS = Policy(refund="claw_back")


class Step(NamedTuple):
    """A refund, and what all up to it have kept back."""

    refund: Refund
    kept_back_minor: int


def with_claws(case: Case) -> Case:
    """The same, where whatever loses its ground is taken back."""
    promotions = tuple(replace(one, policy=CLAWS) for one in case.program.promotions)
    return case.with_program(promotions=promotions)


def sold_lines(case: Case) -> list[Line]:
    return [
        line for line in case.sale.lines if not line.cancelled and line.action != LineAction.RETURN
    ]


def parts(data: st.DataObject, case: Case) -> list[dict[str, int]]:
    """All lines in some order, each in one or two parts."""
    found: list[dict[str, int]] = []
    for line in data.draw(st.permutations(sold_lines(case))):
        grain_milli = 1_000 if line.unit == Unit.PIECE else 1
        most = line.quantity_milli // grain_milli - 1
        first_milli = grain_milli * data.draw(st.integers(0, most)) if most > 0 else 0
        rest_milli = line.quantity_milli - first_milli
        found += [{line.line_id: milli} for milli in (first_milli, rest_milli) if milli]
    return data.draw(st.permutations(found))


def refunded(case: Case, returns: list[dict[str, int]]) -> list[Step]:
    earlier: list[dict[str, int]] = []
    steps: list[Step] = []
    for now in returns:
        kept_minor = steps[-1].kept_back_minor if steps else 0
        out_minor = sum(step.refund.pay_back_minor for step in steps)
        refund = decide_refund(
            case.rules(),
            case.sale,
            case.facts,
            earlier,
            now,
            by_reference,
            may_refuse=False,
            paid_out=PaidOut(out_minor),
        )
        assert isinstance(refund, Refund)
        kept_minor += refund.printed_minor - refund.pay_back_minor
        steps.append(Step(refund, kept_minor))
        before = earlier[-1] if earlier else {}
        earlier.append({key: before.get(key, 0) + now.get(key, 0) for key in {*before, *now}})
    return steps


@at_most(150)
@given(cases(), st.data())
def test_what_is_kept_back_is_let_go_with_the_rest(case: Case, data: st.DataObject) -> None:
    case = with_claws(case)
    steps = refunded(case, parts(data, case))
    assert all(step.refund.pay_back_minor >= 0 for step in steps)
    assert all(step.kept_back_minor >= 0 for step in steps)
    if steps:
        assert steps[-1].kept_back_minor == 0
        assert steps[-1].refund.short_minor == 0


@at_most(150)
@given(cases(), st.data())
def test_limits_get_back_what_was_used_of_them(case: Case, data: st.DataObject) -> None:
    case = with_claws(case)
    steps = refunded(case, parts(data, case))
    given_minor: dict[int, int] = {}
    sold = case.evaluate()
    for _, outcome in case.lines(sold):
        for one in outcome.adjustments:
            given_minor[one.number] = given_minor.get(one.number, 0) - one.amount_minor
    for grant in sold.grants:
        given_minor[grant.number] = given_minor.get(grant.number, 0) + grant.value_minor
    freed: dict[int, int] = {}
    for step in steps:
        for number, minor in step.refund.freed.items():
            freed[number] = freed.get(number, 0) + minor
    if steps:
        assert {n: minor for n, minor in freed.items() if minor} == {
            n: minor for n, minor in given_minor.items() if minor
        }
