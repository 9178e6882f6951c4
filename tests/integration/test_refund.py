"""Goal: refunds, exchanges and voids as the contract promises them. Points are hundredths.

Real servers over one database; the ledger is proved after each test.
"""

from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import customer_service_pb2, ledger_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.refunding import Shop, basket, exchanged, named, refund_request, said, settled
from tests.serving import CHAIN, reason_of, receipt_key

NOTHING = (0, 0, 0, 0)


def refusal_of(call: Any, request: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as refused:
        call(request)
    _, reason, metadata = reason_of(refused.value)
    return reason, metadata


def exceptions_of(answer: Any) -> list[str]:
    """The reasons of what could not be settled of a fact."""
    assert {one.kind for one in answer.exceptions} <= {pb.EXCEPTION_KIND_RETURN_LINES}
    return [one.detail.split(":")[0] for one in answer.exceptions]


def state_of(shop: Shop, number: int) -> pb.GetReceiptResponse:
    request = pb.GetReceiptRequest(receipt_key=receipt_key(number))
    found: pb.GetReceiptResponse = shop.tills[1].GetReceipt(request)
    return found


# --- what is refused --------------------------------------------------------------------------


def test_each_mistake_has_its_reason_and_posts_nothing(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000)))
    receipt_id = shop.sql("select key_id from receipt")[0][0].hex()
    said = {"receipt_id": receipt_id, "result": "REFUSED"}
    assert shop.refused(2, 99, {"sku1": 1_000})[0] == "RECEIPT_NOT_FOUND"
    assert shop.refused(2, 1, {"sku7": 1_000}) == ("LINE_NOT_FOUND", {**said, "line_id": "sku7"})
    assert shop.refused(2, 1, {"sku1": 3_000}) == (
        "MORE_THAN_SOLD",
        {**said, "line_id": "sku1", "left_milli": "2000"},
    )
    assert shop.refused(2, 1, {"sku1": 500}) == ("NOT_WHOLE_PIECES", {**said, "line_id": "sku1"})
    shop.refund(2, 1, {"sku1": 1_000})
    assert shop.refused(3, 1, {"sku1": 2_000})[1]["left_milli"] == "1000"
    assert shop.refused(3, 2, {"sku1": 1_000}) == (
        "RECEIPT_STATE",
        {"receipt_id": _key(shop, 6), "state": "NOT_A_SALE", "result": "REFUSED"},
    )
    shop.void(1)
    assert shop.refused(3, 1, {"sku1": 1_000}) == ("RECEIPT_STATE", {**said, "state": "VOIDED"})


def _key(shop: Shop, kind: int) -> str:
    found: bytes = shop.sql("select key_id from commit_key where kind = $1", kind)[0][0]
    return found.hex()


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"cashier_id": ""}, "FIELD_REQUIRED", "cashier_id"),
        ({"reason_code": "x" * 65}, "OUT_OF_RANGE", "reason_code"),
        ({"lines": []}, "FIELD_REQUIRED", "lines"),
        ({"lines": [("1", 0)]}, "OUT_OF_RANGE", "lines[0].quantity_milli"),
        ({"lines": [("1", 1), ("1", 1)]}, "INCONSISTENT", "lines"),
        ({"original": 2}, "INCONSISTENT", "original_key"),
        ({"sku": "sku1"}, "INCONSISTENT", "lines[0]"),
    ],
)
def test_what_is_malformed_is_refused_fact_or_not(
    refusing: Any, change: dict[str, Any], reason: str, field: str
) -> None:
    request = refund_request(2, change.get("original", 1), {"1": 1_000}, closed=True)
    for name in ("cashier_id", "reason_code"):
        setattr(request, name, change.get(name, getattr(request, name)))
    if "lines" in change:
        del request.lines[:]
        for line_id, milli in change["lines"]:
            request.lines.add(line_id=line_id, quantity_milli=milli)
    if "sku" in change:
        request.lines[0].sku = change["sku"]
    assert refusing(request) == (reason, field)


@pytest.fixture
def refusing() -> Any:
    """Reads a refund as a server does; the reason and the field it is refused for."""
    from rewards.refusal import Refusal
    from server.till.refund import read_command

    def refused(request: pb.RefundRequest) -> tuple[str, str]:
        with pytest.raises(Refusal) as found:
            read_command(request)
        return found.value.reason.value, found.value.fields[0][0]

    return refused


