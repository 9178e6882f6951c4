"""What is decided beside the lines: prompts and cross-sell, and what differs from a quote."""

import pytest
from msgspec.structs import replace

from rewards.authored import ProductSet
from rewards.decide import (
    Decision,
    Difference,
    DifferenceReason,
    QuotedLine,
    decide_cross_sell,
    decide_lines_and_rewards,
    decide_prompts,
    differences,
    outcome_differs,
    quoted_lines,
)
from rewards.evaluate import Evaluation
from rewards.facts import FieldState
from rewards.ruleset import CompiledLink
from rewards.runs import Adjustment, LineOutcome
from rewards.sale import Capabilities, Line, Outcome, OutcomeKind, Sale
from tests import make

CHANGED, FACTS_CHANGED = DifferenceReason.SALE_CHANGED, DifferenceReason.FACTS_CHANGED
OFF = Adjustment(0, -10, 1_000)


def outcome(amount_minor: int, *adjustments: Adjustment) -> LineOutcome:
    return LineOutcome(amount_minor, (), adjustments)


def evaluation(*outcomes: LineOutcome | None) -> Evaluation:
    return Evaluation(outcomes, (), (), ())


def tea(pieces: int = 2) -> Line:
    return make.line("tea", pieces, 100)


@pytest.mark.parametrize("can_ask", [True, False])
def test_prompts_and_items_are_left_out_at_first(can_ask: bool) -> None:
    rules, sale = make.rules(make.percent()), make.sale(tea())
    can = Capabilities(ask_question=can_ask)
    asked = replace(sale, header=replace(sale.header, capabilities=can))
    said = evaluation(outcome(1))
    decision = decide_lines_and_rewards(rules, asked, make.facts(), lambda *_: said)
    assert decision == Decision(said, None, None, can_ask)


def test_the_evaluator_is_given_what_there_is() -> None:
    rules, sale, facts = make.rules(make.percent()), make.sale(tea()), make.facts()
    seen: list[object] = []

    def evaluate(*given: object) -> Evaluation:
        seen.extend(given)
        return evaluation()

    decide_lines_and_rewards(rules, sale, facts, evaluate)
    assert seen == [rules, sale, facts]


def test_only_a_till_that_can_ask_gets_prompts() -> None:
    rules = make.rules(make.percent(), profile_fields=(make.field("name"),), prompts_max=2)
    mute = Decision(evaluation(), None, None, can_ask=False)
    assert decide_prompts(mute, rules, {}, make.NOON_US) is mute
    asked = decide_prompts(replace(mute, can_ask=True), rules, {}, make.NOON_US)
    assert asked.prompts is not None
    assert [prompt.compiled.field.field_code for prompt in asked.prompts] == ["name"]
    known = {"name": FieldState(make.NOON_US)}
    assert decide_prompts(asked, rules, known, make.NOON_US).prompts == ()


def articles_of(link: CompiledLink) -> tuple[str, ...]:
    return ("milk", "cake")


@pytest.mark.parametrize(("count_max", "skus"), [(0, None), (1, ["milk"]), (2, ["milk", "cake"])])
def test_items_are_shown_as_the_tills_group_says(count_max: int, skus: list[str] | None) -> None:
    link = make.link(basket=ProductSet(brands=("acme",)), segments=("vip",))
    group = make.till_group(cross_sell_max=count_max)
    rules = make.rules(make.percent(), cross_sell_links=(link,), till_groups=(group,))
    customer = make.customer(segments=("vip",))
    facts = make.facts(make.product("tea", brand="acme"), customer=customer)
    before = Decision(evaluation(), None, None)
    decision = decide_cross_sell(before, rules, make.sale(tea()), facts, articles_of)
    assert decision.evaluation == before.evaluation
    assert decision.items is None if skus is None else decision.items is not None
    assert skus is None or [item.sku for item in decision.items or ()] == skus


def test_items_are_for_a_segment_and_its_basket_alone() -> None:
    link = make.link(basket=ProductSet(brands=("acme",)), segments=("vip",))
    rules = make.rules(cross_sell_links=(link,), till_groups=(make.till_group(),))
    before = Decision(evaluation(), None, None)
    acme = make.product("tea", brand="acme")
    other = make.facts(acme, customer=make.customer(segments=("staff",)))
    unknown = make.facts(customer=make.customer(segments=("vip",)))
    for facts in (other, unknown):
        sale = make.sale(tea())
        assert decide_cross_sell(before, rules, sale, facts, articles_of).items == ()


