"""Goal: who bought enough has the tier on the next receipt, and loses it with what comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset
from tests.forwarding import AS_ANSWERED, forward_request
from tests.serving import (
    PROGRAM,
    PlaceWith,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
)

DAY_US = 86_400_000_000
FULL, GOLD, SILVER = 60_000, 30_000, 54_000


def promotion(promotion_id: str, gives: dict[str, Any], **keys: Any) -> dict[str, Any]:
    names = [{"language_code": "ru", "text": promotion_id}]
    return {"promotion_id": promotion_id, "names": names, "lane": "price", "gives": [gives], **keys}


def for_tier(tier_code: str, rate_bp: int) -> dict[str, Any]:
    asks = [{"code": "tier", "any_of": [tier_code]}]
    return promotion(tier_code, {"code": "percent_off", "rate_bp": rate_bp}, conditions=asks)


GIVEN = promotion(
    "status",
    {"code": "status", "tier_code": "gold", "valid_days": 10},
    lane="reward",
    conditions=[{"code": "trigger", "any_of": ["gold"]}],
)
DRAW = promotion(
    "draw",
    {"code": "draw_entries", "draw_code": "car", "for_each_minor": 20_000},
    lane="reward",
    conditions=[{"code": "trigger", "any_of": ["draw"]}],
)
PRIZE = promotion(
    "prize",
    {"code": "prize", "pool_code": "toys", "count": 2},
    lane="reward",
    conditions=[{"code": "trigger", "any_of": ["prize"]}],
)
TIERS = test_program(
    promotions=[
        for_tier("gold", 5_000),
        for_tier("silver", 1_000),
        GIVEN,
        DRAW,
        PRIZE,
        PROGRAM["promotions"][1],
    ],
    tier_rules=[
        {"tier_code": "gold", "receipts_from": 3, "rolling_days": 30},
        {"tier_code": "silver", "amount_from_minor": 60_000, "rolling_days": 30, "grace_days": 5},
    ],
    spend_rules=[{"asset_code": "points", "step_minor": 100, "value_minor": 100}],
)


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    path = tmp_path / "clock"
    set_offset(path, 0)
    return path


@pytest.fixture
def till(place_with: PlaceWith, log_dir: Path, clock_file: Path) -> Iterator[Any]:
    """A till at a server with the program of this file; the ledger is audited at the end."""
    clocked = {**place_with(TIERS), "LOYALTY_CLOCK_FILE": str(clock_file)}
    with serving(clocked, log_dir) as servers, grpc.insecure_channel(servers[0].target) as channel:
        office = BackOfficeServiceStub(channel)
        yield till_stub(channel)
        assert list(office.AuditLedger(bo.AuditLedgerRequest()).problems) == []


def bought(till: Any, number: int, trigger: str = "", card: str = "card1") -> int:
    """Buy for 60,000; say what it cost."""
    made = sale(card)
    if trigger:
        made.header.manual_triggers.append(trigger)
    sold = till.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(number), sale=made))
    amount: int = sold.answer.lines.totals.amount_minor
    return amount


def quoted(till: Any, card: str = "card1") -> int:
    request = pb.QuoteRequest(basket_id=bytes(16), sale=sale(card))
    amount: int = till.Quote(request).answer.lines.totals.amount_minor
    return amount


def voided(till: Any, number: int) -> list[str]:
    """Void; give the texts."""
    key = receipt_key(number)
    void = till.Void(pb.VoidRequest(receipt_key=key, reason_code="ERROR", cashier_id="c1"))
    return [one.text for one in void.texts]


def test_turnover_makes_a_tier(till: Any, clock_file: Path) -> None:
    """By amount, then by receipts; it ends with the period, and after its grace."""
    assert bought(till, 1) == FULL
    assert bought(till, 2) == SILVER
    assert bought(till, 2) == SILVER
    assert bought(till, 3) == SILVER
    assert quoted(till) == GOLD
    assert quoted(till, "card2") == FULL
    set_offset(clock_file, 30 * DAY_US)
    assert quoted(till) == SILVER
    set_offset(clock_file, 35 * DAY_US)
    assert quoted(till) == FULL


def test_the_turnover_of_a_forwarded_sale_goes_with_its_void(till: Any) -> None:
    """Its row has no answer to read: what it was sold for is worked out."""
    forwarded = till.Forward(forward_request(1, sale("card1"), AS_ANSWERED))
    assert forwarded.state == pb.FORWARD_STATE_RECORDED
    assert quoted(till) == SILVER
    voided(till, 1)
    assert quoted(till) == FULL
    assert bought(till, 2) == FULL
    assert quoted(till) == SILVER, "the next one counts from nothing"
    voided(till, 2)
    assert quoted(till) == FULL


def test_what_comes_back_lowers_it(till: Any) -> None:
    """A void undoes all of a receipt, a refund its part; and the sum is exact."""
    for number in (1, 2, 3):
        bought(till, number)
    voided(till, 3)
    assert quoted(till) == SILVER
    lines = [pb.RefundLine(line_id=one, quantity_milli=2_000) for one in ("1", "2", "3")]
    request = pb.RefundRequest(
        receipt_key=receipt_key(20),
        original_key=receipt_key(2),
        lines=lines,
        cashier_id="c1",
        reason_code="RETURN",
    )
    till.Refund(request)
    till.Refund(request)
    assert quoted(till) == SILVER
    request.receipt_key.receipt_number, request.original_key.receipt_number = "21", "1"
    del request.lines[:]
    request.lines.add(line_id="1", quantity_milli=1_000)
    till.Refund(request)
    assert quoted(till) == FULL
    voided(till, 1)
    assert bought(till, 4) == FULL
    assert quoted(till) == SILVER


def test_what_points_paid_does_not_come_off_it(till: Any) -> None:
    """A receipt that was paid with points in part has added less: no more goes with its goods."""
    assert bought(till, 1) == FULL
    basket = bytes([1]) * 16
    points = [pb.AssetAmount(asset_code="points", amount_minor=2_000)]
    reserve = pb.Reservation(amounts=points)
    asked = pb.QuoteRequest(basket_id=basket, sale=sale("card1"), reserve=reserve)
    token = till.Quote(asked).token
    key, made = receipt_key(2), sale("card1")
    request = pb.CheckoutRequest(receipt_key=key, basket_id=basket, sale=made, token=token)
    sold = till.Checkout(request)
    assert sold.answer.lines.totals.amount_minor == SILVER - 2_000
    for number, line_ids in ((3, ["1"]), (4, ["2", "3"])):
        till.Refund(
            pb.RefundRequest(
                receipt_key=receipt_key(number),
                original_key=key,
                lines=[pb.RefundLine(line_id=one, quantity_milli=2_000) for one in line_ids],
                cashier_id="c1",
                reason_code="RETURN",
            )
        )
    assert quoted(till) == SILVER, "the first receipt alone has been for 60,000"


def test_a_tier_that_is_given(till: Any, clock_file: Path) -> None:
    """It counts from the next receipt on, for its days, and goes with a void."""
    assert bought(till, 1, "gold") == FULL
    assert quoted(till) == GOLD
    set_offset(clock_file, 11 * DAY_US)
    assert quoted(till) == SILVER
    assert bought(till, 2, "gold", "card2") == FULL
    assert quoted(till, "card2") == GOLD
    voided(till, 2)
    assert quoted(till, "card2") == FULL


def test_a_tier_that_is_given_goes_with_the_goods(till: Any) -> None:
    """A part of them leaves it; the rest takes it back."""
    assert bought(till, 1, "gold") == FULL
    for number, line_ids in ((2, ["1"]), (3, ["2", "3"])):
        assert quoted(till) == GOLD
        till.Refund(
            pb.RefundRequest(
                receipt_key=receipt_key(number),
                original_key=receipt_key(1),
                lines=[pb.RefundLine(line_id=one, quantity_milli=2_000) for one in line_ids],
                cashier_id="c1",
                reason_code="RETURN",
            )
        )
    assert quoted(till) == FULL


def test_entries_to_a_draw_are_kept_and_undone(till: Any) -> None:
    """They are posted with the receipt, and a void takes them back."""
    bought(till, 1, "draw")
    voided(till, 1)
    assert quoted(till) == FULL


def test_what_is_taken_back_is_called_by_its_name(till: Any) -> None:
    """The slip of a void calls neither entries to a draw nor a tier coupons."""
    said = {}
    for number, trigger in enumerate(("draw", "prize", "gold"), 1):
        bought(till, number, trigger, card=f"card{number}")
        said[trigger] = voided(till, number)
    assert "Отозвано: 3 шанса" in said["draw"]
    assert "Отозвано: 2 приза" in said["prize"]
    assert "Отозван статус: gold" in said["gold"]