# --- facts ------------------------------------------------------------------------------------


def test_a_fact_is_recorded_as_far_as_it_goes(shop: Shop) -> None:
    """Of three pieces that came back two were sold; a line that was not sold is noted."""
    shop.sell(1, basket(("sku1", 2, 10_000)))
    fact = shop.refund(2, 1, {"sku1": 3_000, "sku7": 1_000}, closed=True)
    assert exceptions_of(fact) == ["MORE_THAN_SOLD", "LINE_NOT_FOUND"]
    assert [(one.line_id, one.quantity_milli) for one in fact.lines] == [("sku1", 2_000)]
    assert fact.amount_minor == 20_000
    assert shop.balances("card1") == {}
    late = shop.refund(3, 1, {"sku1": 1_000}, closed=True)
    assert (exceptions_of(late), late.amount_minor) == (["MORE_THAN_SOLD"], 0)
    unknown = shop.refund(4, 99, {"sku1": 1_000}, closed=True)
    assert exceptions_of(unknown) == ["RECEIPT_NOT_FOUND"]
    shop.void(1)
    assert exceptions_of(shop.refund(5, 1, {"sku1": 1_000}, closed=True)) == ["RECEIPT_STATE"]
    assert shop.sql("select count(*) from checkout_exception")[0][0] == 5


def test_without_the_receipt_by_policy(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 1, 10_000)))
    postings = shop.sql("select count(*) from posting")[0][0]
    request = refund_request(2, 1, {"any": 1_000})
    request.ClearField("original_key")
    request.lines[0].sku, request.lines[0].amount_minor = "sku1", 9_900
    assert refusal_of(shop.tills[0].Refund, request)[0] == "ORIGINAL_REQUIRED"
    request.closed = True
    fact = shop.tills[0].Refund(request)
    assert (exceptions_of(fact), fact.amount_minor) == (["ORIGINAL_REQUIRED"], 9_900)
    shop.publish(returns={"no_original": "pay"})
    request.receipt_key.receipt_number, request.closed = "3", False
    paid = shop.tills[0].Refund(request)
    assert (paid.amount_minor, list(paid.exceptions)) == (9_900, [])
    assert shop.sql("select count(*) from posting")[0][0] == postings


# --- what became of it ------------------------------------------------------------------------


def test_the_receipt_says_what_came_back_of_it(shop: Shop) -> None:
    sold = shop.sell(1, basket(("sku1", 2, 10_000)))
    assert state_of(shop, 1).state == pb.RECEIPT_STATE_COMMITTED
    one = shop.refund(2, 1, {"sku1": 1_000})
    partly = state_of(shop, 1)
    assert partly.state == pb.RECEIPT_STATE_PARTLY_REFUNDED
    assert [(r.receipt_id, r.amount_minor) for r in partly.returns] == [(one.receipt_id, 10_000)]
    assert partly.checkout == sold
    assert state_of(shop, 2).refund == one
    shop.refund(3, 1, {"sku1": 1_000})
    assert state_of(shop, 1).state == pb.RECEIPT_STATE_REFUNDED
    ended = shop.tills[0].BreakOff(pb.BreakOffRequest(receipt_key=receipt_key(2)))
    assert (ended.state, ended.refund) == (pb.RECEIPT_STATE_COMMITTED, one)


def test_a_key_that_was_broken_off_is_no_refund(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000)))
    shop.tills[0].BreakOff(pb.BreakOffRequest(receipt_key=receipt_key(2)))
    assert shop.refused(2, 1, {"sku1": 1_000})[0] == "BROKEN_OFF"
    shop.tills[0].BreakOff(pb.BreakOffRequest(receipt_key=receipt_key(3)))
    assert shop.refused(4, 3, {"sku1": 1_000})[1]["state"] == "BROKEN_OFF"


def test_the_purchase_is_uncounted_when_all_has_come_back(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000)))
    purchases = "select purchases, last_purchase_day from account where purchases > 0"
    shop.refund(2, 1, {"sku1": 1_000})
    assert [row[0] for row in shop.sql(purchases)] == [1]
    shop.refund(3, 1, {"sku1": 1_000})
    assert shop.sql(purchases) == []


# --- voids ------------------------------------------------------------------------------------


