"""Goal: which coupons a receipt uses, what it gives out, what cards move; by both twins."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from rewards.benefit import CouponReward, GiftCertificate
from rewards.condition import Coupon
from rewards.coupon_use import coupons_used, given_out, with_coupons
from rewards.earn_bound import within_balances
from rewards.evaluate import CouponState, Evaluation
from rewards.facts import AssetWindow, Facts, Instrument, InstrumentState
from rewards.gift_card import (
    Card,
    CardFault,
    CardOperation,
    CardUse,
    card_uses,
    settle_cards,
    shown_cards,
)
from rewards.instrument import (
    account_id_of,
    coupon_asset,
    coupon_of,
    gift_card_of,
    made_code,
    own_coupons,
    spelled,
    state_of,
)
from rewards.journal import Journal
from rewards.ledger import NO_HOLDINGS, Book, Hold, Holdings, OwnedLot
from rewards.program import CouponRules, CouponSeries, Promotion
from rewards.ruleset import ProgramRules
from rewards.sale import LineKind, TenderKind
from rewards.trace import Condition, TraceOutcome
from server.evaluator import kernel_evaluator
from server.till.instrument_holds import coupons_to_hold
from tests import make

SERIES = tuple(CouponSeries(code) for code in ("a", "b"))
USABLE, USED = InstrumentState.USABLE, InstrumentState.USED
GIFT = "gift"
WINDOW = AssetWindow(make.NOON_US, make.NOON_US + 1_000)
LOT, OTHER_LOT = b"l" * 18, b"m" * 18
BASKET = b"h" * 16


def by(*series: str, codes: Sequence[str] = (), promotion_id: str = "", **more: Any) -> Promotion:
    conditions = (Coupon(tuple(codes), tuple(series)),)
    name = promotion_id or "-".join(series)
    return make.percent(1_000, name, conditions=conditions, **more)


def coupon(series: str, code: str = "", state: int = USABLE, lot_id: bytes = LOT) -> Instrument:
    return Instrument(code, coupon_asset(series), state, 1, lot_id)


def evaluated(
    promotions: Sequence[Promotion], coupons: Sequence[Instrument], *codes: str, **changes: Any
) -> tuple[ProgramRules, Any, Facts, Evaluation]:
    """What both twins make of a receipt of 1,000; they must agree."""
    rules = make.rules(*promotions, coupon_series=SERIES, **changes)
    sale = make.sale(make.line("tea", 1, 1_000), coupon_codes=codes)
    facts = replace(make.facts(), coupons=tuple(coupons))
    evaluation = make.evaluated(promotions, sale, facts, coupon_series=SERIES, **changes)
    assert kernel_evaluator(rules, sale, facts) == evaluation
    return rules, sale, facts, evaluation


def used(
    promotions: Sequence[Promotion], coupons: Sequence[Instrument], *codes: str, **changes: Any
) -> tuple[list[tuple[str, str]], dict[str, CouponState]]:
    """(asset, code) of the coupons that are used, and what is said of those shown."""
    rules, sale, facts, evaluation = evaluated(promotions, coupons, *codes, **changes)
    found = coupons_used(rules.program, sale, facts, evaluation)
    said = with_coupons(facts, evaluation, found).coupons
    return [(one.asset_code, one.code) for one in found], {one.code: one.state for one in said}


A, B = coupon_asset("a"), coupon_asset("b")
APPLIED, NOT_CHOSEN = CouponState.APPLIED, CouponState.NOT_CHOSEN


def test_a_coupon_that_is_shown_is_used() -> None:
    assert used([by("a")], [coupon("a", "x")], "x") == ([(A, "x")], {"x": APPLIED})


def test_an_own_coupon_is_used_without_being_shown() -> None:
    assert used([by("a")], [coupon("a")]) == ([(A, "")], {})


def test_what_is_shown_goes_before_what_is_owned() -> None:
    shown, own = coupon("a", "x"), coupon("a", lot_id=OTHER_LOT)
    assert used([by("a")], [shown, own], "x") == ([(A, "x")], {"x": APPLIED})


@pytest.mark.parametrize("state", [one for one in InstrumentState if one != USABLE])
def test_a_coupon_that_cannot_be_used_is_none(state: InstrumentState) -> None:
    found = used([by("a")], [coupon("a", "x", state)], "x")
    assert found == ([], {"x": CouponState(state)})


def test_one_coupon_is_enough_for_all_promotions_of_its_series() -> None:
    promotions = [by("a", promotion_id="p"), by("a", promotion_id="q", stackable=True)]
    coupons = [coupon("a", "x"), coupon("a", "y", lot_id=OTHER_LOT)]
    found = used(promotions, coupons, "x", "y")
    assert found == ([(A, "x")], {"x": APPLIED, "y": NOT_CHOSEN})


def test_two_series_use_two_coupons() -> None:
    promotions = [by("a"), by("b", stackable=True)]
    coupons = [coupon("b", "y", lot_id=OTHER_LOT), coupon("a", "x")]
    assert used(promotions, coupons, "x", "y")[0] == [(B, "y"), (A, "x")]


def test_a_code_of_the_condition_spares_the_coupon() -> None:
    found = used([by("a", codes=["SALE"])], [coupon("a")], "sale")
    assert found == ([], {"sale": APPLIED})


def test_a_promotion_that_does_not_fire_uses_nothing() -> None:
    nothing = make.product("tea", no_discount=True)
    promotions = [by("a", promotion_id="p")]
    rules = make.rules(*promotions, coupon_series=SERIES)
    sale = make.sale(make.line("tea", 1, 1_000))
    facts = replace(make.facts(), coupons=(coupon("a"),), products=(nothing,))
    evaluation = kernel_evaluator(rules, sale, facts)
    assert [entry.times for entry in evaluation.trace] == [0]
    assert coupons_used(rules.program, sale, facts, evaluation) == ()


@pytest.mark.parametrize(("choose", "expected"), [("first", "x"), ("last", "y")])
def test_the_program_chooses_among_codes(choose: Any, expected: str) -> None:
    promotions = [by("a"), by("b", stackable=True)]
    coupons = [coupon("a", "x"), coupon("b", "y", lot_id=OTHER_LOT)]
    rules = CouponRules(choose=choose)
    found, _ = used(promotions, coupons, "x", "y", coupon_rules=rules)
    assert [code for _, code in found] == [expected]


def test_what_is_given_out() -> None:
    gives = (CouponReward("a", 0, 2), CouponReward("other"), GiftCertificate(5_000))
    promotion = make.promotion("p", gives=gives, lane="reward")
    assets = (make.POINTS, make.asset(GIFT, "gift_money"))
    rules, _, facts, evaluation = evaluated([promotion], [], assets=assets)
    found = given_out(rules.program, facts, evaluation)
    assert [(one.asset_code, one.amount_minor, one.n, one.is_own) for one in found] == [
        (A, 1, 0, True),
        (A, 1, 1, True),
        (GIFT, 5_000, 0, False),
    ]


def test_a_certificate_without_gift_money_is_only_said() -> None:
    promotion = make.promotion("p", gives=(GiftCertificate(5_000),), lane="reward")
    rules, _, facts, evaluation = evaluated([promotion], [])
    assert evaluation.grants
    assert given_out(rules.program, facts, evaluation) == ()


@pytest.mark.parametrize(
    ("owned", "bound", "given"),
    [(0, 0, 100), (0, 100, 100), (0, 99, 99), (40, 100, 60), (100, 100, 0), (500, 100, 0)],
)
def test_a_balance_has_its_bound(owned: int, bound: int, given: int) -> None:
    promotion = make.points(1_000)
    points = replace(make.POINTS, balance_max_minor=bound)
    sale = make.sale(make.line("tea", 1, 1_000))
    known = make.facts(customer=make.customer(balances=(("points", owned),)))
    rules = make.rules(promotion, assets=(points,))
    evaluation = within_balances(rules.program, known, kernel_evaluator(rules, sale, known))
    assert sum(grant.amount_minor for grant in evaluation.grants) == given
    [entry] = evaluation.trace
    cut = given < 100
    assert entry.outcome == (TraceOutcome.LIMIT_REACHED if cut else TraceOutcome.FIRED)
    assert (entry.condition == Condition.BALANCE_LIMIT) == cut
    assert entry.times == bool(given)


def lot(
    remaining: int = 1, lot_id: bytes = LOT, asset: str = A, expires_at_us: int = 0
) -> OwnedLot:
    return OwnedLot(lot_id, asset, max(1, remaining), remaining, 0, expires_at_us)


def held(*holds: Hold, lots: Sequence[OwnedLot] = (lot(),)) -> Holdings:
    return Holdings(tuple(one for one in lots if one.remaining_minor), holds)


HOLD = Hold(BASKET, A, 1, ((LOT, 1),), make.NOON_US)


@pytest.mark.parametrize(
    ("holdings", "one", "own", "state"),
    [
        (held(), lot(), b"", USABLE),
        (held(lots=[lot(0)]), lot(0), b"", USED),
        (held(lots=[lot(expires_at_us=1)]), lot(expires_at_us=1), b"", InstrumentState.EXPIRED),
        (held(HOLD), lot(), b"", InstrumentState.HELD),
        (held(HOLD), lot(), BASKET, USABLE),
        (held(replace(HOLD, expires_at_us=make.NOON_US - 1)), lot(), b"", USABLE),
    ],
    ids=["free", "used", "expired", "held", "own hold", "lapsed hold"],
)
def test_state(holdings: Holdings, one: OwnedLot, own: bytes, state: InstrumentState) -> None:
    assert state_of(holdings, A, [one], make.NOON_US, own) == state


@pytest.mark.parametrize(("buyer_id", "state"), [(1, USABLE), (2, InstrumentState.NOT_YOURS)])
def test_a_bound_coupon_is_its_owners(buyer_id: int, state: InstrumentState) -> None:
    found = coupon_of("x", A, 1, held(), lot(), make.NOON_US, buyer_id=buyer_id, is_bound=True)
    assert found.state == state


@pytest.mark.parametrize(
    ("one", "is_bound", "state"),
    [
        (lot(), True, InstrumentState.MAY_NOT_SPEND),
        (lot(0), True, USED),
        (lot(), False, USABLE),
    ],
    ids=["own", "used", "a bearer's"],
)
def test_who_may_not_spend(one: OwnedLot, is_bound: bool, state: InstrumentState) -> None:
    """It is said of an own coupon that could be used otherwise; nothing of it can be held."""
    found = coupon_of("x", A, 1, held(lots=[one]), one, make.NOON_US, buyer_id=1,
                      is_bound=is_bound, may_spend=False)  # fmt: skip
    assert (found.state, found.left_minor) == (state, int(state == USABLE))


def test_own_coupons_expire_soonest_first() -> None:
    lots = [lot(1, b"a" * 18), lot(1, b"b" * 18, expires_at_us=make.NOON_US + 1),
            lot(1, b"c" * 18, B), lot(1, b"d" * 18, "points")]  # fmt: skip
    found = own_coupons(1, held(lots=lots), [A], make.NOON_US)
    assert [one.lot_id[:1] for one in found] == [b"b", b"a"]


def test_codes_are_made_alike_and_unlike() -> None:
    same = [made_code(make.hash_identifier, "c", b"k" * 16, 1, 0, 0) for _ in range(2)]
    others = {made_code(make.hash_identifier, "c", b"k" * 16, 1, 0, n) for n in range(100)}
    assert same[0] == same[1] == spelled(f" {same[0].lower()} ")
    assert len(others) == 100
    assert all(len(code) == 16 and code.isalnum() for code in others)


@pytest.mark.parametrize("digest", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_accounts_of_codes_are_never_customers(digest: bytes) -> None:
    assert -(2**63) <= account_id_of(digest) < 0


def card(remaining: int, *, known: bool = True) -> Card:
    lots = (lot(remaining, asset=GIFT),) if remaining else ()
    return Card(-1, Holdings(lots), known)


def settled(
    given: Card, *uses: tuple[CardOperation, int]
) -> tuple[int, list[tuple[CardFault, int]]]:
    """What the card's balance changes by, and what could not be done with what was left."""
    asked = [CardUse(operation, "C", minor) for operation, minor in uses]
    found = settle_cards(make.key_id(), GIFT, asked, {"C": given}, WINDOW)
    moved = [journal.movement() for journal in found.journals.values()]
    changes = [one.amount_minor for m in moved for one in m.balance_changes]
    return sum(changes), [(one.fault, one.most_minor) for one in found.problems]


