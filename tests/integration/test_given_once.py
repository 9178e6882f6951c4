"""Goal: what a bearer has used of what an earlier outcome gave counts against what a later gives.

A certificate is of 10,000; a coupon is worth half of a receipt of 60,000. Points are waived where
they cannot be taken back, so that they are held to the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.program_pb2 import Program
from tests.cards import CERTIFICATE, left_on, paid
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    PLAIN,
    PROGRAM_OFFLINE,
    RECORDED,
    SUPERSEDED,
    Link,
    off,
)
from tests.refunding import SPEND, TENDERED, basket, named, open_shop, rate, said
from tests.serving import CHAIN, test_program

WHOLE, PRICE = 10_000, 60_000
OF_10_000 = {"code": "gift_certificate", "amount_minor": WHOLE, "valid_days": 30}


def half_off(series: str) -> dict[str, Any]:
    """Half of what goods cost, for a coupon of a series."""
    asks = [{"code": "coupon", "series": [series]}]
    return off("sku7", "nothing", promotion_id=f"half-{series}", conditions=asks) | {
        "gives": [{"code": "percent_off", "rate_bp": 5_000}]
    }


def given(series: str) -> dict[str, Any]:
    """Coupons of a series, two of them."""
    gives = [{"code": "coupon_reward", "series_code": series, "count": 2}]
    names = named(series)
    return {
        "promotion_id": f"give-{series}",
        "names": names,
        "lane": "reward",
        "conditions": [said(series)],
        "gives": gives,
    }


GIVING = test_program(
    **{
        **PROGRAM_OFFLINE,
        "coupon_series": [
            {"series_code": "once", "valid_days": 7},
            {"series_code": "own", "valid_days": 7},
            {"series_code": "gift", "valid_days": 7, "bearer": True},
        ],
        "promotions": [
            off("sku1", "points"),
            rate("points-5", "points"),
            {**CERTIFICATE, "gives": [OF_10_000]},
            {
                **CERTIFICATE,
                "promotion_id": "for-coupon",
                "lane": "basket",
                "conditions": [{"code": "coupon", "series": ["once"]}],
                "gives": [
                    {"code": "receipt_discount", "rate_bp": 1_000},
                    OF_10_000,
                ],
            },
            half_off("own"),
            half_off("gift"),
            given("own"),
            given("gift"),
        ],
        "spend_rules": [SPEND, TENDERED],
        "returns": {"claw_back_debt": False},
    }
)


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Link]:
    """Two servers with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("giving")
    with open_shop(Link, pg_server_dsn, template_with(GIVING), folder) as made:
        yield made


class Giving:
    """A receipt, number 1 of its test, that gives something, and what is said of it."""

    def __init__(self, link: Link) -> None:
        link.begin()
        self.link = link
        self._made: Any = None
        self.used = 100

    def made(self, *triggers: str, known: bool = False, coupon: str = "") -> Any:
        """The receipt: for a customer, or nobody."""
        card = self.link.card() if known else ""
        self._made = basket(("sku2", 2, 50_000), card=card, triggers=triggers)
        if coupon:
            self._made.header.coupon_codes.append(coupon)
        return self._made

    def state(self, kind: Any, number: int, state: Any = SUPERSEDED) -> None:
        """Say what the till did."""
        assert self.link.forward(1, self._made, kind, number).state == state

    def codes(self) -> list[str]:
        """The codes that its answer gives out by now."""
        rewards = self.link.state(1).checkout.answer.rewards.rewards
        return [code for one in rewards for code in one.codes]

    def left(self, code: str) -> int:
        """What is on a certificate, minor units."""
        return left_on(self.link.tills[0], code) or 0

    def pay(self, code: str, minor: int) -> int:
        """Pay with a certificate; the number of the receipt."""
        self.used += 1
        request = paid(self.link.n(self.used), code, minor)
        self.link.tills[1].Checkout(request)
        return self.used

    def use(self, *codes: str, known: bool = False) -> int:
        """What a receipt of 60,000 comes to with coupons, minor units; it is number `used`."""
        self.used += 1
        card = self.link.card() if known else ""
        made = basket(("sku7", 1, PRICE), card=card)
        made.header.coupon_codes.extend(codes)
        sold = self.link.sell(self.used, made)
        return int(sold.answer.lines.totals.amount_minor)


@pytest.fixture
def giving(links: Link) -> Giving:
    """A receipt of its own for each test."""
    return Giving(links)


def test_the_code_of_a_lost_answer_stays_in_force(giving: Giving) -> None:
    """A till that could not use the answer, and then could: its slip had that code."""
    sold = giving.link.sell(1, giving.made("certificate"))
    [code] = sold.answer.rewards.rewards[0].codes
    giving.state(PLAIN, 1)
    giving.pay(code, 4_000)
    giving.state(AS_ANSWERED, 2)
    assert giving.codes() == [code]
    assert giving.left(code) == 6_000
    giving.state(PLAIN, 3)
    assert giving.left(code) == 6_000


def test_a_certificate_that_was_spent_is_not_given_again(giving: Giving) -> None:
    """By no number of statements."""
    giving.made("certificate")
    giving.state(PLAIN, 1, RECORDED)
    [code] = giving.codes()
    giving.pay(code, WHOLE)
    for number, kind in enumerate((AS_ANSWERED, PLAIN, AS_ANSWERED), 2):
        giving.state(kind, number)
        assert [giving.left(one) for one in {code, *giving.codes()}] == [0]


