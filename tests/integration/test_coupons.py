"""Goal: a coupon of a series works once, whoever shows it, wherever, and however often it is sent.

Method: two server processes over one database; what they say is read from answers, what they did
from the audit.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset, system_clock
from tests.serving import (
    CHAIN,
    PROGRAM,
    STORE,
    PlaceWith,
    ServerProcess,
    raw_checkout,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
)
from tests.starting import run

DAY_US = 86_400_000_000
FULL, HALF = 60_000, 30_000
APPLIED = answer_pb2.COUPON_STATE_APPLIED
USED = answer_pb2.COUPON_STATE_USED
RUSHES = 12


def promotion(promotion_id: str, gives: dict[str, Any], **keys: Any) -> dict[str, Any]:
    names = [{"language_code": "ru", "text": promotion_id}]
    return {"promotion_id": promotion_id, "names": names, "lane": "price", "gives": [gives], **keys}


def by_series(series_code: str, rate_bp: int) -> dict[str, Any]:
    asks = [{"code": "coupon", "series": [series_code]}]
    return promotion(series_code, {"code": "percent_off", "rate_bp": rate_bp}, conditions=asks)


def given_for(series_code: str) -> dict[str, Any]:
    asks = [{"code": "trigger", "any_of": [series_code]}]
    gives = {"code": "coupon_reward", "series_code": series_code}
    return promotion(f"give-{series_code}", gives, lane="reward", conditions=asks)


COUPONS = test_program(
    coupon_series=[
        {"series_code": "half", "valid_days": 7},
        {"series_code": "next", "valid_days": 7},
        {"series_code": "gift", "valid_days": 7, "bearer": True},
    ],
    promotions=[
        by_series("half", 5_000),
        by_series("next", 5_000),
        by_series("gift", 5_000),
        given_for("next"),
        given_for("gift"),
    ],
)


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    path = tmp_path / "clock"
    set_offset(path, 0)
    return path


@pytest.fixture
def servers(
    place_with: PlaceWith, log_dir: Path, clock_file: Path
) -> Iterator[list[ServerProcess]]:
    """Two servers with the program of this file in force; the ledger is audited at the end."""
    clocked = {**place_with(COUPONS), "LOYALTY_CLOCK_FILE": str(clock_file)}
    with serving(clocked, log_dir, 2) as found:
        yield found
        with grpc.insecure_channel(found[0].target) as channel:
            audited = BackOfficeServiceStub(channel).AuditLedger(bo.AuditLedgerRequest())
            assert list(audited.problems) == []


@pytest.fixture
def tills(servers: list[ServerProcess]) -> Iterator[list[Any]]:
    """A till at each server."""
    with (
        grpc.insecure_channel(servers[0].target) as one,
        grpc.insecure_channel(servers[1].target) as two,
    ):
        yield [till_stub(one), till_stub(two)]


@pytest.fixture
def office(servers: list[ServerProcess]) -> Iterator[Any]:
    with grpc.insecure_channel(servers[1].target) as channel:
        yield BackOfficeServiceStub(channel)


def imported(office: Any, *codes: str, expires_at_us: int = 0) -> bo.ImportCouponsResponse:
    coupons = [bo.ImportedCoupon(code=code, expires_at_us=expires_at_us) for code in codes]
    request = bo.ImportCouponsRequest(chain_id=CHAIN, series_code="half", coupons=coupons)
    answer: bo.ImportCouponsResponse = office.ImportCoupons(request)
    return answer


def asked(
    number: int, *codes: str, card: str = "", trigger: str = "", closed: bool = False
) -> pb.CheckoutRequest:
    made = sale(card)
    made.header.coupon_codes.extend(codes)
    if trigger:
        made.header.manual_triggers.append(trigger)
    return pb.CheckoutRequest(receipt_key=receipt_key(number), sale=made, closed=closed)


def to_pay(answer: Any) -> int:
    amount: int = answer.answer.lines.totals.amount_minor
    return amount


def states(answer: Any) -> list[int]:
    return [coupon.state for coupon in answer.answer.coupons]


def test_an_imported_coupon_works_once(tills: list[Any], office: Any) -> None:
    """The first receipt that shows it gets it; the second pays in full, at any server."""
    assert imported(office, "abc-1", "abc-2").created == 2
    assert imported(office, "ABC-2", "abc-3").created == 1
    quoted = tills[0].Quote(pb.QuoteRequest(basket_id=bytes(16), sale=asked(1, "Abc-1").sale))
    assert (to_pay(quoted), states(quoted)) == (HALF, [APPLIED])
    sold = tills[0].Checkout(asked(1, "Abc-1"))
    assert (to_pay(sold), states(sold)) == (HALF, [APPLIED])
    again = tills[1].Checkout(asked(2, "abc-1"))
    assert (to_pay(again), states(again)) == (FULL, [USED])
    assert not again.exceptions
    assert tills[1].Checkout(asked(1, "Abc-1")) == sold
    assert imported(office, "abc-1").created == 0
    assert to_pay(tills[0].Checkout(asked(3, "abc-1"))) == FULL


def test_a_used_coupon_on_a_paid_receipt_is_an_exception(tills: list[Any], office: Any) -> None:
    """A fact is recorded, at what the rules give, and says which coupon did not count."""
    imported(office, "once")
    tills[0].Checkout(asked(1, "once"))
    fact = tills[1].Checkout(asked(2, "once", closed=True))
    assert to_pay(fact) == FULL
    assert [(one.kind, one.detail) for one in fact.exceptions] == [
        (pb.EXCEPTION_KIND_COUPON, "once: USED")
    ]


def test_a_quoted_coupon_that_somebody_else_used_is_a_higher_price(
    tills: list[Any], office: Any
) -> None:
    """The open receipt is refused instead of sold dearer than it was quoted."""
    imported(office, "race")
    request = asked(1, "race")
    quoted = tills[0].Quote(pb.QuoteRequest(basket_id=bytes(16), sale=request.sale))
    tills[1].Checkout(asked(2, "race"))
    request.basket_id, request.token = bytes(16), quoted.token
    with pytest.raises(grpc.RpcError) as refused:
        tills[0].Checkout(request)
    assert reason_of(refused.value)[1] == "PRICE_WOULD_RISE"


def test_two_coupons_of_one_series_use_one(tills: list[Any], office: Any) -> None:
    """The one shown first is used, the other stays."""
    imported(office, "one", "two")
    both = tills[0].Checkout(asked(1, "one", "two"))
    assert to_pay(both) == HALF
    assert states(both) == [APPLIED, answer_pb2.COUPON_STATE_NOT_CHOSEN]
    assert to_pay(tills[1].Checkout(asked(2, "one"))) == FULL
    assert to_pay(tills[1].Checkout(asked(3, "two"))) == HALF


def test_an_expired_coupon(tills: list[Any], office: Any, clock_file: Path) -> None:
    """Up to its last instant it works, after it it does not."""
    imported(office, "late", "later", expires_at_us=system_clock() + DAY_US)
    assert to_pay(tills[0].Checkout(asked(1, "late"))) == HALF
    set_offset(clock_file, 2 * DAY_US)
    late = tills[0].Checkout(asked(2, "later"))
    assert (to_pay(late), states(late)) == (FULL, [answer_pb2.COUPON_STATE_EXPIRED])


def test_what_has_expired_leaves_the_accounts_of_bearers(
    tills: list[Any], office: Any, clock_file: Path
) -> None:
    """The job takes it out, once: it is owed to nobody any more."""
    imported(office, "used", "late", "later", expires_at_us=system_clock() + DAY_US)
    tills[0].Checkout(asked(1, "used"))
    set_offset(clock_file, 2 * DAY_US)
    done = office.ExpireLots(lg.ExpireLotsRequest())
    assert [(one.asset_code, one.amount_minor) for one in done.amounts] == [("coupon.half", 2)]
    assert office.ExpireLots(lg.ExpireLotsRequest()).accounts == 0


def test_the_coupon_for_the_next_visit(tills: list[Any]) -> None:
    """It is found without being shown, once; its code is of no use to others."""
    first = tills[0].Checkout(asked(1, card="card1", trigger="next"))
    [reward] = first.answer.rewards.rewards
    [code] = reward.codes
    assert (reward.detail_code, reward.count, to_pay(first)) == ("next", 1, FULL)
    slip = [text.text for text in first.answer.texts if text.text == code]
    assert slip
    assert tills[1].Checkout(asked(1, card="card1", trigger="next")) == first
    stranger = tills[1].Checkout(asked(2, code, card="card2"))
    assert (to_pay(stranger), states(stranger)) == (FULL, [answer_pb2.COUPON_STATE_NOT_YOURS])
    quoted = tills[1].Quote(pb.QuoteRequest(basket_id=bytes(16), sale=sale("card1")))
    assert to_pay(quoted) == HALF
    assert to_pay(tills[1].Checkout(asked(3, card="card1"))) == HALF
    assert to_pay(tills[0].Checkout(asked(4, card="card1"))) == FULL
    assert states(tills[0].Checkout(asked(5, code, card="card1"))) == [USED]


def test_a_coupon_shown_by_its_owner_is_used_once(tills: list[Any]) -> None:
    """Shown or found, it is one coupon."""
    first = tills[0].Checkout(asked(1, card="card1", trigger="next"))
    [code] = first.answer.rewards.rewards[0].codes
    shown = tills[0].Checkout(asked(2, code.lower(), card="card1"))
    assert (to_pay(shown), states(shown)) == (HALF, [APPLIED])
    assert to_pay(tills[0].Checkout(asked(3, card="card1"))) == FULL


def set_state(office: Any, card: str, state: str) -> None:
    identifier = bo.ImportedIdentifier(kind="card", value=card)
    number = card.removeprefix("card")
    customer = bo.Customer(customer_number=number, identifiers=[identifier], state=state)
    office.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[customer]))


@pytest.mark.parametrize("state", ["earn_only", "blocked"])
def test_who_may_not_spend_uses_no_coupon_of_their_own(
    tills: list[Any], office: Any, state: str
) -> None:
    """Found or shown it does not count, and waits; a bearer's is of use to whoever shows it."""
    first = tills[0].Checkout(asked(1, card="card1", trigger="next"))
    [code] = first.answer.rewards.rewards[0].codes
    set_state(office, "card1", state)
    assert to_pay(tills[1].Checkout(asked(2, card="card1"))) == FULL
    may_not = [answer_pb2.COUPON_STATE_MAY_NOT_SPEND]
    request = reserving(3, bytes(16), code)
    request.sale.header.identifiers.extend(sale("card1").header.identifiers)
    quoted = tills[1].Quote(request)
    assert (to_pay(quoted), states(quoted)) == (FULL, may_not)
    assert "списывать нельзя" in quoted.answer.coupons[0].text
    shown = tills[0].Checkout(asked(4, code, card="card1"))
    assert (to_pay(shown), states(shown), len(shown.exceptions)) == (FULL, may_not, 0)
    fact = tills[0].Checkout(asked(5, code, card="card1", closed=True))
    assert (to_pay(fact), [(one.kind, one.detail) for one in fact.exceptions]) == (
        FULL,
        [(pb.EXCEPTION_KIND_COUPON, f"{code}: MAY_NOT_SPEND")],
    )
    imported(office, "theirs")
    assert to_pay(tills[0].Checkout(asked(6, "theirs", card="card1"))) == HALF
    set_state(office, "card1", "active")
    assert to_pay(tills[1].Checkout(asked(7, card="card1"))) == HALF