def test_a_void_takes_back_what_was_spent_of_its_points_and_gives_back_what_it_took(
    shop: Shop,
) -> None:
    shop.sell(1, basket(("sku1", 1, 100_000)))
    request = pb.QuoteRequest(basket_id=bytes(16), sale=basket(("sku3", 1, 10_000)))
    request.reserve.amounts.add(asset_code="points", amount_minor=5_000)
    token = shop.tills[0].Quote(request).token
    shop.sell(2, request.sale, basket_id=bytes(16), token=token)
    assert shop.balances("card1") == {"points": 250}
    first = shop.void(1)
    assert settled(first) == {"points": (0, 250, 4_750, 0)}
    assert shop.balances("card1") == {"points": -4_750}
    second = shop.void(2)
    assert settled(second)["points"][0] == 5_000
    assert shop.balances("card1") == {}
    assert shop.void(1) == first


def test_a_void_after_a_refund_undoes_what_is_left(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000)))
    assert settled(shop.refund(2, 1, {"sku1": 1_000})) == {"points": (0, 500, 0, 0)}
    assert settled(shop.void(1)) == {"points": (0, 500, 0, 0)}
    assert shop.balances("card1") == {}
    assert state_of(shop, 1).state == pb.RECEIPT_STATE_VOIDED


# --- merged accounts --------------------------------------------------------------------------


def merge(shop: Shop) -> None:
    """The account of card1 goes to that of card2."""
    shop.office.MergeAccounts(
        ledger_pb2.MergeAccountsRequest(
            chain_id=CHAIN,
            losing=customer_service_pb2.CustomerReference(customer_number="1"),
            winning=customer_service_pb2.CustomerReference(customer_number="2"),
            merged_by="test",
        )
    )


def test_a_refund_follows_the_customer_to_the_account_they_were_merged_into(shop: Shop) -> None:
    """Lots keep their ids: what was earned before is taken back there, what was spent is given."""
    shop.sell(1, basket(("sku1", 2, 50_000), card="card1"))
    request = pb.QuoteRequest(basket_id=bytes(16), sale=basket(("sku3", 2, 1_000), card="card1"))
    request.reserve.amounts.add(asset_code="points", amount_minor=1_000)
    token = shop.tills[0].Quote(request).token
    shop.sell(2, request.sale, basket_id=bytes(16), token=token)
    before = shop.balances("card1")["points"]
    merge(shop)
    assert shop.balances("card2") == {"points": before}
    back = shop.refund(3, 2, {"sku3": 2_000})
    assert settled(back)["points"][0] == 1_000
    gone = shop.refund(4, 1, {"sku1": 2_000})
    assert settled(gone) == {"points": (0, 5_000, 0, 0)}
    assert shop.balances("card2") == {}


def test_the_audit_says_what_it_has_proved(shop: Shop) -> None:
    """Changes of lots, holds and merged accounts as well, each as many as there are."""
    shop.sell(1, basket(("sku1", 2, 50_000)))
    shop.refund(2, 1, {"sku1": 1_000})
    request = pb.QuoteRequest(basket_id=bytes(16), sale=basket(("sku3", 2, 1_000)))
    request.reserve.amounts.add(asset_code="points", amount_minor=1_000)
    shop.tills[0].Quote(request)
    found = shop.office.AuditLedger(bo.AuditLedgerRequest())
    assert (found.lot_changes, found.holds, found.merged_accounts, found.budgets) == (1, 1, 0, 0)
    assert found.accounts == shop.sql("select count(*) from account")[0][0]
    merge(shop)
    found = shop.office.AuditLedger(bo.AuditLedgerRequest())
    assert (found.lot_changes, found.holds, found.merged_accounts) == (2, 0, 1)


# --- exchanges --------------------------------------------------------------------------------


@pytest.mark.parametrize("card", ["card1", "card2", ""], ids=["same", "other", "nobody"])
def test_an_exchange_is_settled_with_its_sale(shop: Shop, card: str) -> None:
    """A piece comes back on the next receipt, whoever shows which card there."""
    shop.sell(1, basket(("sku1", 2, 10_000)))
    made = exchanged(1, ("sku1", 1, 10_000), ("sku3", 1, 30_000), card=card)
    sold = shop.sell(2, made)
    (told,) = sold.returns
    assert (told.amount_minor, settled(told)) == (10_000, {"points": (0, 500, 0, 0)})
    kept = {"points": 500}
    both = {"points": 500 + 1_500}
    assert shop.balances("card1") == (both if card == "card1" else kept)
    assert shop.balances("card2") == ({"points": 1_500} if card == "card2" else {})
    assert shop.sell(2, made) == sold
    again = shop.refund(3, 1, {"sku1": 1_000})
    assert again.amount_minor == 10_000
    assert shop.refused(4, 1, {"sku1": 1_000})[0] == "MORE_THAN_SOLD"
    assert state_of(shop, 1).returns[0].receipt_id == sold.receipt_id