ACTIVATE, RELOAD, REDEEM = CardOperation.ACTIVATE, CardOperation.RELOAD, CardOperation.REDEEM
CARDS: dict[str, tuple[Card, tuple[tuple[CardOperation, int], ...], int, list[Any]]] = {
    "sold": (Card(-1), ((ACTIVATE, 500),), 500, []),
    "sold twice": (card(300), ((ACTIVATE, 500),), 500, [(CardFault.ALREADY_ACTIVE, 0)]),
    "reloaded": (card(300), ((RELOAD, 500),), 500, []),
    "unknown reloaded": (Card(-1), ((RELOAD, 500),), 500, [(CardFault.UNKNOWN, 0)]),
    "spent in part": (card(300), ((REDEEM, 200),), -200, []),
    "spent whole": (card(300), ((REDEEM, 300),), -300, []),
    "spent by two tenders": (card(300), ((REDEEM, 200), (REDEEM, 100)), -300, []),
    "short": (card(300), ((REDEEM, 301),), -300, [(CardFault.SHORT, 300)]),
    "short in all": (card(300), ((REDEEM, 200), (REDEEM, 101)), -300, [(CardFault.SHORT, 100)]),
    "empty": (card(0), ((REDEEM, 1),), 0, [(CardFault.SHORT, 0)]),
    "unknown spent": (Card(-1), ((REDEEM, 1),), 0, [(CardFault.UNKNOWN, 0)]),
    "sold and spent": (Card(-1), ((ACTIVATE, 500), (REDEEM, 200)), 300, []),
    "balance": (card(300), ((CardOperation.BALANCE, 0),), 0, []),
    "reversed": (card(300), ((CardOperation.REVERSE, 9),), 0, [(CardFault.REVERSE, 0)]),
    "sold for nothing": (Card(-1), ((ACTIVATE, 0),), 0, []),
}