def said_by(answer: Any) -> list[str]:
    return [one.text for one in answer.texts if one.place == answer_pb2.TEXT_PLACE_CASHIER]


@pytest.mark.parametrize(
    ("card", "state", "text"),
    [
        ("card1", "active", ""),
        ("card1", "earn_only", "Карта только для накопления: списать нельзя"),
        ("card1", "blocked", "Карта заблокирована: продажа без начисления"),
        ("nobody", "", "Клиент не найден: продажа без начисления"),
    ],
)
def test_identify_says_of_a_state_what_a_quote_says(
    tills: list[Any], office: Any, card: str, state: str, text: str
) -> None:
    tills[0].Checkout(asked(1, card="card2", trigger="next"))
    if state:
        set_state(office, card, state)
    identifier = sale(card).header.identifiers[0]
    request = pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier)
    assert said_by(tills[0].Identify(request)) == ([text] if text else [])
    quoted = tills[1].Quote(pb.QuoteRequest(basket_id=bytes(16), sale=sale(card)))
    assert said_by(quoted.answer) == ([text] if text else [])


@pytest.mark.parametrize(("trigger", "card"), [("next", ""), ("gift", "card1")])
def test_a_coupon_for_whoever_shows_it(tills: list[Any], trigger: str, card: str) -> None:
    """An anonymous buyer's coupon, and one of a series for bearers, need nobody to be known."""
    first = tills[0].Checkout(asked(1, card=card, trigger=trigger))
    [code] = first.answer.rewards.rewards[0].codes
    assert to_pay(tills[1].Checkout(asked(2, card="card1"))) == FULL
    assert to_pay(tills[1].Checkout(asked(3, code, card="card2"))) == HALF
    assert to_pay(tills[1].Checkout(asked(4, code))) == FULL


