"""An open receipt in the storm: scanned, quoted, held for, and with what is brought back on it."""

from collections.abc import Iterable

from msgspec import Struct, field

from loyalty.v1.answer_pb2 import SpentAs
from loyalty.v1.receipt_pb2 import (
    Line,
    LineAction,
    ReceiptKey,
    ReturnOrigin,
    Sale,
    Tender,
    TenderKind,
    TenderState,
)
from loyalty.v1.till_service_pb2 import (
    AssetAmount,
    CheckoutRequest,
    QuoteRequest,
    QuoteResponse,
    Reservation,
)
from pos_sim.sale import plan_payment, write_sale
from pos_sim.storm.desk import Desk
from pos_sim.storm.gift_cards import SALE_SHARE, Payment, add_payment, draw_payment, sell_card
from pos_sim.storm.returning import draw_lines
from pos_sim.storm.rules import CHIPS, POINTS
from pos_sim.storm.sold import Sold, origin_of
from pos_sim.storm.world import ANONYMOUS_SHARE, draw_basket

RESERVE_SHARE = 0.5
RESERVE_LIMITS_SHARE = 0.3
BEANS_SHARE = 0.3
CERTIFICATE_SHARE = 0.2
NO_ORIGINAL_SHARE = 0.1
TWO_ORIGINALS_SHARE = 0.4
SPEND_MAX_MINOR = 40_000
CHANGED_SHARE = 0.3
"""Of quotes after which the back office looks at who has asked."""


class Open(Struct):
    """A receipt while it is open."""

    name: str
    customer: str
    key: ReceiptKey
    basket_id: bytes
    sale: Sale
    payment: Payment | None = None
    quoted: QuoteResponse | None = None
    originals: list[Sold] = field(default_factory=list)

    def request(self, closed: bool) -> CheckoutRequest:
        """Check it out as it was quoted, or without a quote at what is sent."""
        totals_minor = self.sale.header.control_totals.amount_minor
        request = CheckoutRequest(receipt_key=self.key, closed=closed, basket_id=self.basket_id)
        if self.quoted is not None:
            request.token = self.quoted.token
            totals_minor = self.quoted.answer.lines.totals.amount_minor
        sale = plan_payment(self.sale, max(0, totals_minor))
        if self.payment is not None:
            add_payment(sale, self.payment)
        if self.quoted is not None:
            _add_chips(sale, self.quoted)
        request.sale.CopyFrom(sale)
        return request

    def sold(self, request: CheckoutRequest) -> Sold:
        """What the books keep of it."""
        lines = self.quoted.answer.lines.lines if self.quoted is not None else ()
        shown = {one.line_id: one.amount_minor for one in lines}
        spent = self.quoted.answer.spent if self.quoted is not None else ()
        return Sold(
            self.name,
            self.customer,
            self.key,
            request.sale,
            request,
            self.originals,
            shown,
            {one.asset_code: one.amount_minor for one in spent},
        )


def open_receipt(desk: Desk, customers: list[str]) -> Open:
    """Scan what somebody has on the belt."""
    rng, index = desk.rng, desk.next_index()
    customer = rng.choice(customers) if rng.random() >= ANONYMOUS_SHARE else ""
    card = rng.choice(desk.register.cards_of(customer)) if customer else ""
    sale = write_sale(desk.place, draw_basket(rng, desk.run, index, customer, card))
    if rng.random() < BEANS_SHARE:
        sale.header.manual_triggers.append("beans")
    payment = draw_payment(rng, desk.books.cards)
    if payment is None and rng.random() < SALE_SHARE:
        sell_card(rng, sale, f"CARD-{index}", desk.books.cards)
    elif rng.random() < CERTIFICATE_SHARE:
        # Never beside a card that is sold: of what is taken back no answer says off which.
        sale.header.manual_triggers.append(rng.choice(("present", "present-brief")))
    return Open(
        f"{desk.name}/{index + 1}",
        customer,
        desk.key(index),
        desk.run.basket_id(index),
        sale,
        payment,
    )


