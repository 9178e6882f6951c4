"""Goal: what is spent is exact, within rules and purse, and never below floors."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.ledger import Hold, Holdings, OwnedLot
from rewards.limits import MILLI
from rewards.payable import items_of
from rewards.program import ProductClass, SpendRule
from rewards.ruleset import ProgramRules
from rewards.sale import Capabilities, Line, LineKind, Sale, TenderKind, Unit
from rewards.spending import Purse, Wish, as_sold, decide_spending
from tests import make

ABLE, PLAIN = make.ABLE, Capabilities(False, False, False, False, False, 0)


def reference(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
    return evaluate(rules, sale, facts, allocate)


def purse(usable_minor: int, *holds: Hold) -> Purse:
    lot = OwnedLot(b"lot", "points", max(usable_minor, 1), usable_minor)
    return Purse(Holdings((lot,), holds), {}, make.NOON_US, b"hold")


LINES = st.lists(
    st.one_of(
        st.builds(
            lambda pieces, price, odd, floor, flag: make.line(
                "tea",
                pieces,
                price,
                amount_minor=pieces * price + odd,
                minimum_amount_minor=min(floor, pieces * price),
                no_spend=flag,
            ),
            st.integers(1, 7),
            st.integers(1, 300),
            st.integers(0, 3),
            st.sampled_from([0, 0, 0, 50]),
            st.booleans(),
        ),
        st.builds(make.line, st.sampled_from(["beer", "bread"]), st.integers(1, 5)),
        st.builds(make.weighed, quantity_milli=st.integers(100, 3_000)),
        st.just(make.line("card", kind=LineKind.GIFT_CARD)),
        st.just(make.line("smoke", 2, 150)),
    ),
    min_size=1,
    max_size=6,
)
RULES = st.builds(
    SpendRule,
    st.just("points"),
    st.integers(1, 50),
    st.integers(1, 90),
    st.just("discount"),
    st.integers(1, 10_000),
    st.integers(0, 300),
)
CLASSES = (
    ProductClass(ProductSet(skus=("beer",)), floor_bp=3_333),
    ProductClass(ProductSet(skus=("smoke",)), no_discount=True),
)


def numbered(lines: list[Line]) -> tuple[Line, ...]:
    return tuple(replace(line, line_id=f"{n:02}") for n, line in enumerate(lines))


def floor_of(rules: ProgramRules, made: Sale, known: Facts) -> list[tuple[list[int], int]]:
    """Of each item its lines and what all of them together never go below."""
    found = []
    for item in items_of(rules, made, known):
        item.set_floor(made.lines)
        found.append((item.lines, item.floor_minor))
    return found


@given(LINES, RULES, st.integers(0, 2_000), st.integers(0, 2_000), st.booleans(), st.booleans())
def test_what_is_spent_is_exact(
    lines: list[Line], rule: SpendRule, asked: int, owned: int, able: bool, by_fact: bool
) -> None:
    can = ABLE if able else PLAIN
    made = make.sale(*numbered(lines), capabilities=can)
    rules = make.rules(
        make.percent(1_000), make.points(), spend_rules=(rule,), product_classes=CLASSES
    )
    known = make.facts(make.product("tea"), make.product("beer"))
    wishes = (Wish("points", asked),) if asked else ()
    decided = decide_spending(rules, made, known, wishes, purse(owned), reference, by_fact)
    plain = reference(rules, made, known)
    spent_minor = 0
    for line, was, now in zip(made.lines, plain.outcomes, decided.evaluation.outcomes, strict=True):
        assert was is not None
        assert now is not None
        part = sum(minor for _, minor in now.spent)
        spent_minor += part
        assert now.amount_minor == was.amount_minor - part >= 0
        assert sum(run.amount_minor for run in now.runs) == now.amount_minor
        if line.unit == Unit.PIECE:
            assert all(
                run.quantity_milli * run.unit_price_minor == run.amount_minor * MILLI
                for run in now.runs
            )
        if part:
            assert not line.no_spend
            assert line.kind == LineKind.GOODS
            assert line.sku != "smoke"
            assert able or line.unit != Unit.PIECE or len(now.runs) == 1
    for places, floor_minor in floor_of(rules, made, known):
        outcomes = [decided.evaluation.outcomes[place] for place in places]
        paid = sum(one.amount_minor for one in outcomes if one is not None)
        assert paid >= floor_minor or not any(one.spent for one in outcomes if one)
    (offer,) = decided.offers
    for spent in decided.facts.spends:
        assert spent.amount_minor % rule.step_minor == 0
        steps = spent.amount_minor // rule.step_minor
        assert spent.value_minor == steps * rule.value_minor == spent_minor
        assert spent.amount_minor <= asked
        if not by_fact:
            assert spent.amount_minor <= min(owned, offer.most_minor)
            assert spent.amount_minor >= rule.minimum_minor
    if not decided.facts.spends:
        assert not spent_minor
    assert offer.most_minor <= owned
    again = as_sold(rules, made, decided.facts, reference)
    assert again == decided.evaluation


@given(LINES, RULES, st.integers(1, 2_000), st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_nothing(
    lines: list[Line], rule: SpendRule, owned: int, random: Any
) -> None:
    rules = make.rules(make.points(), spend_rules=(rule,), product_classes=CLASSES)
    known, own = make.facts(make.product("tea")), purse(owned)
    ordered = numbered(lines)
    shuffled = list(ordered)
    random.shuffle(shuffled)
    found = []
    for order in (ordered, tuple(shuffled)):
        made = make.sale(*order)
        decided = decide_spending(rules, made, known, (Wish("points", 10**9),), own, reference)
        amounts = {
            line.line_id: one.amount_minor
            for line, one in zip(order, decided.evaluation.outcomes, strict=True)
            if one is not None
        }
        found.append((amounts, decided.facts.spends, decided.evaluation.grants))
    assert found[0] == found[1]


@given(st.integers(1, 5_000), st.integers(0, 9_000), st.integers(0, 9_000))
def test_points_earn_nothing_on_what_points_pay(price: int, asked: int, owned: int) -> None:
    """A discount and a tender of the same value leave the same to earn on."""
    step = SpendRule("points", 1, 1)
    made = make.sale(make.line("tea", 2, price))
    rules = make.rules(make.points(), spend_rules=(step,))
    wishes = (Wish("points", asked),) if asked else ()
    decided = decide_spending(rules, made, make.facts(), wishes, purse(owned), reference)
    value_minor = sum(one.value_minor for one in decided.facts.spends)
    assert value_minor == min(asked, owned, 2 * price)
    tender = make.tender(TenderKind.POINTS, value_minor)
    paid = reference(rules, make.sale(*made.lines, tenders=(tender,)), make.facts())
    assert decided.evaluation.grants == paid.grants