def test_two_tills_redeem_one_coupon_at_the_same_instant(
    servers: list[ServerProcess], office: Any
) -> None:
    """Of receipts at both servers that show it at once exactly one gets it, time after time."""
    imported(office, *[f"rush-{n}" for n in range(RUSHES)])

    async def rush() -> list[tuple[int, int]]:
        async with (
            grpc.aio.insecure_channel(servers[0].target) as one,
            grpc.aio.insecure_channel(servers[1].target) as two,
        ):
            calls = [
                raw_checkout(channel, asked(100 * n + place, f"rush-{n}"))
                for n in range(RUSHES)
                for place, channel in enumerate((one, two, one, two))
            ]
            answers = [pb.CheckoutResponse.FromString(raw) for raw in await asyncio.gather(*calls)]
        return [(to_pay(answer), states(answer)[0]) for answer in answers]

    found = asyncio.run(rush())
    for n in range(RUSHES):
        four = sorted(found[4 * n : 4 * n + 4])
        assert four == [(HALF, APPLIED), *[(FULL, USED)] * 3]


def reserving(number: int, basket_id: bytes, code: str) -> pb.QuoteRequest:
    request = pb.QuoteRequest(basket_id=basket_id, sale=asked(number, code).sale)
    request.reserve.coupon_codes.append(code)
    return request