@pytest.mark.parametrize("card", ["card1", "card2", ""], ids=["same", "other", "nobody"])
def test_the_balance_after_an_exchange_is_what_the_customer_owns(shop: Shop, card: str) -> None:
    """What its RETURN lines take back and give back is off it, in the quote and on the slip."""
    shop.sell(1, basket(("sku1", 2, 100_000)))
    spent = pb.QuoteRequest(basket_id=bytes(16), sale=basket(("sku1", 1, 10_000)))
    spent.reserve.amounts.add(asset_code="points", amount_minor=4_000)
    token = shop.tills[0].Quote(spent).token
    shop.sell(2, spent.sale, basket_id=bytes(16), token=token)
    made = exchanged(1, ("sku1", 1, 100_000), ("sku3", 1, 30_000), card=card)
    back = exchanged(2, ("sku1", 1, 6_000), ("sku3", 1, 30_000), card=card)
    for number, one in ((3, made), (4, back)):
        quoted = shop.tills[0].Quote(pb.QuoteRequest(basket_id=bytes(15) + b"q", sale=one))
        told = {b.asset_code: b.amount_minor for b in quoted.answer.rewards.balances}
        sold = shop.sell(number, one).answer.rewards
        assert told == {b.asset_code: b.amount_minor for b in sold.balances}
        assert told == (shop.balances(card) if card else {})


def test_an_exchange_after_a_merge_changes_one_account(shop: Shop) -> None:
    """The original was on the account that went into that of the exchange."""
    shop.sell(1, basket(("sku1", 2, 10_000)))
    merge(shop)
    made = exchanged(1, ("sku1", 1, 10_000), ("sku3", 1, 30_000), card="card2")
    (told,) = shop.sell(2, made).returns
    assert settled(told) == {"points": (0, 500, 0, 0)}
    assert shop.balances("card2") == {"points": 500 + 1_500}


def test_a_quote_says_what_an_exchange_would_come_to(shop: Shop) -> None:
    shop.sell(1, basket(("sku0", 3, 30_000)))
    before = shop.rows()

    def quoted(*back: Any) -> pb.QuoteResponse:
        made = exchanged(*back, ("sku3", 1, 30_000))
        answer: pb.QuoteResponse = shop.tills[0].Quote(
            pb.QuoteRequest(basket_id=bytes(16), sale=made)
        )
        return answer

    (told,) = quoted(1, ("sku0", 1, 20_000)).returns
    assert (told.amount_minor, told.lines[0].quantity_milli) == (20_000, 1_000)
    over = quoted(1, ("sku0", 1, 30_000))
    assert [one.detail.split(":")[0] for one in over.return_exceptions] == ["RETURN_AMOUNT"]
    assert over.returns[0].amount_minor == 20_000
    assert shop.rows() == before


def test_an_exchange_that_is_not_possible(shop: Shop) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000)))

    def refused(*back: Any) -> tuple[str, dict[str, str]]:
        made = exchanged(*back, ("sku3", 1, 30_000))
        request = pb.CheckoutRequest(receipt_key=receipt_key(2), sale=made)
        return refusal_of(shop.tills[0].Checkout, request)

    assert refused(1, ("sku1", 3, 30_000))[0] == "MORE_THAN_SOLD"
    assert refused(9, ("sku1", 1, 10_000))[0] == "RECEIPT_NOT_FOUND"
    assert refused(0, ("sku1", 1, 10_000))[0] == "ORIGINAL_REQUIRED"
    reason, metadata = refused(1, ("sku1", 1, 10_001))
    assert (reason, metadata["due_minor"]) == ("RETURN_AMOUNT", "10000")
    made = exchanged(1, ("sku1", 3, 30_000), ("sku3", 1, 30_000))
    fact = shop.sell(2, made, closed=True)
    assert exceptions_of(fact) == ["MORE_THAN_SOLD", "RETURN_AMOUNT"]
    assert fact.returns[0].lines[0].quantity_milli == 2_000
    assert shop.balances("card1") == {"points": 1_500}
    request = pb.VoidRequest(receipt_key=receipt_key(2), reason_code="X", cashier_id="c1")
    assert refusal_of(shop.tills[0].Void, request)[1]["state"] == "EXCHANGED"


