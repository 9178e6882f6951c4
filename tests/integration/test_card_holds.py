"""Goal: what a basket holds on a gift card or certificate is its own until it sells or frees it.

Two server processes over one database, a till at each; the ledger is audited after each test.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from tests.accounts import World, together, world
from tests.cards import CARDS, RELOAD, left_on, paid, refunded, refusal, sold, voided
from tests.serving import (
    PlaceWith,
    raw_checkout,
    reason_of,
    receipt_key,
    till_stub,
    with_totals,
)

MINUTE_US = 60_000_000
HOLD_US = 15 * MINUTE_US
DAY_US = 24 * 60 * MINUTE_US
A, B, C = [bytes([n]) * 16 for n in (1, 2, 3)]
CARD = "C-1"


class Tills(NamedTuple):
    """A till at each of two servers."""

    world: World
    one: Any
    two: Any

    def wait(self, us: int) -> None:
        """Set the clock so many microseconds ahead of the machine's."""
        self.world.later(us / DAY_US)

    def holds(self) -> list[int]:
        """What is held in the database, minor units."""
        rows = self.world.fetch("select amount_minor from hold order by amount_minor")
        return [row[0] for row in rows]


@pytest.fixture
def tills(place_with: PlaceWith, log_dir: Path) -> Iterator[Tills]:
    """Two servers with a program of gift cards in force; the ledger is proved at the end."""
    with (
        world(place_with(CARDS), log_dir, 2) as made,
        grpc.insecure_channel(made.servers[1].target) as channel,
    ):
        yield Tills(made, made.till, till_stub(channel))
        made.check_ledger()


def quoted(
    till: Any,
    amount_minor: int,
    basket: bytes = A,
    code: str = CARD,
    token: bytes = b"",
    tender_minor: int | None = None,
    mode: receipt_pb2.SaleMode.ValueType = receipt_pb2.SALE_MODE_LIVE,
) -> pb.QuoteResponse:
    """A quote that holds so much on a card; its sale has a tender of the card only if asked for."""
    named = "" if tender_minor is None else code
    made = paid(0, named, tender_minor or 0).sale
    made.header.mode = mode
    request = pb.QuoteRequest(basket_id=basket, sale=made, token=token)
    if amount_minor:
        request.reserve.gift_cards.add(gift_card_id=code, amount_minor=amount_minor)
    answer: pb.QuoteResponse = till.Quote(request)
    return answer


def card_of(quote: pb.QuoteResponse) -> answer_pb2.GiftCardState:
    """What a quote says of its one card."""
    [card] = quote.answer.gift_cards
    return card


def checkout(
    number: int,
    amount_minor: int,
    basket: bytes = A,
    token: bytes = b"",
    code: str = CARD,
    closed: bool = False,
) -> pb.CheckoutRequest:
    """A checkout of a basket, of which a part is paid with the card."""
    request = paid(number, code if amount_minor else "", amount_minor, closed=closed)
    request.basket_id, request.token = basket, token
    return request


def test_what_is_held_is_not_there_for_others(tills: Tills) -> None:
    """The quote says how much and until when; the own checkout takes it, and the hold is gone."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    quote = quoted(tills.one, 6_000)
    card = card_of(quote)
    assert (card.available_minor, card.held_minor, card.held_by_others_minor) == (10_000, 6_000, 0)
    assert HOLD_US <= card.held_until_us - quote.answer.evaluated_at_us < HOLD_US + MINUTE_US
    other = card_of(quoted(tills.two, 0, B, tender_minor=0))
    assert (other.available_minor, other.held_minor, other.held_by_others_minor) == (
        4_000,
        0,
        6_000,
    )
    assert other.held_until_us == 0
    reason, facts = refusal(tills.two.Checkout, checkout(2, 4_001, B))
    assert reason == "SPEND_NOT_POSSIBLE"
    assert (facts["most_minor"], facts["held_minor"], facts["code"]) == ("4000", "1", CARD)
    own = checkout(3, 6_000, A, quote.token)
    done = tills.two.Checkout(own)
    assert not done.exceptions
    assert done.answer.gift_cards[0].available_minor == 10_000
    assert tills.holds() == []
    assert tills.one.Checkout(own) == done
    assert left_on(tills.one, CARD) == 4_000


def test_no_more_than_is_free_is_held(tills: Tills) -> None:
    """Of two baskets the second holds what is left; a third nothing; letters are all the same."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    quoted(tills.one, 7_000)
    card = card_of(quoted(tills.two, 7_000, B, "c-1"))
    assert (card.available_minor, card.held_minor) == (3_000, 3_000)
    third = card_of(quoted(tills.two, 1, C))
    assert (third.available_minor, third.held_minor, third.held_until_us) == (0, 0, 0)
    assert tills.holds() == [3_000, 7_000]