def test_a_basket_holds_a_coupon(tills: list[Any], office: Any) -> None:
    """Others cannot use it until it is released; the basket's own checkout can; a fact always."""
    imported(office, "held", "freed", "fact")
    mine, other = bytes(16), bytes(range(16))
    held = answer_pb2.COUPON_STATE_HELD
    quoted = tills[0].Quote(reserving(1, mine, "held"))
    assert states(quoted) == [APPLIED]
    assert states(tills[1].Quote(reserving(2, other, "held"))) == [held]
    refused = tills[1].Checkout(asked(2, "held"))
    assert (to_pay(refused), states(refused)) == (FULL, [held])
    request = asked(1, "held")
    request.basket_id, request.token = mine, quoted.token
    assert to_pay(tills[0].Checkout(request)) == HALF
    tills[0].Quote(reserving(3, other, "freed"))
    assert states(tills[1].Checkout(asked(4, "freed"))) == [held]
    tills[0].Release(pb.ReleaseRequest(basket_id=other))
    assert states(tills[1].Checkout(asked(5, "freed"))) == [APPLIED]
    tills[0].Quote(reserving(6, other, "fact"))
    assert states(tills[1].Checkout(asked(7, "fact", closed=True))) == [APPLIED]


def voided(number: int) -> pb.VoidRequest:
    key = receipt_key(number)
    return pb.VoidRequest(receipt_key=key, reason_code="PAYMENT_FAILED", cashier_id="c1")


def refunded(number: int, original: int, *line_ids: str) -> pb.RefundRequest:
    lines = [pb.RefundLine(line_id=one, quantity_milli=2_000) for one in line_ids]
    return pb.RefundRequest(
        receipt_key=receipt_key(number),
        original_key=receipt_key(original),
        lines=lines,
        cashier_id="c1",
        reason_code="RETURN",
    )


