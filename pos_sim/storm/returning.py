"""What comes back in the storm, and at what tills sold that did not sell as answered."""

import random

from loyalty.v1.receipt_pb2 import LineAction, OutcomeLine, ReceiptKey
from loyalty.v1.till_service_pb2 import RefundLine, RefundRequest
from pos_sim.storm.sold import Sold

TOO_MUCH_SHARE = 0.1


def write_refund(key: ReceiptKey, sold: Sold, lines: dict[str, int], closed: bool) -> RefundRequest:
    """Write down what comes back: thousandths by line."""
    return RefundRequest(
        receipt_key=key,
        original_key=sold.key,
        lines=[RefundLine(line_id=line_id, quantity_milli=lines[line_id]) for line_id in lines],
        cashier_id="storm",
        reason_code="UNWANTED",
        closed=closed,
    )


def draw_lines(rng: random.Random, sold: Sold) -> dict[str, int]:
    """Some of what is left of a receipt; now and then more than that, now and then all."""
    found: dict[str, int] = {}
    share = rng.choice((0.5, 0.5, 1.0))
    for line_id, quantity_milli in sold.sold_milli.items():
        left_milli = quantity_milli - sold.returned_milli[line_id]
        if rng.random() < TOO_MUCH_SHARE:
            found[line_id] = quantity_milli
        elif left_milli > 0 and rng.random() < share:
            is_weighed = bool(quantity_milli % 1_000)
            pieces, _ = divmod(left_milli, 1_000)
            some_milli = 1_000 * rng.randint(1, max(1, pieces))
            is_all = is_weighed or share == 1.0
            found[line_id] = left_milli if is_all else min(left_milli, some_milli)
    return found


def draw_paid(rng: random.Random, sold: Sold) -> list[OutcomeLine]:
    """At what some lines were sold, not below what was shown; the others as they were sent."""
    found = []
    for line in sold.sale.lines:
        if line.action == LineAction.LINE_ACTION_SALE and rng.random() < 0.6:
            least_minor = sold.shown_minor.get(line.line_id, line.amount_minor)
            middle_minor = rng.randint(least_minor, line.amount_minor)
            paid_minor = rng.choice((least_minor, middle_minor))
            found.append(OutcomeLine(line_id=line.line_id, amount_minor=paid_minor))
    return found