def test_what_frees_a_hold(tills: Tills) -> None:
    """The next quote replaces it, without a reservation ends it; so does Release, at any server."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    tills.one.Checkout(sold(2, "C-2", 500))
    quote = quoted(tills.one, 7_000)
    quote = quoted(tills.two, 8_000, token=quote.token)
    assert tills.holds() == [8_000]
    quote = quoted(tills.one, 400, code="C-2", token=quote.token)
    assert tills.holds() == [400]
    quoted(tills.two, 0, token=quote.token)
    assert tills.holds() == []
    quoted(tills.one, 7_000)
    for _ in range(2):
        tills.two.Release(pb.ReleaseRequest(basket_id=A))
    assert tills.holds() == []
    assert left_on(tills.one, CARD) == 10_000


def test_a_basket_that_pays_otherwise(tills: Tills) -> None:
    """What it held and does not spend is free as soon as it is sold; of what it spends the rest."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    quote = quoted(tills.one, 7_000)
    tills.two.Checkout(checkout(2, 0, A, quote.token))
    assert (tills.holds(), left_on(tills.two, CARD)) == ([], 10_000)
    quote = quoted(tills.one, 7_000, B)
    tills.two.Checkout(checkout(3, 2_000, B, quote.token))
    assert (tills.holds(), left_on(tills.two, CARD)) == ([], 8_000)


def test_a_hold_that_has_lapsed(tills: Tills) -> None:
    """It binds nobody; an open checkout acquires it again, or is refused and told why."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    quote = quoted(tills.one, 7_000)
    tills.wait(HOLD_US + MINUTE_US)
    assert left_on(tills.two, CARD) == 10_000
    tills.two.Checkout(checkout(2, 7_000, A, quote.token))
    assert left_on(tills.one, CARD) == 3_000
    quote = quoted(tills.one, 3_000, B)
    tills.wait(2 * (HOLD_US + MINUTE_US))
    taking = quoted(tills.two, 1_000, C)
    reason, facts = refusal(tills.two.Checkout, checkout(3, 3_000, B, quote.token))
    assert reason == "HOLD_EXPIRED"
    assert (facts["asked_minor"], facts["most_minor"], facts["held_minor"]) == (
        "3000",
        "2000",
        "1000",
    )
    tills.one.Checkout(checkout(4, 1_000, C, taking.token))
    fact = tills.two.Checkout(checkout(3, 3_000, B, quote.token, closed=True))
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_GIFT_CARD]
    assert left_on(tills.one, CARD) == 0


def test_a_fact_takes_first_what_nobody_holds(tills: Tills) -> None:
    """Another basket keeps its hold while there is enough; else it ends, and is told so."""
    tills.one.Checkout(sold(1, CARD, 10_000))
    quote = quoted(tills.one, 4_000)
    assert not tills.two.Checkout(checkout(2, 6_000, B, closed=True)).exceptions
    assert tills.holds() == [4_000]
    fact = tills.two.Checkout(checkout(3, 1_000, C, closed=True))
    assert not fact.exceptions
    assert tills.holds() == []
    reason, facts = refusal(tills.one.Checkout, checkout(4, 4_000, A, quote.token))
    assert (reason, facts["most_minor"]) == ("HOLD_EXPIRED", "3000")


def test_a_certificate_that_a_promotion_gave(tills: Tills) -> None:
    """It is held by its code over the end of its days, and expires when nobody holds it."""
    given = tills.one.Checkout(paid(1, "", 0, trigger="certificate"))
    [code] = given.answer.rewards.rewards[0].codes
    tills.wait(29 * DAY_US)
    ends_us = card_of(quoted(tills.one, 1_000, code=code)).expires_at_us
    now_us = given.decided_at_us + 29 * DAY_US
    tills.wait(29 * DAY_US + (ends_us - now_us) - MINUTE_US)
    quote = quoted(tills.one, 2_000, code=code)
    tills.wait(29 * DAY_US + (ends_us - now_us) + MINUTE_US)
    tills.world.office.ExpireLots(lg.ExpireLotsRequest())
    done = tills.two.Checkout(checkout(2, 2_000, A, quote.token, code))
    assert not done.exceptions
    assert left_on(tills.one, code) == 0


def test_a_card_that_is_undone_while_a_basket_holds_it(tills: Tills) -> None:
    """A refund is refused for what is held; a void takes it all the same, and the hold ends."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    tills.one.Checkout(sold(2, CARD, 300, RELOAD))
    quote = quoted(tills.one, 1_300)
    reason, facts = refusal(tills.two.Refund, refunded(10, 1, "card"))
    assert (reason, facts["most_minor"]) == ("SPEND_NOT_POSSIBLE", "0")
    assert tills.holds() == [1_300]
    tills.two.Void(voided(1))
    assert tills.holds() == []
    assert left_on(tills.one, CARD) == 300
    reason, facts = refusal(tills.one.Checkout, checkout(3, 1_300, A, quote.token))
    assert (reason, facts["most_minor"]) == ("HOLD_EXPIRED", "300")