def test_what_was_not_sold_and_was_sold_after_all(giving: Giving) -> None:
    """It was spent before its till said that there was no sale."""
    giving.made("certificate")
    giving.state(PLAIN, 1, RECORDED)
    [code] = giving.codes()
    giving.pay(code, 7_000)
    giving.state(NOT_SOLD, 2)
    assert giving.left(code) == 0
    giving.state(AS_ANSWERED, 3)
    assert (giving.codes(), giving.left(code)) == ([code], 3_000)


def test_what_was_paid_comes_back_once(giving: Giving) -> None:
    """The receipt that was paid is undone after the certificate has been given anew."""
    giving.made("certificate")
    giving.state(PLAIN, 1, RECORDED)
    [code] = giving.codes()
    number = giving.pay(code, 4_000)
    giving.state(AS_ANSWERED, 2)
    giving.link.void(number)
    assert giving.left(code) == WHOLE
    giving.link.void(1)
    assert giving.left(code) == 0


def test_goods_that_come_back_take_what_is_left(giving: Giving) -> None:
    """A refund of half of the goods leaves the certificate, of all of them nothing."""
    giving.made("certificate")
    giving.state(PLAIN, 1, RECORDED)
    [code] = giving.codes()
    giving.pay(code, 4_000)
    giving.state(AS_ANSWERED, 2)
    giving.link.refund(2, 1, {"sku2": 1_000})
    assert giving.left(code) == 6_000
    giving.link.refund(3, 1, {"sku2": 1_000})
    assert giving.left(code) == 0


def test_a_reward_of_a_coupon_that_came_back_and_was_used_after_all(giving: Giving) -> None:
    """PLAIN takes the certificate back with its promotion; what was spent of it stays spent."""
    coupon = bo.ImportedCoupon(code=f"once-{giving.link.n(0)}")
    request = bo.ImportCouponsRequest(chain_id=CHAIN, series_code="once", coupons=[coupon])
    giving.link.office.ImportCoupons(request)
    sold = giving.link.sell(1, giving.made(coupon=coupon.code))
    [code] = [code for one in sold.answer.rewards.rewards for code in one.codes]
    giving.pay(code, 3_000)
    giving.state(PLAIN, 1)
    assert giving.left(code) == 0
    giving.state(AS_ANSWERED, 2)
    assert giving.codes() == [code]
    assert giving.left(code) == 7_000


@pytest.mark.parametrize("known", [False, True])
def test_a_bearers_coupon_works_once(giving: Giving, known: bool) -> None:
    """Of two that were given one was used; the codes are those that the bearer has."""
    giving.made("gift", known=known)
    giving.state(PLAIN, 1, RECORDED)
    codes = giving.codes()
    assert giving.use(codes[1]) == PRICE // 2
    giving.state(AS_ANSWERED, 2)
    assert giving.codes() == codes
    assert [giving.use(code) for code in codes * 2] == [PRICE // 2, PRICE, PRICE, PRICE]


def test_a_coupon_that_is_there_again_goes_with_its_receipt(giving: Giving) -> None:
    """What used it is undone after it was given anew, and then the receipt that gave it."""
    giving.made("gift")
    giving.state(PLAIN, 1, RECORDED)
    code, _ = giving.codes()
    assert giving.use(code) == PRICE // 2
    giving.state(AS_ANSWERED, 2)
    giving.link.void(giving.used)
    giving.link.void(1)
    assert giving.use(code) == PRICE


def test_a_customers_own_coupons_work_once(giving: Giving) -> None:
    """One of two was used; the other's code works still, and needs not be shown."""
    giving.made("own", known=True)
    giving.state(PLAIN, 1, RECORDED)
    codes = giving.codes()
    assert giving.use(codes[0], known=True) == PRICE // 2
    giving.state(AS_ANSWERED, 2)
    assert giving.codes() == codes
    quoted = giving.link.tills[0].Quote(quote_of(giving, codes[1]))
    assert quoted.answer.lines.totals.amount_minor == PRICE // 2
    assert [giving.use(known=True) for _ in range(3)] == [PRICE // 2, PRICE, PRICE]


def quote_of(giving: Giving, code: str) -> pb.QuoteRequest:
    """A quote of 60,000 for the customer, with a coupon."""
    made = basket(("sku7", 1, PRICE), card=giving.link.card())
    made.header.coupon_codes.append(code)
    return pb.QuoteRequest(basket_id=bytes(16), sale=made)


def test_points_that_are_waived_are_not_given_again(giving: Giving) -> None:
    """5,000 points were earned, and spent before the till's next word."""
    link = giving.link
    giving.made(known=True)
    giving.state(PLAIN, 1, RECORDED)
    card = link.card()
    assert link.balances(card) == {"points": 5_000}
    made, basket_id = basket(("sku3", 1, 5_000), card=card), link.n(2).to_bytes(16, "big")
    reserve = pb.Reservation(amounts=[pb.AssetAmount(asset_code="points", amount_minor=5_000)])
    request = pb.QuoteRequest(basket_id=basket_id, sale=made, reserve=reserve)
    link.sell(2, made, basket_id=basket_id, token=link.tills[0].Quote(request).token)
    left = link.balances(card).get("points", 0)
    giving.state(AS_ANSWERED, 2)
    assert link.balances(card).get("points", 0) == left
