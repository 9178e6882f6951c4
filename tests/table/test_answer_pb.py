"""What an answer says of the sets that may be left out, and the words of a cross-sell item."""

from datetime import UTC
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from loyalty.v1 import answer_pb2 as pb
from rewards.allocate import allocate
from rewards.authored import LocalText, ProductSet
from rewards.benefit import (
    AmountOff,
    Benefit,
    CouponReward,
    DrawEntries,
    Gift,
    GiftCertificate,
    Message,
    MoneyTransfer,
    NthItem,
    PercentOff,
    PointsRate,
    Prize,
    Status,
)
from rewards.condition import (
    Condition,
    Coupon,
    Products,
    ReceiptAmount,
    Segments,
    Weekdays,
    Zones,
)
from rewards.decide import (
    Decision,
    decide_cross_sell,
    decide_lines_and_rewards,
    decide_prompts,
)
from rewards.evaluate import evaluate
from rewards.hints import find_hints
from rewards.ledger import Holdings, OwnedLot
from rewards.product import Catalogue
from rewards.program import CrossSellLink, Promotion, SpendRule
from rewards.sale import Capabilities, Line
from rewards.spending import Purse, Wish, decide_spending
from server.codec.answer_pb import spell_answer
from server.codec.asked import Asked, Skipped, SpendView, Voice
from server.evaluator import kernel_findings
from server.texts import Speaker
from tests import make

EVALUATE = partial(evaluate, allocate=allocate)
CATALOGUE = Catalogue({"spray": make.product("spray", "Spray {750 ml}")})
COMPLETE = (pb.SET_COMPLETENESS_COMPLETE, pb.SET_REASON_UNSPECIFIED)
SWITCHED_OFF = (pb.SET_COMPLETENESS_SKIPPED, pb.SET_REASON_SWITCHED_OFF)
DEADLINE = (pb.SET_COMPLETENESS_SKIPPED, pb.SET_REASON_DEADLINE)


def link(text: str = "{product}?") -> CrossSellLink:
    show = ProductSet(skus=("spray",))
    return CrossSellLink("link", ProductSet(), show, (LocalText("en", text),))


def answered(
    can: Capabilities = make.ABLE,
    cross_sell_max: int = 1,
    skipped: Skipped = Skipped(),  # noqa: B008 - immutable
    text: str = "{product}?",
) -> pb.Answer:
    changes: dict[str, Any] = {
        "profile_fields": (make.field("mobile"),),
        "prompts_max": 1,
        "cross_sell_links": (link(text),),
        "till_groups": (make.till_group(cross_sell_max=cross_sell_max),),
    }
    rules, facts = make.rules(**changes), make.facts()
    sale = make.sale(make.line("shoes"), capabilities=can)
    decision = decide_lines_and_rewards(rules, sale, facts, EVALUATE)
    if not skipped.prompts:
        decision = decide_prompts(decision, rules, {}, make.NOON_US)
    if not skipped.items:
        decision = decide_cross_sell(decision, rules, sale, facts, lambda link: ("spray",))
    speaker = Speaker("en", "RUB", {})
    voice = Voice(speaker, speaker, UTC)
    asked = Asked(
        b"id", rules.program, 1, make.NOON_US, sale, facts, decision, skipped, CATALOGUE, voice
    )
    return pb.Answer.FromString(spell_answer(asked))


def status(of: Any) -> tuple[int, int]:
    return of.status.completeness, of.status.reason


def test_four_sets_are_complete() -> None:
    answer = answered()
    for one in (answer.lines, answer.rewards, answer.prompts, answer.cross_sell):
        assert status(one) == COMPLETE
    assert [prompt.field_code for prompt in answer.prompts.prompts] == ["mobile"]
    assert [item.sku for item in answer.cross_sell.items] == ["spray"]


def test_a_till_that_cannot_ask_is_given_no_prompts() -> None:
    answer = answered(Capabilities(True, True, True, ask_question=False))
    assert status(answer.prompts) == SWITCHED_OFF
    assert not answer.prompts.prompts
    assert status(answer.cross_sell) == COMPLETE


def test_a_till_group_without_cross_sell_says_so() -> None:
    answer = answered(cross_sell_max=0)
    assert status(answer.cross_sell) == SWITCHED_OFF
    assert not answer.cross_sell.items
    assert status(answer.prompts) == COMPLETE


def test_another_reason_comes_before_being_switched_off() -> None:
    skipped = Skipped(prompts=pb.SET_REASON_DEADLINE, items=pb.SET_REASON_DEADLINE)
    answer = answered(Capabilities(), 0, skipped)
    assert status(answer.prompts) == status(answer.cross_sell) == DEADLINE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("For wet days: {product}", "For wet days: Spray {750 ml}"),
        ("{{{product}}}, {{}}", "{Spray {750 ml}}, {}"),
        ("As ever", "As ever"),
    ],
)
def test_what_is_said_of_an_item(text: str, said: str) -> None:
    assert [item.text for item in answered(text=text).cross_sell.items] == [said]