@pytest.mark.parametrize(("given", "uses", "change", "faults"), CARDS.values(), ids=CARDS.keys())
def test_gift_cards(given: Card, uses: Any, change: int, faults: Any) -> None:
    assert settled(given, *uses) == (change, faults)


@pytest.mark.parametrize(
    ("asked", "takes_held", "change", "faults"),
    [
        (200, False, -200, []),
        (250, False, -200, [(CardFault.SHORT, 200, 50)]),
        (350, False, -200, [(CardFault.SHORT, 200, 100)]),
        (250, True, -250, []),
        (350, True, -300, [(CardFault.SHORT, 300, 0)]),
    ],
)
def test_a_card_that_another_basket_holds_in_part(
    asked: int, takes_held: bool, change: int, faults: Any
) -> None:
    """Of 300 another holds 100: a request leaves them, a fact takes them if need be."""
    hold = Hold(b"o" * 16, GIFT, 100, ((LOT, 100),), make.NOON_US)
    held = Card(-1, Holdings((lot(300, asset=GIFT),), (hold,)), True)
    use = [CardUse(REDEEM, "C", asked)]
    found = settle_cards(
        make.key_id(), GIFT, use, {"C": held}, WINDOW, BASKET, takes_held=takes_held
    )
    moved = [journal.movement() for journal in found.journals.values()]
    assert sum(one.amount_minor for m in moved for one in m.balance_changes) == change
    assert [(one.fault, one.most_minor, one.held_minor) for one in found.problems] == faults