# --- coupons and gift cards -------------------------------------------------------------------


def by_coupon(series_code: str) -> dict[str, Any]:
    return {
        "promotion_id": f"by-{series_code}",
        "names": named(series_code),
        "lane": "price",
        "conditions": [{"code": "coupon", "series": [series_code]}],
        "gives": [{"code": "percent_off", "rate_bp": 5_000}],
    }


def giving(series_code: str) -> dict[str, Any]:
    return {
        "promotion_id": f"give-{series_code}",
        "names": named(series_code),
        "lane": "reward",
        "conditions": [said(series_code)],
        "gives": [{"code": "coupon_reward", "series_code": series_code}],
    }


@pytest.fixture
def coupons(shop: Shop) -> Shop:
    """A shop whose coupons halve a price; it gives some to the bearer, some to the customer."""
    series = ("half", "own", "bearer")
    shop.publish(
        promotions=[
            *(by_coupon(code) for code in series), giving("own"), giving("bearer"),
        ],
        coupon_series=[
            {"series_code": "half"},
            {"series_code": "own"},
            {"series_code": "bearer", "bearer": True},
        ],
    )  # fmt: skip
    shop.office.ImportCoupons(
        bo.ImportCouponsRequest(
            chain_id=CHAIN,
            series_code="half",
            coupons=[bo.ImportedCoupon(code="one"), bo.ImportedCoupon(code="two")],
        )
    )
    return shop


def paid(shop: Shop, number: int, *codes: str, card: str = "card1", trigger: str = "") -> Any:
    """Sell two pieces at 100.00 with coupons; what is paid, and the codes it gives."""
    made = basket(("sku1", 2, 10_000), card=card, triggers=[trigger] if trigger else [])
    made.header.coupon_codes.extend(codes)
    answer = shop.sell(number, made).answer
    given = [code for reward in answer.rewards.rewards for code in reward.codes]
    return answer.lines.totals.amount_minor, given


def test_a_void_gives_a_coupon_back_and_a_refund_does_not(coupons: Shop) -> None:
    assert paid(coupons, 1, "one")[0] == 10_000
    assert coupons.refund(2, 1, {"sku1": 2_000}).amount_minor == 10_000
    assert paid(coupons, 3, "one")[0] == 20_000
    assert paid(coupons, 4, "two")[0] == 10_000
    assert settled(coupons.void(4))["coupon.half"] == (1, 0, 0, 0)
    assert paid(coupons, 5, "two")[0] == 10_000


@pytest.mark.parametrize("series", ["own", "bearer"])
def test_a_coupon_that_was_given_is_taken_back_if_it_is_unused(coupons: Shop, series: str) -> None:
    _, (code,) = paid(coupons, 1, trigger=series)
    assert settled(coupons.refund(2, 1, {"sku1": 1_000})) == {}
    back = coupons.refund(3, 1, {"sku1": 1_000})
    assert settled(back) == {f"coupon.{series}": (0, 1, 0, 0)}
    assert paid(coupons, 4, code)[0] == 20_000
    _, (code,) = paid(coupons, 5, trigger=series)
    assert paid(coupons, 6, code)[0] == 10_000
    assert settled(coupons.void(5)) == {f"coupon.{series}": (0, 0, 0, 1)}


def test_a_coupon_is_used_on_the_exchange_of_what_had_given_it(coupons: Shop) -> None:
    """Sale and return change one account: it is used by the one and waived by the other."""
    _, (code,) = paid(coupons, 1, trigger="bearer")
    made = exchanged(1, ("sku1", 2, 20_000), ("sku3", 1, 30_000))
    made.header.coupon_codes.append(code)
    sold = coupons.sell(2, made)
    assert sold.answer.lines.totals.amount_minor == 15_000 - 20_000
    (told,) = sold.returns
    assert (told.amount_minor, settled(told)) == (20_000, {"coupon.bearer": (0, 0, 0, 1)})
    assert coupons.sell(2, made) == sold
    assert paid(coupons, 3, code)[0] == 20_000