# --- what promotions give -----------------------------------------------------------------------


def given(
    *promotions: Promotion,
    lines: tuple[Line, ...] = (),
    language: str = "ru",
    may_add: bool = True,
    **changes: Any,
) -> pb.Answer:
    """The answer to a receipt under some promotions."""
    rules, facts = make.rules(*promotions), make.facts()
    sale = make.sale(*(lines or (make.line("tea", pieces=2, price_minor=5_000),)), **changes)
    decision = decide_lines_and_rewards(rules, sale, facts, EVALUATE)
    speaker = Speaker(language, "RUB", {})
    hints = find_hints(rules, sale, facts, decision.evaluation)
    asked = Asked(
        b"id",
        rules.program,
        1,
        make.NOON_US,
        sale,
        facts,
        decision,
        Skipped(),
        CATALOGUE,
        Voice(speaker, speaker, UTC),
        hints,
        may_add=may_add,
    )
    return pb.Answer.FromString(spell_answer(asked))


OTHER_REWARDS: dict[str, tuple[Benefit, tuple[Any, ...], str, str]] = {
    "coupons": (
        CouponReward("spring", 7, 2),
        (pb.REWARD_KIND_COUPON, "spring", 2, 0),
        "p: 2 купона",
        "Вы получаете: 2 купона",
    ),
    "certificate": (
        GiftCertificate(50_000),
        (pb.REWARD_KIND_GIFT_CERTIFICATE, "", 0, 50_000),
        "p: подарочный сертификат на 500,00\xa0₽",
        "Подарочный сертификат: 500,00\xa0₽",
    ),
    "prize": (
        Prize("toys"),
        (pb.REWARD_KIND_PRIZE, "toys", 1, 0),
        "p: 1 приз",
        "Вы получаете: 1 приз",
    ),
    "status": (
        Status("gold"),
        (pb.REWARD_KIND_STATUS, "gold", 0, 0),
        "p: статус «gold»",
        "Ваш статус: gold",
    ),
    "draw entries": (
        DrawEntries("car", 5),
        (pb.REWARD_KIND_DRAW_ENTRY, "car", 5, 0),
        "p: 5 шансов в розыгрыше",
        "Вы участвуете в розыгрыше: 5 шансов",
    ),
    "money": (
        MoneyTransfer("phone", rate_bp=100),
        (pb.REWARD_KIND_MONEY_TRANSFER, "phone", 0, 100),
        "p: 1,00\xa0₽ на ваш счёт",
        "На ваш счёт: 1,00\xa0₽",
    ),
}


@pytest.mark.parametrize(
    ("benefit", "fields", "text", "printed"), OTHER_REWARDS.values(), ids=OTHER_REWARDS
)
def test_a_reward_that_is_no_asset_is_given_and_printed(
    benefit: Benefit, fields: tuple[Any, ...], text: str, printed: str
) -> None:
    answer = given(make.promotion("p", benefit))
    (reward,) = answer.rewards.rewards
    assert (reward.kind, reward.detail_code, reward.count, reward.amount_minor) == fields
    assert (reward.asset_code, reward.active_from_us) == ("", make.NOON_US)
    assert reward.text == text
    slip = [line.text for line in answer.texts if line.place == pb.TEXT_PLACE_SLIP]
    assert slip[0] == printed
    assert not answer.rewards.balances


def test_rewards_of_one_promotion_have_ids_of_their_own() -> None:
    gives = (PointsRate("points", 500), CouponReward("spring", 7))
    answer = given(make.promotion("p", gives))
    ids = {reward.id for reward in answer.rewards.rewards}
    assert len(ids) == len(answer.rewards.rewards) == 2
    assert [balance.asset_code for balance in answer.rewards.balances] == ["points"]


def test_messages_stand_where_they_belong_and_questions_are_acknowledged() -> None:
    def message(text: str, place: Any, is_question: bool = False) -> Message:
        return Message((LocalText("ru", text),), place, is_question)

    answer = given(
        make.promotion(
            "p",
            (
                message("Спросите паспорт", "cashier", is_question=True),
                message("Добро пожаловать", "customer_display"),
                message("До встречи", "slip"),
            ),
        )
    )
    assert [(text.text, text.place, text.must_acknowledge) for text in answer.texts] == [
        ("Спросите паспорт", pb.TEXT_PLACE_CASHIER, True),
        ("Добро пожаловать", pb.TEXT_PLACE_CUSTOMER_DISPLAY, False),
        ("До встречи", pb.TEXT_PLACE_SLIP, False),
    ]


