"""Goal: what the contract promises of quotes, tokens, facts, voids and profiles, over real gRPC."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from server.clock import set_offset
from server.till_servicer import NOT_OFFERED
from tests.serving import (
    CHAIN,
    STORE,
    ServerProcess,
    checkout_request,
    reason_of,
    receipt_key,
    sale,
    serving,
    till_stub,
    with_totals,
)

BASKET = bytes(range(16))
OTHER_BASKET = bytes(range(1, 17))
HOUR_US = 3_600_000_000
COMPLETE = answer_pb2.SET_COMPLETENESS_COMPLETE


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    """The file that shifts the clock of the test's servers."""
    path = tmp_path / "clock"
    set_offset(path, 0)
    return path


@pytest.fixture
def server(place: dict[str, str], log_dir: Path, clock_file: Path) -> Iterator[ServerProcess]:
    """A server whose clock the test can shift."""
    with serving({**place, "LOYALTY_CLOCK_FILE": str(clock_file)}, log_dir) as servers:
        yield servers[0]


@pytest.fixture
def stub(server: ServerProcess) -> Iterator[Any]:
    """A till."""
    with grpc.insecure_channel(server.target) as channel:
        yield till_stub(channel)


def refusal(call: Any, request: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """The refusal that a call ends in."""
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    return reason_of(refused.value)


def quote(stub: Any, **changes: Any) -> pb.QuoteResponse:
    """A quote of the usual sale."""
    request = pb.QuoteRequest(basket_id=BASKET, sale=sale("card1"))
    for name, value in changes.items():
        setattr(request, name, value)
    answer: pb.QuoteResponse = stub.Quote(request)
    return answer


def test_four_sets(stub: Any) -> None:
    """A quote for a known customer has all four sets, complete and not empty."""
    answer = quote(stub).answer
    for status in (answer.lines, answer.rewards, answer.prompts, answer.cross_sell):
        assert status.status.completeness == COMPLETE
    lines = {line.line_id: line.amount_minor for line in answer.lines.lines}
    assert lines == {"1": 20_000, "2": 18_000, "3": 20_000}
    assert [(r.asset_code, r.amount_minor) for r in answer.rewards.rewards] == [("points", 2_900)]
    assert [prompt.field_code for prompt in answer.prompts.prompts] == ["mobile"]
    shown = [item.sku for item in answer.cross_sell.items]
    assert len(shown) == 2
    assert not {"sku0", "sku1", "sku2"} & set(shown)
    assert {entry.promotion_id for entry in answer.trace} == {"tea-10", "points-5"}
    assert answer.earning_estimated


def test_checkout_gives_what_the_quote_showed(stub: Any) -> None:
    """With the token the frozen instant and version hold, and nothing differs."""
    quoted = quote(stub)
    sold = stub.Checkout(
        pb.CheckoutRequest(
            receipt_key=receipt_key(1),
            sale=sale("card1"),
            basket_id=BASKET,
            token=quoted.token,
        )
    )
    assert sold.answer.evaluated_at_us == quoted.answer.evaluated_at_us
    assert sold.answer.ruleset_version == quoted.answer.ruleset_version
    assert sold.answer.lines == quoted.answer.lines
    assert not sold.differs_from_quote


@pytest.mark.parametrize("closed", [False, True], ids=["open", "fact"])
@pytest.mark.parametrize("kind", ["mangled", "other basket", "other customer", "expired"])
def test_bad_tokens(stub: Any, clock_file: Path, kind: str, closed: bool) -> None:
    """An open receipt is refused by reason; a fact is recorded with an exception."""
    token = quote(stub).token
    request = checkout_request(1, "card1", closed=closed, basket_id=BASKET, token=token)
    if kind == "mangled":
        request.token = token[:-1] + bytes([token[-1] ^ 1])
    elif kind == "other basket":
        request.basket_id = OTHER_BASKET
    elif kind == "other customer":
        request.sale.header.identifiers[0].value = "card2"
    else:
        set_offset(clock_file, HOUR_US + 1_000_000)
    if closed:
        sold = stub.Checkout(request)
        assert [entry.kind for entry in sold.exceptions] == [pb.EXCEPTION_KIND_TOKEN]
        return
    expected = {"mangled": "TOKEN_INVALID", "expired": "TOKEN_EXPIRED"}.get(kind, "TOKEN_FOREIGN")
    assert refusal(stub.Checkout, request)[1] == expected
    found = refusal(stub.GetReceipt, pb.GetReceiptRequest(receipt_key=receipt_key(1)))
    assert found[:2] == (grpc.StatusCode.NOT_FOUND, "RECEIPT_NOT_FOUND")


def test_a_fact_says_what_differs_from_a_quote_that_has_expired(
    stub: Any, clock_file: Path
) -> None:
    """It was paid by that quote; the token is not used, and what it said is not forgotten."""
    token = quote(stub).token
    set_offset(clock_file, HOUR_US + 1_000_000)
    request = checkout_request(1, "card1", closed=True, basket_id=BASKET, token=token)
    line = request.sale.lines[1]
    line.unit_price_scaled, line.amount_minor = 10_500, 21_000
    with_totals(request.sale)
    sold = stub.Checkout(request)
    found = [(one.line_id, one.quoted_minor, one.amount_minor) for one in sold.differs_from_quote]
    assert found == [("2", 18_000, 18_900)]
    (difference,) = sold.differs_from_quote
    assert difference.reason == pb.DIFFERENCE_REASON_TOKEN_NOT_USED
    kinds = {entry.kind for entry in sold.exceptions}
    assert kinds == {pb.EXCEPTION_KIND_TOKEN, pb.EXCEPTION_KIND_PRICE_ROSE}


def test_an_expired_quote_is_refreshed(stub: Any, clock_file: Path) -> None:
    """Within the hour a token keeps its instant; after it a Quote says PRICES_REFRESHED."""
    first = quote(stub)
    set_offset(clock_file, HOUR_US // 2)
    second = quote(stub, token=first.token)
    assert second.answer.evaluated_at_us == first.answer.evaluated_at_us
    assert second.token_expires_at_us == first.token_expires_at_us
    assert not second.prices_refreshed
    set_offset(clock_file, HOUR_US + 1_000_000)
    third = quote(stub, token=second.token)
    assert third.prices_refreshed
    assert third.answer.evaluated_at_us > first.answer.evaluated_at_us


def test_void_takes_back_and_repeats(stub: Any) -> None:
    """A void takes the points back, says so again when repeated, and shows in GetReceipt."""
    sold = stub.Checkout(checkout_request(1, "card5"))
    request = pb.VoidRequest(
        receipt_key=receipt_key(1), reason_code="PAYMENT_FAILED", cashier_id="c1"
    )
    voided = stub.Void(request)
    assert [(c.amount_minor, c.balance_minor) for c in voided.changes] == [(-2_900, 0)]
    assert stub.Void(request) == voided
    found = stub.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(1)))
    assert found.state == pb.RECEIPT_STATE_VOIDED
    assert (found.checkout, found.void_receipt) == (sold, voided)
    again = stub.BreakOff(pb.BreakOffRequest(receipt_key=receipt_key(1)))
    assert again.state == pb.RECEIPT_STATE_VOIDED
    unknown = pb.VoidRequest(receipt_key=receipt_key(2), reason_code="X", cashier_id="c1")
    assert refusal(stub.Void, unknown)[1] == "RECEIPT_NOT_FOUND"