def _add_chips(sale: Sale, quoted: QuoteResponse) -> None:
    """Pay with what the quote shows as a tender, as far as another tender pays that now."""
    other = sale.tenders[0]
    for spent in quoted.answer.spent:
        if spent.spent_as == SpentAs.SPENT_AS_TENDER:
            part_minor = min(spent.value_minor, other.amount_minor)
            other.amount_minor -= part_minor
            if part_minor:
                sale.tenders.append(
                    Tender(
                        kind=TenderKind.TENDER_KIND_POINTS,
                        state=TenderState.TENDER_STATE_PAID,
                        amount_minor=part_minor,
                        asset_code=spent.asset_code,
                    )
                )


async def quote(desk: Desk, receipt: Open) -> None:
    """Ask for the price, hold what the customer wants to spend; then what they are may change."""
    rng, since_us = desk.rng, desk.clock_us()
    request = QuoteRequest(basket_id=receipt.basket_id, sale=receipt.sale)
    if receipt.quoted is not None:
        request.token = receipt.quoted.token
    if receipt.customer and rng.random() < RESERVE_SHARE:
        assets = rng.choice(((POINTS,), (POINTS,), (CHIPS,), (POINTS, CHIPS)))
        amounts = [
            AssetAmount(asset_code=one, amount_minor=rng.randint(1, SPEND_MAX_MINOR))
            for one in assets
        ]
        request.reserve.CopyFrom(Reservation(amounts=amounts))
    if receipt.payment is not None and rng.random() < RESERVE_SHARE:
        request.reserve.gift_cards.append(receipt.payment.to_hold)
    if rng.random() < RESERVE_LIMITS_SHARE:
        request.reserve.budgets = True
    receipt.quoted = await desk.client.quote(request)
    desk.books.count["quoted"] += 1
    answer, customer = receipt.quoted.answer, receipt.customer
    desk.rights.check_quote(answer, customer, since_us, desk.clock_us())
    if customer and rng.random() < CHANGED_SHARE:
        await desk.register.change(customer)
    if customer:
        await desk.enrolling.meet(customer)


def draw_exchange(desk: Desk, receipt: Open) -> None:
    """Bring goods of earlier receipts back on an open one; there must be one."""
    rng = desk.rng
    if rng.random() < NO_ORIGINAL_SHARE:
        bring_back(receipt, None, [("1", 1_000)])
        return
    for _ in range(2 if rng.random() < TWO_ORIGINALS_SHARE else 1):
        original = desk.draw_sold()
        if original.name not in [one.name for one in receipt.originals]:
            receipt.originals.append(original)
            bring_back(receipt, original, draw_lines(rng, original).items())


def bring_back(receipt: Open, original: Sold | None, lines: Iterable[tuple[str, int]]) -> None:
    """Put goods of an earlier receipt on an open one; without a receipt they are nobody's.

    Args:
        receipt: its RETURN lines are worth nothing until it is quoted.
        original: what they were sold on; None is NO_ORIGINAL.
        lines: of the original, or of this receipt where there is none: line_id, thousandths.
    """
    of = {line.line_id: line for line in (original.sale if original else receipt.sale).lines}
    for line_id, quantity_milli in lines:
        line = Line()
        line.CopyFrom(of[line_id])
        line.line_id = f"back-{len(receipt.sale.lines)}"
        line.quantity_milli, line.action = quantity_milli, LineAction.LINE_ACTION_RETURN
        line.amount_minor = 0 if original else 1_000
        if original:
            line.return_origin.CopyFrom(ReturnOrigin(receipt_key=original.key, line_id=line_id))
        receipt.sale.lines.append(line)
    _settle_totals(receipt.sale)


def pay_back(receipt: Open) -> None:
    """Write on the RETURN lines what its quote says is to be paid back for them."""
    assert receipt.quoted is not None
    for answer in receipt.quoted.returns:
        original = origin_of(receipt.originals, answer)
        due_minor = answer.amount_minor
        printed = {line.line_id: line.amount_minor for line in answer.lines}
        for line in receipt.sale.lines:
            if line.return_origin.line_id and line.return_origin.receipt_key == original.key:
                line.amount_minor = min(due_minor, printed.get(line.return_origin.line_id, 0))
                due_minor -= line.amount_minor
    _settle_totals(receipt.sale)


def _settle_totals(sale: Sale) -> None:
    totals = sale.header.control_totals
    totals.line_count = len(sale.lines)
    totals.amount_minor = sum(_signed(line) for line in sale.lines)


def _signed(line: Line) -> int:
    is_back = line.action == LineAction.LINE_ACTION_RETURN
    return -line.amount_minor if is_back else line.amount_minor
