"""Set 1 of an answer: the lines as they are to be sold."""

from collections.abc import Iterable, Sequence
from itertools import compress, islice
from operator import attrgetter, itemgetter, not_
from typing import Any

from msgspec.structs import astuple

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import (
    AmountOff,
    BundlePrice,
    BuyGet,
    CheapestFree,
    FixedPrice,
    Gift,
    NPlusM,
    NthItem,
    PercentOff,
    PriceList,
    QuantityTiers,
    ReceiptDiscount,
)
from rewards.raising import line_columns
from rewards.sale import LineAction, LineColumns
from server.codec.asked import Asked
from server.codec.offer_pb import spell_pieces
from server.codec.set_status import spell_status
from server.codec.shape import shape_of
from server.codec.spend_pb import spell_spent_parts

# Of a promotion with several benefits on prices it is the kind of the first.
_ADJUSTMENT_KIND: dict[type, pb.AdjustmentKind.ValueType] = {
    PercentOff: pb.ADJUSTMENT_KIND_PERCENT_OFF,
    AmountOff: pb.ADJUSTMENT_KIND_AMOUNT_OFF,
    FixedPrice: pb.ADJUSTMENT_KIND_FIXED_PRICE,
    PriceList: pb.ADJUSTMENT_KIND_PRICE_LIST,
    NthItem: pb.ADJUSTMENT_KIND_NTH_ITEM,
    NPlusM: pb.ADJUSTMENT_KIND_N_PLUS_M,
    CheapestFree: pb.ADJUSTMENT_KIND_CHEAPEST_FREE,
    BuyGet: pb.ADJUSTMENT_KIND_BUY_GET,
    BundlePrice: pb.ADJUSTMENT_KIND_BUNDLE_PRICE,
    QuantityTiers: pb.ADJUSTMENT_KIND_QUANTITY_TIERS,
    Gift: pb.ADJUSTMENT_KIND_GIFT,
    ReceiptDiscount: pb.ADJUSTMENT_KIND_RECEIPT_SHARE,
}
_RETURN = LineAction.RETURN.value
_ID = attrgetter("promotion_id")
_BENEFITS, _FIRST = attrgetter("gives"), itemgetter(0)
_RUN = shape_of(pb.Run, "quantity_milli", "unit_price_minor", "amount_minor")
_ADJUSTMENT = shape_of(
    pb.Adjustment, "promotion_id", "kind", "amount_minor", "quantity_milli", "text"
)
_LINE = shape_of(pb.LineResult, "line_id", "runs", "adjustments", "amount_minor", "unknown_sku")
_TOTALS = shape_of(pb.Totals, "amount_before_minor", "adjustments_minor", "amount_minor")
_LINE_SET = shape_of(pb.LineSet, "status", "lines", "to_add", "totals")


def spell_lines(asked: Asked) -> tuple[bytes, int]:
    """Spell the set; say what all lines are lowered by, minor units."""
    amounts, run_counts, adjustment_counts, *rest = line_columns(asked.decision.evaluation)
    columns = asked.sale.columns
    if 0 in run_counts:
        # A cancelled line costs nothing, has no run and is not spoken of.
        columns = LineColumns(*_kept(astuple(columns), run_counts))
        amounts, adjustment_counts, run_counts = _kept(
            (amounts, adjustment_counts, run_counts), run_counts
        )
    adjustments = _adjustments(asked, *rest[3:])
    if asked.facts.spends:
        adjustment_counts, adjustments = _with_spent(asked, adjustment_counts, adjustments)
    known = asked.facts.products_by_sku
    results = _LINE.rows(
        columns.line_ids,
        (run_counts, _RUN.rows(*rest[:3])),
        (adjustment_counts, adjustments),
        amounts,
        list(map(not_, map(known.__contains__, columns.skus))),
    )
    before_minor, after_minor = sum(columns.amounts_minor), sum(amounts)
    if _RETURN in columns.actions:
        # What is returned counts negative.
        is_back = list(map(_RETURN.__eq__, columns.actions))
        before_minor -= 2 * sum(compress(columns.amounts_minor, is_back))
        after_minor -= 2 * sum(compress(amounts, is_back))
    status = spell_status(asked.skipped.lines, partial=True)
    totals = _TOTALS.one(before_minor, after_minor - before_minor, after_minor)
    to_add = spell_pieces(asked) if asked.may_add else []
    return _LINE_SET.one(status, results, to_add, totals), before_minor - after_minor


def _kept(columns: Iterable[Sequence[Any]], counts: Sequence[int]) -> list[tuple[Any, ...]]:
    """Columns without what has a count of 0."""
    return [tuple(compress(column, counts)) for column in columns]


def _with_spent(
    asked: Asked, counts: Sequence[int], adjustments: Sequence[bytes]
) -> tuple[Sequence[int], list[bytes]]:
    """Let what the customer's assets pay of a line follow the line's adjustments."""
    pairs = zip(asked.sale.lines, asked.decision.evaluation.outcomes, strict=True)
    parts = [spell_spent_parts(line, outcome, asked) for line, outcome in pairs if outcome]
    rest = iter(adjustments)
    found: list[bytes] = []
    for count, spent in zip(counts, parts, strict=True):
        found += [*islice(rest, count), *spent]
    return [count + len(spent) for count, spent in zip(counts, parts, strict=True)], found


def _adjustments(
    asked: Asked, numbers: Sequence[int], amounts: Sequence[int], quantities: Sequence[int]
) -> list[bytes]:
    if not numbers:
        return []
    effective = list(map(asked.program.promotions.__getitem__, numbers))
    return _ADJUSTMENT.rows(
        list(map(_ID, effective)),
        list(map(_ADJUSTMENT_KIND.__getitem__, map(type, map(_FIRST, map(_BENEFITS, effective))))),
        amounts,
        quantities,
        asked.voice.slip.names_of(effective),
    )