def test_training_posts_nothing(stub: Any) -> None:
    """A TRAINING sale is answered and leaves nothing behind."""
    request = checkout_request(1, "card6")
    request.sale.header.mode = receipt_pb2.SALE_MODE_TRAINING
    assert stub.Checkout(request).result == pb.DURABLE_RESULT_TRAINING
    found = refusal(stub.GetReceipt, pb.GetReceiptRequest(receipt_key=receipt_key(1)))
    assert found[1] == "RECEIPT_NOT_FOUND"


def _identify(card: str) -> pb.IdentifyRequest:
    identifier = receipt_pb2.Identifier(
        kind=receipt_pb2.IDENTIFIER_KIND_CARD,
        value=card,
        entry_method=receipt_pb2.ENTRY_METHOD_SCANNED,
    )
    return pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier)


def test_identify(stub: Any) -> None:
    """A customer has a balance; an unknown card is no error."""
    stub.Checkout(checkout_request(1, "card7"))
    known = stub.Identify(_identify("card7"))
    assert known.state == answer_pb2.CUSTOMER_STATE_ACTIVE
    assert [(b.asset_code, b.amount_minor) for b in known.balances] == [("points", 2_900)]
    assert stub.Identify(_identify("nobody")).state == answer_pb2.CUSTOMER_STATE_UNKNOWN


def test_profile_answers(stub: Any) -> None:
    """An answer ends its prompt; a repeat is the same; other answers under the id conflict."""
    request = pb.SubmitProfileRequest(
        submission_id=BASKET,
        chain_id=CHAIN,
        store_id=STORE,
        identifier=_identify("card1").identifier,
        channel=pb.PROFILE_CHANNEL_TILL,
    )
    request.answers.add(field_code="mobile", value="8 (916) 123-45-67")
    first = stub.SubmitProfile(request)
    assert list(first.field_codes) == ["mobile"]
    assert stub.SubmitProfile(request) == first
    assert not quote(stub).answer.prompts.prompts
    request.answers[0].value = "+7 916 123-45-68"
    assert refusal(stub.SubmitProfile, request)[1] == "KEY_CONFLICT"
    request.submission_id, request.answers[0].value = OTHER_BASKET, "12"
    assert refusal(stub.SubmitProfile, request)[1] == "ANSWER_REJECTED"


