"""Goal: refunds give of a cost back, together, the most that one of them alone would have given.

Goods that another promotion had claimed are free again when that one has lost its ground, so that
more is to be paid for with the cost than before. What has come back is not taken again for that;
but it does not come back twice either.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rewards.benefit import CheapestFree, PercentOff, ReceiptDiscount
from rewards.facts import Facts
from rewards.program import Cost, Policy
from rewards.refund import Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.settling import PointsPart, ReturnRecord, Spending, comebacks_of
from tests import make
from tests.table.test_refund import by_reference

Quantities = dict[str, int]
Bought = tuple[ProgramRules, Sale, Facts]


@st.composite
def sold(draw: st.DrawFn) -> Bought:
    """Sets that claim pieces, and promotions that are paid with points for what these leave."""
    policy = Policy(draw(st.sampled_from(("rewards", "claw_back"))))
    from_minor = draw(st.integers(0, 600))
    rules = make.rules(
        make.promotion(
            "sets",
            CheapestFree(draw(st.integers(2, 4))),
            priority=9,
            policy=policy,
            receipt_amount_from_minor=from_minor,
        ),
        make.promotion(
            "half", PercentOff(5_000), priority=5, cost=Cost("points", 10), policy=policy
        ),
        make.promotion(
            "off",
            ReceiptDiscount(amount_minor=30),
            cost=Cost("points", 7, each=True),
            receipt_amount_from_minor=draw(st.integers(0, 300)),
            stackable=False,
            policy=policy,
        ),
    )
    prices = draw(st.lists(st.integers(1, 200), min_size=1, max_size=3))
    lines = [
        make.line(f"sku{n}", draw(st.integers(1, 5)), minor, line_id=str(n))
        for n, minor in enumerate(prices)
    ]
    balance = draw(st.integers(0, 120))
    known = make.facts(customer=make.customer(balances=(("points", balance),)))
    return rules, make.sale(*lines), known


def _came_back(
    bought: Bought,
    earlier: Sequence[Quantities],
    now: Quantities,
    spendings: list[Spending],
    records: list[ReturnRecord],
) -> dict[str, int]:
    rules, sale, known = bought
    refund = decide_refund(rules, sale, known, earlier, now, by_reference)
    assert isinstance(refund, Refund)
    found = comebacks_of(refund, rules.program, PointsPart(0, 0), spendings, records)
    return {one.spending.promotion_id: one.amount_minor for one in found}


@given(sold(), st.data())
def test_they_give_the_most_that_one_of_them_would(bought: Bought, data: st.DataObject) -> None:
    rules, sale, known = bought
    spendings = [
        Spending(
            rules.program.promotions[one.number].promotion_id,
            one.asset_code,
            ((b"lot", one.amount_minor),),
        )
        for one in by_reference(rules, sale, known, None).spends
    ]
    pieces = [line.line_id for line in sale.lines for _ in range(line.quantity_milli // 1_000)]
    records: list[ReturnRecord] = []
    earlier: list[Quantities] = []
    returned: Quantities = {}
    given_minor: dict[str, int] = {}
    most: dict[str, int] = {}
    for line_id in data.draw(st.permutations(pieces)):
        back = _came_back(bought, earlier, {line_id: 1_000}, spendings, records)
        returned = {**returned, line_id: returned.get(line_id, 0) + 1_000}
        earlier.append(returned)
        records.append(
            ReturnRecord((), given=tuple((key, "points", minor) for key, minor in back.items()))
        )
        at_once = _came_back(bought, [], returned, spendings, [])
        for key, minor in back.items():
            given_minor[key] = given_minor.get(key, 0) + minor
        for key, minor in at_once.items():
            most[key] = max(most.get(key, 0), minor)
        assert given_minor == most
    assert given_minor == {one.promotion_id: one.amount_minor for one in spendings}