def test_a_token_keeps_the_lines_that_were_lowered() -> None:
    lines = (tea(), make.line("gone", cancelled=True), make.line("salt", 3, 50))
    said = evaluation(outcome(180, OFF), None, outcome(150))
    assert quoted_lines(make.sale(*lines), said) == (("tea", 2_000, 180),)


# --- differences --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quoted", "same_sale", "now", "expected"),
    [
        ((("tea", 2_000, 180),), True, outcome(180, OFF), ()),
        (
            (("tea", 2_000, 180),),
            True,
            outcome(190, OFF),
            (Difference("tea", 180, 190, FACTS_CHANGED, True),),
        ),
        (
            (("tea", 2_000, 180),),
            False,
            outcome(170, OFF),
            (Difference("tea", 180, 170, CHANGED, False),),
        ),
        # The same price of a piece for another quantity is no difference.
        ((("tea", 4_000, 360),), False, outcome(180, OFF), ()),
        (
            (("tea", 1_000, 100),),
            False,
            outcome(180, OFF),
            (Difference("tea", 100, 180, CHANGED, False),),
        ),
        (
            (("tea", 1_000, 80),),
            False,
            outcome(180, OFF),
            (Difference("tea", 80, 180, CHANGED, True),),
        ),
        # What was not changed in the quote was quoted as it was sent.
        ((), True, outcome(190, OFF), (Difference("tea", 200, 190, FACTS_CHANGED, False),)),
        ((), True, outcome(200), ()),
        ((), False, outcome(190, OFF), ()),
    ],
)
def test_a_line_differs_from_its_quote(
    quoted: tuple[QuotedLine, ...],
    same_sale: bool,
    now: LineOutcome,
    expected: tuple[Difference, ...],
) -> None:
    assert differences(make.sale(tea()), evaluation(now), quoted, same_sale) == expected


def test_lines_differ_each_by_itself_past_what_is_cancelled() -> None:
    lines = (make.line("gone", cancelled=True), make.line("salt", 1, 50), tea(), make.line("milk"))
    said = evaluation(None, outcome(50), outcome(190, OFF), outcome(99, OFF))
    quoted = (("tea", 2_000, 180),)
    found = differences(make.sale(*lines), said, quoted, True)
    assert [(one.line_id, one.quoted_minor, one.amount_minor) for one in found] == [
        ("tea", 180, 190),
        ("milk", 100, 99),
    ]
    assert differences(make.sale(*lines), said, quoted, False) == (
        Difference("tea", 180, 190, CHANGED, True),
    )


# --- what the till did --------------------------------------------------------------------------

LINES = (make.line("gone", cancelled=True), tea(), make.line("salt", 1, 50))
SAID = evaluation(None, outcome(180, OFF), outcome(50))


def done(kind: int, *lines: tuple[str, int]) -> Outcome:
    return Outcome(kind, 1, lines)


@pytest.mark.parametrize(
    ("did", "said"),
    [
        (None, ""),
        (done(OutcomeKind.AS_ANSWERED, ("tea", 1)), ""),
        (done(OutcomeKind.UNKNOWN, ("tea", 1)), ""),
        (done(OutcomeKind.NOT_SOLD), "not sold"),
        (done(OutcomeKind.PLAIN), "tea: paid 200, answered 180"),
        (done(OutcomeKind.OTHER, ("tea", 180)), ""),
        (
            done(OutcomeKind.OTHER, ("tea", 181), ("salt", 49)),
            "tea: paid 181, answered 180; salt: paid 49, answered 50",
        ),
    ],
)
def test_what_the_till_did_is_said_where_it_differs(did: Outcome | None, said: str) -> None:
    assert outcome_differs(make.sale(*LINES), SAID, did) == said


def test_ten_lines_that_differ_are_told() -> None:
    lines = tuple(make.line(f"s{n}", 1, 100) for n in range(12))
    sale: Sale = make.sale(*lines)
    said = evaluation(*(outcome(90, OFF) for _ in lines))
    told = outcome_differs(sale, said, done(OutcomeKind.PLAIN)).split("; ")
    assert told == [f"s{n}: paid 100, answered 90" for n in range(10)]