def _bad_sales() -> dict[str, tuple[Any, str]]:
    """Sales that are refused, with the reason."""
    found: dict[str, tuple[Any, str]] = {}
    for name, quantity, reason in (
        ("no quantity", 0, "OUT_OF_RANGE"),
        ("negative", -1_000, "OUT_OF_RANGE"),
        ("too much", 10_000_001, "OUT_OF_RANGE"),
        ("part piece", 1_500, "INCONSISTENT"),
    ):
        bad = sale()
        bad.lines[0].quantity_milli = quantity
        found[name] = (bad, reason)
    nul = sale()
    nul.lines[0].sku = "a\x00b"
    found["NUL"] = (nul, "BAD_TEXT")
    money = sale()
    money.header.currency_code = "EUR"
    found["currency"] = (money, "CURRENCY_MISMATCH")
    found["1001 lines"] = (sale(lines=1_001), "LIMIT_EXCEEDED")
    totals = sale()
    totals.header.control_totals.amount_minor += 1
    found["totals"] = (totals, "CONTROL_TOTALS_MISMATCH")
    store = sale()
    store.header.store_id = "nowhere"
    found["store"] = (store, "INCONSISTENT")
    return found


@pytest.mark.parametrize("name", sorted(_bad_sales()))
def test_bad_sales_are_refused_and_nothing_is_lost(stub: Any, name: str) -> None:
    """Bad input gets its reason, leaves nothing, and the key still takes the good sale."""
    bad, reason = _bad_sales()[name]
    for closed in (False, True):
        request = pb.CheckoutRequest(receipt_key=receipt_key(1), sale=bad, closed=closed)
        code, found, metadata = refusal(stub.Checkout, request)
        assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        assert metadata["result"] == "REFUSED"
    assert stub.Checkout(checkout_request(1)).result == pb.DURABLE_RESULT_COMMITTED


@pytest.mark.parametrize("name", ["NOT_SOLD", "UNKNOWN"])
def test_what_was_not_sold_is_no_closed_receipt(stub: Any, name: str) -> None:
    """It would earn: Void undoes a sale, Forward says that there was none."""
    request = checkout_request(1)
    request.closed = True
    request.outcome.kind = receipt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{name}")
    request.outcome.number = 1
    code, found, _ = refusal(stub.Checkout, request)
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, "INCONSISTENT")
    assert stub.Checkout(checkout_request(1)).result == pb.DURABLE_RESULT_COMMITTED


@pytest.mark.parametrize("line_id", ["1", "none"])
def test_an_outcome_states_each_line_once(stub: Any, line_id: str) -> None:
    """Of two amounts one would be told the back office, of another receipt's line none."""
    request = checkout_request(1, closed=True)
    request.outcome.kind, request.outcome.number = receipt_pb2.OUTCOME_KIND_OTHER, 1
    request.outcome.lines.add(line_id="1", amount_minor=5)
    request.outcome.lines.add(line_id=line_id, amount_minor=6)
    code, found, metadata = refusal(stub.Checkout, request)
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, "INCONSISTENT")
    assert metadata["result"] == "REFUSED"
    del request.outcome.lines[1]
    assert stub.Checkout(request).result == pb.DURABLE_RESULT_COMMITTED


def test_unknown_sku_is_priced_as_sent(stub: Any) -> None:
    """An article that the feed does not know is sold as sent, flagged, and earns."""
    unknown = sale("card8", lines=1)
    unknown.lines[0].sku = "never-seen"
    sold = stub.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(1), sale=unknown))
    line = sold.answer.lines.lines[0]
    assert (line.unknown_sku, line.amount_minor) == (True, 20_000)
    assert [reward.amount_minor for reward in sold.answer.rewards.rewards] == [1_000]


def test_a_thousand_lines_pass(stub: Any) -> None:
    """The limit itself is allowed."""
    sold = stub.Checkout(
        pb.CheckoutRequest(receipt_key=receipt_key(1), sale=with_totals(sale(lines=1_000)))
    )
    assert len(sold.answer.lines.lines) == 1_000


def test_bytes_that_are_no_protobuf(server: ServerProcess) -> None:
    """They get a clear refusal, not an internal error."""
    methods = [f"TillService/{name}" for name in ("Checkout", "Quote", "Identify", "BreakOff")]
    methods += ["TillService/Void", "TillService/Enroll", "BackOfficeService/PublishProgram"]
    with grpc.insecure_channel(server.target) as channel:
        for method in methods:
            call: Any = channel.unary_unary(f"/loyalty.v1.{method}")
            found = refusal(call, b"\xff\xff\xff\xffnonsense")
            assert found[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE"), method


def test_later_calls_are_unimplemented(stub: Any) -> None:
    """Calls of later versions answer UNIMPLEMENTED with a reason."""
    for name in NOT_OFFERED:
        request = getattr(pb, f"{name}Request")()
        found = refusal(getattr(stub, name), request)
        assert found[:2] == (grpc.StatusCode.UNIMPLEMENTED, "NOT_OFFERED")