def test_a_refund_to_a_card_that_a_basket_holds(tills: Tills) -> None:
    """What was paid comes back on it, and the hold stays."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    tills.one.Checkout(paid(2, CARD, 600))
    quote = quoted(tills.one, 400)
    tills.two.Void(voided(2))
    assert tills.holds() == [400]
    card = card_of(quoted(tills.two, 0, B, tender_minor=0))
    assert (card.available_minor, card.held_by_others_minor) == (600, 400)
    assert not tills.two.Checkout(checkout(3, 400, A, quote.token)).exceptions


def test_training_holds_nothing(tills: Tills) -> None:
    """Nor does a card that nobody knows; and a training quote frees nothing either."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    card = card_of(quoted(tills.one, 400, mode=receipt_pb2.SALE_MODE_TRAINING))
    assert (card.available_minor, card.held_minor, card.held_until_us) == (1_000, 0, 0)
    assert not quoted(tills.one, 400, code="nobody's").answer.gift_cards
    assert tills.holds() == []


BAD = {
    "no number": [("", 1)],
    "nothing": [(CARD, 0)],
    "twice": [(CARD, 1), ("c-1 ", 2)],
    "too many": [(f"C-{n}", 1) for n in range(51)],
    "too long": [("C" * 129, 1)],
}


def test_bad_reservations(tills: Tills) -> None:
    """Each is refused by the name of its field, and holds nothing."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    for cards in BAD.values():
        request = pb.QuoteRequest(basket_id=A, sale=paid(0, "", 0).sale)
        for code, minor in cards:
            request.reserve.gift_cards.add(gift_card_id=code, amount_minor=minor)
        with pytest.raises(grpc.RpcError) as refused:
            tills.one.Quote(request)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "reserve.gift_cards" in str(refused.value.details())
    assert tills.holds() == []


def test_baskets_that_hold_one_card_at_the_same_instant(tills: Tills) -> None:
    """Together they hold no more than is on it, and what each holds it can spend."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    baskets = [bytes([10 + n]) * 16 for n in range(8)]
    targets = [server.target for server in tills.world.servers]

    async def buy(n: int, held: list[int]) -> Any:
        """Hold at one server, sell at the other."""
        request = pb.QuoteRequest(basket_id=baskets[n], sale=paid(0, "", 0).sale)
        request.reserve.gift_cards.add(gift_card_id=CARD, amount_minor=300)
        async with grpc.aio.insecure_channel(targets[n % 2]) as channel:
            stub: Any = TillServiceStub(channel)
            quote = await stub.Quote(request)
        held[n] = card_of(quote).held_minor
        async with grpc.aio.insecure_channel(targets[1 - n % 2]) as channel:
            return await raw_checkout(channel, checkout(10 + n, 300, baskets[n], quote.token))

    held = [0] * len(baskets)
    answers = together(*[buy(n, held) for n in range(len(baskets))])
    fates = [reason_of(one)[1] if isinstance(one, grpc.RpcError) else "SOLD" for one in answers]
    whole = [fate for fate, minor in zip(fates, held, strict=True) if minor == 300]
    assert whole == ["SOLD"] * 3
    assert fates.count("SOLD") == 3
    assert set(fates) == {"SOLD", "SPEND_NOT_POSSIBLE"}
    left = card_of(quoted(tills.one, 0, tender_minor=0))
    assert (left.available_minor, left.held_by_others_minor) == (0, 100)


def test_an_exchange_by_a_basket_that_holds_the_card(tills: Tills) -> None:
    """What comes back goes on the card that the basket holds and does not use: the hold ends."""
    tills.one.Checkout(sold(1, CARD, 1_000))
    tills.one.Checkout(paid(2, CARD, 600))
    quote = quoted(tills.one, 400)
    request = checkout(3, 0, A, quote.token)
    back = request.sale.lines.add()
    back.CopyFrom(request.sale.lines[0])
    back.line_id, back.action = "back", receipt_pb2.LINE_ACTION_RETURN
    back.return_origin.receipt_key.CopyFrom(receipt_key(2))
    back.return_origin.line_id = request.sale.lines[0].line_id
    # Of 20,000 the card has paid 200.
    back.amount_minor, back.unit_price_scaled = 19_800, 9_900
    with_totals(request.sale).header.control_totals.amount_minor = 60_000 - 19_800
    done = tills.two.Checkout(request)
    assert done.returns[0].by_gift_cards_minor == 200
    assert tills.holds() == []
    assert left_on(tills.one, CARD) == 600
