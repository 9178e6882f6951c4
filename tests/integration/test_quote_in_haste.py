"""A Quote without time says so, forgets nothing that its basket holds, and holds nothing late.

So does a Release: what it says of itself is so.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.coupon_pb import ImportedCoupon
from server.coupon_series import import_coupons
from server.main import composed
from server.settings import Settings
from server.till import instruments, spending
from server.till.checkout import checkout
from server.till.context import Context
from server.till.holds import hold_id_of
from server.till.quote import quote
from server.till.release import release
from tests.serving import CHAIN, PROGRAM, checkout_request, receipt_key, sale, test_program

BASKET = b"b" * 16
LIMITED = {**PROGRAM["promotions"][0], "limits": {"total_times": 100}}
OF_A_SERIES: dict[str, Any] = {
    "promotion_id": "half",
    "names": [{"language_code": "ru", "text": "half"}],
    "lane": "price",
    "conditions": [{"code": "coupon", "series": ["half"]}],
    "gives": [{"code": "percent_off", "rate_bp": 5_000}],
}
RULES: dict[str, Any] = {
    "promotions": [PROGRAM["promotions"][1], LIMITED, OF_A_SERIES],
    "coupon_series": [{"series_code": "half", "valid_days": 7}],
    "spend_rules": [{"asset_code": "points", "step_minor": 100, "value_minor": 100}],
}
WHOLE = (answer_pb2.SET_COMPLETENESS_COMPLETE, answer_pb2.SET_REASON_UNSPECIFIED)
IN_PART = (answer_pb2.SET_COMPLETENESS_PARTIAL, answer_pb2.SET_REASON_FACTS_UNAVAILABLE)
LATER_S = 60.0


@pytest.fixture
async def context(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Context]:
    """A server in this process; the customer of card1 has points."""
    dsn = place_with(test_program(**RULES))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as made:
        await checkout(made, checkout_request(1, "card1"), _later_s())
        yield made


def _later_s() -> float:
    return asyncio.get_running_loop().time() + LATER_S


async def _answered(context: Context, **fields: Any) -> pb.QuoteResponse:
    """A quote of a receipt with a coupon."""
    request = pb.QuoteRequest(basket_id=BASKET, sale=sale("card1"), **fields)
    request.sale.header.coupon_codes.append("ABC")
    return pb.QuoteResponse.FromString(await quote(context, request, _later_s()))


async def _quoted(context: Context, **fields: Any) -> bytes:
    """The token of a quote."""
    return (await _answered(context, **fields)).token


async def _holds(context: Context) -> int:
    async with context.database.reading() as connection:
        count: int = await connection.fetchval("select count(*) from hold")
        return count


async def _no_time(*asked: object) -> None:
    raise TimeoutError


def _points() -> pb.Reservation:
    reserve = pb.Reservation()
    reserve.amounts.add(asset_code="points", amount_minor=1_000)
    return reserve


async def test_what_is_held_ends_with_the_sale(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _quoted(context, reserve=_points())
    assert await _holds(context) == 1
    with monkeypatch.context() as hasty:
        hasty.setattr(context.lookups, "look_up", _no_time)
        second = await _quoted(context, token=first)
    request = pb.CheckoutRequest(
        receipt_key=receipt_key(2), sale=sale("card1"), basket_id=BASKET, token=second
    )
    await checkout(context, request, _later_s())
    assert await _holds(context) == 0


async def test_what_is_to_be_held_is_not_dropped_without_a_word(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.lookups, "look_up", _no_time)
    for reserve in (_points(), pb.Reservation(coupon_codes=["ABC"])):
        with pytest.raises(Refusal) as refused:
            await _quoted(context, reserve=reserve)
        assert refused.value.reason is Reason.DEADLINE_PASSED
    assert await _quoted(context, reserve=pb.Reservation(budgets=True))


def _coupons_late(context: Context, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(instruments, "look_at", _no_time)


def _points_late(context: Context, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "prepare", _no_time)


def _limits_late(context: Context, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(context.budgets, "meet", _no_time)


@pytest.mark.parametrize("make_late", [_coupons_late, _points_late, _limits_late])
async def test_what_was_not_read_in_time_leaves_lines_and_rewards_partial(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    make_late: Callable[[Context, pytest.MonkeyPatch], None],
) -> None:
    make_late(context, monkeypatch)
    answer = (await _answered(context)).answer
    assert _status(answer.lines) == _status(answer.rewards) == IN_PART
    assert len(answer.rewards.rewards) == 1
    assert _status(answer.cross_sell) == WHOLE


async def test_a_quote_with_time_is_complete(context: Context) -> None:
    answer = (await _answered(context)).answer
    assert _status(answer.lines) == _status(answer.rewards) == WHOLE


def _status(part: Any) -> tuple[int, int]:
    return part.status.completeness, part.status.reason


async def test_coupons_to_hold_that_were_not_read_are_not_dropped_without_a_word(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    _coupons_late(context, monkeypatch)
    with pytest.raises(Refusal) as refused:
        await _quoted(context, reserve=pb.Reservation(coupon_codes=["ABC"]))
    assert refused.value.reason is Reason.DEADLINE_PASSED


async def test_a_basket_that_was_sold_holds_nothing_more(context: Context) -> None:
    token = await _quoted(context)
    request = pb.CheckoutRequest(
        receipt_key=receipt_key(2), sale=sale("card1"), basket_id=BASKET, token=token
    )
    sold = pb.CheckoutResponse.FromString(await checkout(context, request, _later_s()))
    for reserve in (_points(), pb.Reservation(budgets=True)):
        with pytest.raises(Refusal) as refused:
            await _quoted(context, reserve=reserve)
        assert refused.value.reason is Reason.BASKET_SOLD
        assert refused.value.metadata["receipt_id"] == sold.receipt_id.hex()
    assert await _holds(context) == 0
    assert (await _answered(context)).answer.lines.lines


async def test_a_checkout_that_overtakes_the_quote_of_its_basket_leaves_nothing_held(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await _quoted(context)
    request = pb.CheckoutRequest(
        receipt_key=receipt_key(2), sale=sale("card1"), basket_id=BASKET, token=token
    )
    submit = context.pipeline.submit

    async def sold_meanwhile(*commit: Any) -> Any:
        monkeypatch.setattr(context.pipeline, "submit", submit)
        await checkout(context, request, _later_s())
        return await submit(*commit)

    monkeypatch.setattr(context.pipeline, "submit", sold_meanwhile)
    with pytest.raises(Refusal) as refused:
        await _quoted(context, reserve=_points())
    assert refused.value.reason is Reason.BASKET_SOLD
    assert await _holds(context) == 0


def _both() -> pb.Reservation:
    reserve = _points()
    reserve.budgets = True
    return reserve


@pytest.mark.parametrize(
    ("reserve", "port", "writes"),
    [
        (pb.Reservation(coupon_codes=["ABC"]), "pipeline", "submit"),
        (pb.Reservation(budgets=True), "budgets", "hold"),
        (_both(), "pipeline", "submit"),
    ],
    ids=["a bearer's coupon", "limits", "limits, then points"],
)
async def test_what_no_account_of_the_sale_has_is_not_held_once_the_basket_is_sold(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    reserve: pb.Reservation,
    port: str,
    writes: str,
) -> None:
    """The sale knows nothing of what its quote is going to hold, and changes none of it."""
    # A coupon that is there takes the place of the limited promotion.
    coupons = [ImportedCoupon(code, 0) for code in reserve.coupon_codes]
    await import_coupons(
        context.database, context.hash_identifier, CHAIN, "half", coupons, context.clock()
    )
    request = pb.CheckoutRequest(receipt_key=receipt_key(2), sale=sale("card1"), basket_id=BASKET)
    owner = getattr(context, port)
    write = getattr(owner, writes)

    async def sold_meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(owner, writes, write)
        await checkout(context, request, _later_s())
        return await write(*given)

    monkeypatch.setattr(owner, writes, sold_meanwhile)
    with pytest.raises(Refusal) as refused:
        await _quoted(context, reserve=reserve)
    assert refused.value.reason is Reason.BASKET_SOLD
    assert await _holds(context) == 0
    assert await context.budgets.held(hold_id_of(BASKET)) == ()


async def test_a_release_without_time_has_freed_nothing(context: Context) -> None:
    await _quoted(context, reserve=_points())
    with pytest.raises(Refusal) as refused:
        await release(context, pb.ReleaseRequest(basket_id=BASKET), _later_s() - 2 * LATER_S)
    assert refused.value.reason is Reason.DEADLINE_PASSED
    assert await _holds(context) == 1


async def test_a_release_that_has_freed_a_part_does_not_say_that_nothing_is_recorded(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _quoted(context, reserve=_points())
    with monkeypatch.context() as hasty:
        hasty.setattr(context.budgets, "held", _no_time)
        with pytest.raises(Refusal) as refused:
            await release(context, pb.ReleaseRequest(basket_id=BASKET), _later_s())
    assert refused.value.reason is Reason.RESULT_UNKNOWN
    assert await _holds(context) == 0
    await release(context, pb.ReleaseRequest(basket_id=BASKET), _later_s())