def test_gifts_to_choose_share_a_group_and_say_what_they_cost() -> None:
    gift = Gift(("spray", "laces"), price_minor=100, choice=True)
    answer = given(make.promotion("p", gift))
    pieces = answer.lines.to_add
    assert [(piece.sku, piece.line_id, piece.amount_minor) for piece in pieces] == [
        ("laces", "", 100),
        ("spray", "", 100),
    ]
    assert len({piece.choice_group for piece in pieces}) == 1
    assert pieces[0].choice_group
    assert len({piece.id for piece in pieces}) == 2
    assert pieces[0].text == "На выбор — laces, 1 шт. за 1,00\xa0₽: p"
    assert pieces[1].text == "На выбор — Spray {750 ml}, 1 шт. за 1,00\xa0₽: p"


def test_a_sale_has_no_pieces_to_add() -> None:
    gift = make.promotion("p", Gift(("spray",)))
    assert given(gift).lines.to_add
    assert not given(gift, may_add=False).lines.to_add


def coupon(*conditions: Condition, **keys: Any) -> Promotion:
    return make.promotion("p", conditions=(Coupon(("TEA",)), *conditions), **keys)


COUPONS: dict[str, tuple[Promotion, str]] = {
    "applied": (coupon(), "Купон tea: p"),
    "short of money": (
        coupon(ReceiptAmount(12_000)),
        "Купон tea: не хватает покупок ещё на 20,00\xa0₽",
    ),
    "short of pieces": (
        coupon(Products(quantity_from_milli=5_000)),
        "Купон tea: не хватает ещё 3 шт.",
    ),
    "another customer": (coupon(Segments(("vip",))), "Купон tea не для этого покупателя"),
    "another day": (coupon(Weekdays((1,))), "Купон tea сейчас не действует"),
    "another shop": (coupon(Zones(("north",))), "Купон tea здесь не действует"),
    "none of its goods": (
        coupon(products=ProductSet(skus=("cake",))),
        "Купон tea: нет подходящих товаров",
    ),
}


@pytest.mark.parametrize(("promotion", "text"), COUPONS.values(), ids=COUPONS)
def test_a_coupon_says_what_became_of_it(promotion: Promotion, text: str) -> None:
    answer = given(promotion, coupon_codes=("tea",))
    assert [(one.code, one.text) for one in answer.coupons] == [("tea", text)]


def test_each_of_several_coupons_that_are_asked_for_together_says_what_became_of_it() -> None:
    both = coupon(Coupon(("cup",)))
    answer = given(both, coupon_codes=("cup", "tea"))
    assert [one.text for one in answer.coupons] == ["Купон cup: p", "Купон tea: p"]
    answer = given(both, coupon_codes=("cup",))
    assert [one.text for one in answer.coupons] == ["Купон cup: условия не выполнены"]


def test_a_coupon_says_what_it_lost_to() -> None:
    best = make.promotion("best", priority=9)
    answer = given(best, coupon(), coupon_codes=("TEA", "no"))
    assert [one.text for one in answer.coupons] == [
        "Купон TEA не действует вместе с акцией «best»",
        "Купон no не найден",
    ]


def test_the_kind_of_an_adjustment_is_that_of_the_first_price_benefit() -> None:
    promotion = make.promotion("p", (AmountOff(100), PercentOff(1_000)))
    (line,) = given(promotion).lines.lines
    assert {one.kind for one in line.adjustments} == {pb.ADJUSTMENT_KIND_AMOUNT_OFF}


def test_hints_are_worded_for_the_cashier() -> None:
    near = make.promotion("near", conditions=(ReceiptAmount(10_500),))
    third = make.promotion("third", NthItem(3, 5_000), priority=3, stackable=True)
    answer = given(near, third, language="en")
    assert [(hint.promotion_id, hint.line_id, hint.text) for hint in answer.hints] == [
        ("third", "tea", "1 more, and you get third"),
        ("near", "", "Buy for RUB5.00 more, and you get near"),
    ]


# --- what is spent and what is given out --------------------------------------------------------


def spent_on(evaluator: Any, *promotions: Promotion, codes: Any = (), **changes: Any) -> pb.Answer:
    """The answer to two lines of tea with a cancelled one between them, 30 points spent."""
    rule = SpendRule("points", 1, 100, share_max_bp=5_000)
    rules, facts = make.rules(*promotions, spend_rules=(rule,)), make.facts()
    lines = [make.line("tea", 1, 5_000, line_id=n, cancelled=n == "2") for n in "123"]
    sale = make.sale(*lines, **changes)
    purse = Purse(Holdings((OwnedLot(b"lot", "points", 50, 50),), ()), {}, make.NOON_US, b"")
    spent = decide_spending(rules, sale, facts, (Wish("points", 30),), purse, evaluator)
    decision = Decision(spent.evaluation, None, None, spends=spent.facts.spends)
    speaker = Speaker("en", "RUB", {})
    asked = Asked(
        b"id",
        rules.program,
        1,
        make.NOON_US,
        sale,
        spent.facts,
        decision,
        Skipped(),
        CATALOGUE,
        Voice(speaker, speaker, UTC),
        codes=dict(codes),
        spend=SpendView(spent.offers, {}, {"points": 9}, is_offered=True),
    )
    return pb.Answer.FromString(spell_answer(asked))