def test_a_void_gives_the_coupon_back_and_a_refund_does_not(tills: list[Any], office: Any) -> None:
    """What was undone as a whole was not bought; what came back in part was."""
    imported(office, "back", "gone")
    tills[0].Checkout(asked(1, "back"))
    tills[1].Void(voided(1))
    tills[1].Void(voided(1))
    assert states(tills[0].Checkout(asked(2, "back"))) == [APPLIED]
    tills[0].Checkout(asked(3, "gone"))
    tills[1].Refund(refunded(30, 3, "1"))
    assert states(tills[0].Checkout(asked(4, "gone"))) == [USED]


@pytest.mark.parametrize("card", ["card1", ""])
def test_a_void_takes_back_the_coupon_that_was_given(tills: list[Any], card: str) -> None:
    """What a receipt has given out is of no use once it is undone."""
    first = tills[0].Checkout(asked(1, card=card, trigger="next"))
    [code] = first.answer.rewards.rewards[0].codes
    tills[1].Void(voided(1))
    again = tills[0].Checkout(asked(2, code, card=card))
    assert (to_pay(again), states(again)) == (FULL, [USED])


def test_the_command_imports_a_file(
    servers: list[ServerProcess], office: Any, tills: list[Any], tmp_path: Path
) -> None:
    """Again it changes nothing; a bad row is named by its line."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("code,expires_at\nfile-1,\nfile-2,2099-01-01T00:00:00+03:00\n")
    bad.write_text("code,expires_at\nfile-3,tomorrow\n")
    options = ["--chain", CHAIN, "--series", "half", "--target", servers[0].target]

    for _ in range(2):
        done = run("server.ctl", "import", "coupons", good, *options)
        assert (done.returncode, "2 imported" in done.stdout) == (0, True), done.stderr
    failed = run("server.ctl", "import", "coupons", bad, *options)
    assert failed.returncode
    assert "line 2: expires_at" in failed.stderr
    assert states(tills[0].Checkout(asked(1, "FILE-2"))) == [APPLIED]
    assert imported(office, "file-1", "file-3").created == 1


def test_training_uses_no_coupon(tills: list[Any], office: Any) -> None:
    """It is answered as if it did, and gives out no code."""
    imported(office, "keep")
    request = asked(1, "keep", trigger="gift")
    request.sale.header.mode = receipt_pb2.SALE_MODE_TRAINING
    trained = tills[0].Checkout(request)
    assert to_pay(trained) == HALF
    assert not trained.answer.rewards.rewards[0].codes
    assert to_pay(tills[0].Checkout(asked(2, "keep"))) == HALF


@pytest.mark.parametrize(
    ("series_code", "codes", "reason"),
    [
        ("nobody", ["a"], "INCONSISTENT"),
        ("half", ["a", "A"], "INCONSISTENT"),
        ("half", [""], "FIELD_REQUIRED"),
        ("half", [], "FIELD_REQUIRED"),
    ],
    ids=["series", "twice", "empty", "none"],
)
def test_bad_imports(
    office: Any, tills: list[Any], series_code: str, codes: list[str], reason: str
) -> None:
    """Nothing of them is imported, and the reason is named."""
    coupons = [bo.ImportedCoupon(code=code) for code in codes]
    request = bo.ImportCouponsRequest(chain_id=CHAIN, series_code=series_code, coupons=coupons)
    with pytest.raises(grpc.RpcError) as refused:
        office.ImportCoupons(request)
    assert reason_of(refused.value)[1] == reason
    sold = tills[0].Checkout(asked(1, "a", card="card1"))
    assert states(sold) == [answer_pb2.COUPON_STATE_UNKNOWN]
    tills[0].Checkout(asked(2, card="card1", trigger="next"))


def test_the_program_has_other_promotions_than_the_shared_one() -> None:
    """What this file asserts in full prices holds only without the shared discounts."""
    assert {one["promotion_id"] for one in PROGRAM["promotions"]}.isdisjoint(
        one.promotion_id for one in COUPONS.promotions
    )