def test_a_card_as_a_basket_sees_it() -> None:
    """What the basket holds itself is there; what another holds is said apart."""
    holds = tuple(
        Hold(hold_id, GIFT, minor, ((LOT, minor),), make.NOON_US)
        for hold_id, minor in ((BASKET, 50), (b"o" * 16, 100))
    )
    standing = Holdings((lot(300, asset=GIFT),), holds)
    for own_hold_id, left, held in ((BASKET, 200, 100), (b"", 150, 150), (b"o" * 16, 250, 50)):
        seen = gift_card_of("C", GIFT, -1, standing, make.NOON_US, own_hold_id)
        assert (seen.left_minor, seen.held_minor) == (left, held)
    seen = gift_card_of("C", GIFT, -1, standing, make.NOON_US + 1)
    assert (seen.left_minor, seen.held_minor) == (300, 0)


def test_what_is_paid_for_a_card_stands_in_clearing() -> None:
    use = [CardUse(ACTIVATE, "C", 500)]
    found = settle_cards(make.key_id(), GIFT, use, {"C": Card(-1)}, WINDOW)
    books = {one.book: one.amount_minor for one in found.journals[-1].movement().postings}
    assert books == {Book.CUSTOMER: 500, Book.CLEARING: -500}


def test_uses_of_a_receipt() -> None:
    rest = ("", 0, 0, "", "", "", False, False, "", int(ACTIVATE), "new", (), ())
    lines = (
        make.line("tea", rest=(*rest[:10], "a code on goods is no card", (), ())),
        make.line("card", 1, 500, kind=LineKind.GIFT_CARD, rest=rest),
        make.line("card2", 1, 500, kind=LineKind.GIFT_CARD, rest=rest, cancelled=True),
    )
    tenders = (
        make.tender(TenderKind.CASH, 50),
        replace(make.tender(TenderKind.GIFT_CARD, 30), gift_card_id="old"),
        replace(make.tender(TenderKind.VOUCHER, 20), gift_card_id="cert"),
        make.tender(TenderKind.VOUCHER, 20),
        make.tender(TenderKind.GIFT_CARD, 10),
        make.tender(TenderKind.GIFT_CARD, 0),
    )
    sale = make.sale(*lines, tenders=tenders)
    assert shown_cards(sale) == ("new", "old", "cert")
    assert card_uses(sale) == (
        CardUse(ACTIVATE, "NEW", 500),
        CardUse(REDEEM, "OLD", 30),
        CardUse(REDEEM, "CERT", 20),
        CardUse(REDEEM, "", 10, CardFault.NO_CARD),
    )


def test_a_coupon_that_is_given_back_can_be_used_again() -> None:
    taken = Journal(make.key_id(), [lot()])
    taken.take(Book.CLEARING, A, [(LOT, 1)])
    used_up = taken.lots()[0]
    assert state_of(NO_HOLDINGS, A, [used_up], make.NOON_US) == USED
    back = Journal(make.key_id("void"), [used_up])
    back.give_back(A, [(LOT, 1)])
    free = back.lots()[0]
    assert state_of(Holdings((free,)), A, [free], make.NOON_US) == USABLE


def test_a_coupon_that_is_shown_in_two_spellings_is_held_once() -> None:
    shown = (coupon("a", "ABC"), coupon("a", "abc"), coupon("a", "xyz", lot_id=OTHER_LOT))
    facts = replace(make.facts(), coupons=shown)
    held = coupons_to_hold(facts, ("ABC", "abc", "xyz"), BASKET, 1)
    picks = ((LOT, 1), (OTHER_LOT, 1))
    assert held == {1: (Hold(BASKET, coupon_asset("a"), 2, picks, 1),)}