@pytest.mark.parametrize("evaluator", [EVALUATE, kernel_findings])
def test_what_is_spent_follows_what_promotions_take_off_a_line(evaluator: Any) -> None:
    answer = spent_on(evaluator, make.percent(1_000))
    kinds = (pb.ADJUSTMENT_KIND_PERCENT_OFF, pb.ADJUSTMENT_KIND_SPENT)
    for line, line_id in zip(answer.lines.lines, "13", strict=True):
        off, spent = line.adjustments
        assert (line.line_id, line.amount_minor) == (line_id, 3_000)
        assert sum(run.amount_minor for run in line.runs) == 3_000
        assert (off.kind, spent.kind) == kinds
        assert (off.promotion_id, spent.promotion_id) == ("percent", "")
        assert (off.asset_code, spent.asset_code) == ("", "points")
        assert (off.amount_minor, spent.amount_minor) == (-500, -1_500)
        assert spent.quantity_milli == 1_000
        assert spent.text
    assert answer.lines.totals.adjustments_minor == -4_000


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("points", "12.34"), ("stamps", "12.34"), ("gift_money", "RUB"), ("deferred_discount", "RUB")],
)
def test_a_balance_of_each_kind_of_asset_is_told(kind: str, shown: str) -> None:
    rules = make.rules(assets=(make.asset("own", kind, decimals=2),))
    customer = replace(make.facts().customer, balances=(("own", 1_234),))
    facts = replace(make.facts(), customer=customer)
    sale = make.sale(make.line("tea"))
    decision = decide_lines_and_rewards(rules, sale, facts, EVALUATE)
    speaker = Speaker("en", "RUB", {})
    voice = Voice(speaker, speaker, UTC)
    asked = Asked(
        b"id", rules.program, 1, make.NOON_US, sale, facts, decision, Skipped(), CATALOGUE, voice
    )
    answer = pb.Answer.FromString(spell_answer(asked))
    told = [(one.asset_code, one.amount_minor) for one in answer.rewards.balances]
    assert told == [("own", 1_234)]
    assert any(shown in text.text for text in answer.texts)


def test_what_is_spent_is_said_and_leaves_the_balance() -> None:
    answer = spent_on(EVALUATE, make.percent(1_000))
    (shown,), (spent,) = answer.spendable, answer.spent
    assert (shown.usable_minor, shown.most_minor, shown.most_value_minor) == (50, 45, 4_500)
    assert (spent.amount_minor, spent.value_minor, spent.held_until_us) == (30, 3_000, 9)
    assert (shown.spent_as, spent.spent_as) == (pb.SPENT_AS_DISCOUNT,) * 2
    assert [(one.asset_code, one.amount_minor) for one in answer.rewards.balances] == [
        ("points", -30)
    ]
    saved, *_ = [text for text in answer.texts if text.style == pb.TEXT_STYLE_EMPHASIS]
    assert "RUB10.00" in saved.text, "points spent are no saving"


@pytest.mark.parametrize(
    ("can_print_qr", "styles"),
    [
        (True, [pb.TEXT_STYLE_QR, pb.TEXT_STYLE_NORMAL]),
        (False, [pb.TEXT_STYLE_BARCODE]),
    ],
)
def test_codes_are_printed_behind_what_they_are_of(can_print_qr: bool, styles: list[int]) -> None:
    promotion = make.promotion("p", CouponReward("spring", 7, 2))
    can = replace(make.ABLE, print_qr=can_print_qr)
    codes = (((0, 0), ("AA", "BB")),)
    answer = spent_on(EVALUATE, promotion, codes=codes, capabilities=can)
    (reward,) = answer.rewards.rewards
    assert list(reward.codes) == ["AA", "BB"]
    printed = [one for one in answer.texts if one.place == pb.TEXT_PLACE_COUPON_SLIP]
    assert [(one.text, one.style) for one in printed] == [
        (code, style) for code in ("AA", "BB") for style in styles
    ]
    places = [one.place for one in answer.texts]
    first = places.index(pb.TEXT_PLACE_COUPON_SLIP)
    assert places[first - 1] == places[first + len(printed)] == pb.TEXT_PLACE_SLIP
