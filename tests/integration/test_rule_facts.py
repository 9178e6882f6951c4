"""Goal: every fact that a rule may ask for reaches it, from an import or from earlier receipts.

Method: one program whose promotions each ask for one fact and give a discount of their own on an
article of their own; what they say of a receipt is read from the trace over real gRPC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import pytest

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset, system_clock
from tests.serving import (
    CHAIN,
    checkout_request,
    publish,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
)

DAY_US = 86_400_000_000
FIRED, FAILED = answer_pb2.TRACE_OUTCOME_FIRED, answer_pb2.TRACE_OUTCOME_FAILED
PERCENT = {"code": "percent_off", "rate_bp": 1_000}


def promotion(promotion_id: str, gives: dict[str, Any] = PERCENT, **keys: Any) -> dict[str, Any]:
    names = [{"language_code": "ru", "text": promotion_id}]
    made = {"promotion_id": promotion_id, "names": names, "lane": "price", "stackable": True}
    return {**made, "gives": [gives], **keys}


def asks(code: str, **arguments: Any) -> dict[str, Any]:
    return promotion(code, conditions=[{"code": code, **arguments}])


PROMOTIONS = [
    asks("tier", any_of=["gold"]),
    asks("nth_purchase", n=2),
    asks("days_since_purchase", from_days=1, to_days=3),
    asks("history", counter_code="visits", from_count=5),
    asks("birthday", days_before=3, days_after=3),
    asks("receipt_amount", own_offer="stretch", basis="as_sent"),
    asks("coupon", any_of=["TEA"]),
    asks("trigger", any_of=["pensioner"]),
    asks("tender", card_bins=["220070"]),
    asks("staff_purchase"),
    asks("channels", any_of=["staffed"]),
    promotion("favourites", products={"own_offer": "favourites"}),
    promotion("card-price", {"code": "price_list", "list_code": "card"}),
]


BORN = {
    "field_code": "birth_date",
    "questions": [{"language_code": "ru", "text": "Дата рождения?"}],
    "check": "date",
}


@pytest.fixture
def target(place: dict[str, str], log_dir: Path, tmp_path: Path) -> Iterator[str]:
    clock_file = tmp_path / "clock"
    set_offset(clock_file, 0)
    with serving({**place, "LOYALTY_CLOCK_FILE": str(clock_file)}, log_dir) as servers:
        with grpc.insecure_channel(servers[0].target) as channel:
            publish(
                BackOfficeServiceStub(channel),
                test_program(promotions=PROMOTIONS, profile_fields=[BORN]),
                clock_file,
            )
        yield servers[0].target


@pytest.fixture
def stub(target: str) -> Iterator[Any]:
    with grpc.insecure_channel(target) as channel:
        yield till_stub(channel)


@pytest.fixture
def office(target: str) -> Iterator[Any]:
    with grpc.insecure_channel(target) as channel:
        yield BackOfficeServiceStub(channel)


def customer(number: int, **fields: Any) -> bo.Customer:
    identifier = bo.ImportedIdentifier(kind="card", value=f"card{number}")
    return bo.Customer(customer_number=str(number), identifiers=[identifier], **fields)


def import_one(office: Any, one: bo.Customer) -> None:
    office.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[one]))


def quoted(stub: Any, card: str, made: Any = None) -> answer_pb2.Answer:
    request = pb.QuoteRequest(basket_id=bytes(range(16)), sale=made or sale(card))
    answer: answer_pb2.Answer = stub.Quote(request).answer
    return answer


def fired(answer: answer_pb2.Answer) -> set[str]:
    return {entry.promotion_id for entry in answer.trace if entry.outcome == FIRED}


def test_what_the_till_sends_reaches_the_rules(stub: Any) -> None:
    made = sale("")
    assert fired(quoted(stub, "", made)) == {"channels"}
    made.header.coupon_codes.extend(["tea", "nobody's"])
    made.header.manual_triggers.append("pensioner")
    made.header.staff_purchase = True
    made.tenders.add(
        kind=receipt_pb2.TENDER_KIND_CARD,
        state=receipt_pb2.TENDER_STATE_PLANNED,
        amount_minor=100,
        card_bin="220070",
    )
    answer = quoted(stub, "", made)
    assert fired(answer) == {"channels", "coupon", "trigger", "staff_purchase", "tender"}
    assert [(c.code, c.state, c.text) for c in answer.coupons] == [
        ("tea", answer_pb2.COUPON_STATE_APPLIED, "Купон tea: coupon"),
        ("nobody's", answer_pb2.COUPON_STATE_UNKNOWN, "Купон nobody's не найден"),
    ]


def test_what_is_imported_of_a_customer_reaches_the_rules(stub: Any, office: Any) -> None:
    assert fired(quoted(stub, "card1")) == {"channels"}
    one = customer(1, tier="gold")
    one.counters.add(counter_code="visits", count=5)
    one.offers.add(offer_code="stretch", amount_from_minor=60_000)
    one.offers.add(offer_code="favourites", categories=["tea"])
    import_one(office, one)
    wanted = {"channels", "tier", "history", "receipt_amount", "favourites"}
    answer = quoted(stub, "card1")
    assert fired(answer) == wanted
    changed = {line.line_id for line in answer.lines.lines for a in line.adjustments
               if a.promotion_id == "favourites"}  # fmt: skip
    assert changed == {"2"}, "only the customer's own category"
    one.offers[0].amount_from_minor = 60_001
    one.counters[0].count = 4
    import_one(office, one)
    answer = quoted(stub, "card1")
    assert fired(answer) == wanted - {"history", "receipt_amount"}
    assert [(h.promotion_id, h.missing_minor) for h in answer.hints] == [("receipt_amount", 1)]
    import_one(office, customer(1))
    assert fired(quoted(stub, "card1")) == {"channels"}, "an import replaces what it does not name"


def born(days: int) -> str:
    """A birth date of somebody whose birthday is so many days from now in the store."""
    local = datetime.fromtimestamp(system_clock() // 1_000_000, UTC)
    day = local.astimezone(ZoneInfo("Europe/Moscow")).date() + timedelta(days=days)
    return date(1980, day.month, day.day).isoformat()


def test_a_birthday_is_known_by_its_answer(stub: Any, office: Any) -> None:
    for number, days in enumerate((3, -3, 4, -4)):
        one = customer(number)
        one.answers.add(field_code="birth_date", value=born(days), answered_at_us=1)
        import_one(office, one)
        assert ("birthday" in fired(quoted(stub, f"card{number}"))) == (abs(days) == 3)


def test_purchases_are_counted_and_uncounted(stub: Any, tmp_path: Path) -> None:
    def traced(answer: answer_pb2.Answer) -> set[str]:
        return fired(answer) & {"nth_purchase", "days_since_purchase"}

    assert not traced(stub.Checkout(checkout_request(1, "card3")).answer)
    training = checkout_request(9, "card3")
    training.sale.header.mode = receipt_pb2.SALE_MODE_TRAINING
    stub.Checkout(training)
    assert traced(quoted(stub, "card3")) == {"nth_purchase"}
    set_offset(tmp_path / "clock", DAY_US)
    second = checkout_request(2, "card3")
    assert traced(stub.Checkout(second).answer) == {"nth_purchase", "days_since_purchase"}
    assert traced(stub.Checkout(second).answer), "a repetition is the first answer"
    assert not traced(quoted(stub, "card3"))
    void = pb.VoidRequest(receipt_key=receipt_key(2), reason_code="X", cashier_id="c1")
    for _ in range(2):
        stub.Void(void)
    assert traced(quoted(stub, "card3")) == {"nth_purchase", "days_since_purchase"}


def listed(price_minor: int, **fields: Any) -> bo.ListedPrice:
    return bo.ListedPrice(sku="sku0", price_minor=price_minor, **fields)


def import_prices(office: Any, *prices: bo.ListedPrice) -> None:
    request = bo.ImportPricesRequest(chain_id=CHAIN, list_code="card", prices=prices)
    assert office.ImportPrices(request).imported == len(prices)


def test_the_most_personal_price_of_a_list_counts(stub: Any, office: Any) -> None:
    def paid(card: str) -> int:
        lines = stub.Quote(pb.QuoteRequest(basket_id=bytes(range(16)), sale=plain(card)))
        amount: int = lines.answer.lines.lines[0].amount_minor
        return amount

    def plain(card: str) -> Any:
        made = sale(card)
        made.header.till_type = receipt_pb2.TILL_TYPE_WEB
        return made

    assert paid("card4") == 20_000
    everybody, segment = listed(9_000), listed(9_500, segment="all")
    import_prices(office, everybody, segment, listed(100, zone="elsewhere"))
    assert paid("") == 18_000
    assert paid("card4") == 19_000, "a segment's price counts before everybody's, though dearer"
    import_prices(office, listed(8_000, customer_number="4"), listed(1, customer_number="5"))
    assert paid("card4") == 16_000
    assert paid("card6") == 19_000
    import_prices(office, listed(7_000, customer_number="4", unit="kilogram"))
    assert paid("card4") == 19_000, "a price of another unit is none"
    gone = bo.ListedPrice(sku="sku0", segment="all", removed=True)
    import_prices(office, gone)
    assert paid("card4") == 18_000
    sold = stub.Checkout(checkout_request(1, "card4"))
    assert "card-price" in fired(sold.answer)
