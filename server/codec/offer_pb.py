"""What an answer says of pieces to add, of coupon codes, and of what is within reach."""

from collections.abc import Mapping

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import NPlusM
from rewards.evaluate import CouponOutcome, CouponState, PieceOffer
from rewards.hints import NOWHERE, Hint
from rewards.limits import MILLI
from rewards.reading import shown_token
from rewards.trace import Condition, TraceEntry, TraceOutcome
from server.codec.asked import Asked

_ID_PIECE = b"A"
_COUPON_WHY: Mapping[int, str] = {
    Condition.PERIOD: "coupon_not_now",
    Condition.WEEKDAY: "coupon_not_now",
    Condition.HOUR: "coupon_not_now",
    Condition.CHANNEL: "coupon_not_here",
    Condition.ZONE: "coupon_not_here",
    Condition.SEGMENT: "coupon_customer",
    Condition.CUSTOMER: "coupon_customer",
    Condition.TIER: "coupon_customer",
    Condition.BIRTHDAY: "coupon_customer",
    Condition.PURCHASE: "coupon_customer",
    Condition.HISTORY: "coupon_customer",
    Condition.BALANCE: "coupon_customer",
    Condition.STAFF: "coupon_customer",
    Condition.OWN_OFFER: "coupon_customer",
    Condition.PRODUCTS: "coupon_products",
    Condition.FLOOR: "coupon_products",
}
"""Text for a coupon whose promotion failed for other reasons than that a little is missing."""
_COUPON_STATES: Mapping[int, str] = {
    CouponState.USED: "coupon_used",
    CouponState.EXPIRED: "coupon_expired",
    CouponState.NOT_YOURS: "coupon_not_yours",
    CouponState.HELD: "coupon_held",
}
_BY_QUANTITY = (Condition.QUANTITY, Condition.PRODUCTS)
_BY_AMOUNT = (Condition.RECEIPT_AMOUNT, Condition.PRODUCTS_AMOUNT)


def fill_pieces(lines: pb.LineSet, asked: Asked) -> None:
    """Write the pieces that the cashier may add."""
    for offer in asked.decision.evaluation.offers:
        promotion = asked.program.promotions[offer.number]
        line_id = asked.sale.lines[offer.position].line_id if offer.position != NOWHERE else ""
        place = f"{offer.choice_group}:{line_id}:{offer.sku}".encode()
        lines.to_add.add(
            id=asked.id_base + _ID_PIECE + promotion.tag + place,
            promotion_id=promotion.promotion_id,
            line_id=line_id,
            sku=offer.sku,
            quantity_milli=offer.quantity_milli,
            amount_minor=offer.amount_minor,
            text=_piece_text(offer, asked),
            choice_group=offer.choice_group,
        )


def _piece_text(offer: PieceOffer, asked: Asked) -> str:
    voice, promotion = asked.voice.cashier, asked.program.promotions[offer.number]
    product = asked.catalogue.products.get(offer.sku)
    if offer.amount_minor:
        code = "choose_piece_at_price" if offer.choice_group else "add_piece_at_price"
    elif offer.choice_group:
        code = "choose_gift"
    else:
        code = "add_piece" if isinstance(promotion.gives[0], NPlusM) else "add_gift"
    return voice.say(
        code,
        quantity=voice.quantity(offer.quantity_milli),
        amount=voice.money(offer.amount_minor),
        product=product.name if product else offer.sku,
        promotion=voice.name_of(promotion),
    )


def fill_coupons(answer: pb.Answer, asked: Asked) -> None:
    """Write what became of the coupon codes, and why."""
    trace = {entry.number: entry for entry in asked.decision.evaluation.trace}
    for coupon in asked.decision.evaluation.coupons:
        answer.coupons.add(
            code=coupon.code,
            state=pb.CouponState.ValueType(coupon.state),
            text=_coupon_text(coupon, trace, asked),
        )


def _coupon_text(coupon: CouponOutcome, trace: Mapping[int, TraceEntry], asked: Asked) -> str:
    voice, program = asked.voice.cashier, asked.program
    if coupon.state == CouponState.UNKNOWN:
        return voice.say("coupon_unknown", code=coupon.code)
    if coupon.state == CouponState.NOT_CHOSEN:
        return voice.say("coupon_not_chosen", code=coupon.code)
    if coupon.state in _COUPON_STATES:
        return voice.say(_COUPON_STATES[coupon.state], code=coupon.code)
    called = program.coupons[shown_token(program, asked.facts, coupon.code)]
    entries = [trace[number] for number in called if number in trace]
    if coupon.state == CouponState.APPLIED:
        fired = next(entry for entry in entries if entry.times)
        name = voice.name_of(program.promotions[fired.number])
        return voice.say("coupon_applied", code=coupon.code, promotion=name)
    if not entries:
        return voice.say("coupon_no_effect", code=coupon.code)
    return _why(coupon.code, entries[0], asked)


def _why(code: str, entry: TraceEntry, asked: Asked) -> str:
    """Why a coupon's promotion did nothing, by what became of it."""
    voice = asked.voice.cashier
    if entry.outcome == TraceOutcome.LIMIT_REACHED:
        return voice.say("coupon_limit", code=code)
    if entry.outcome == TraceOutcome.LOST:
        if entry.lost_to < 0:
            return voice.say("coupon_lost_to_several", code=code)
        name = voice.name_of(asked.program.promotions[entry.lost_to])
        return voice.say("coupon_lost", code=code, promotion=name)
    if entry.missing and entry.condition in _BY_AMOUNT:
        return voice.say("coupon_short_amount", code=code, amount=voice.money(entry.missing))
    if entry.missing and entry.condition in _BY_QUANTITY and not entry.missing % MILLI:
        quantity = voice.quantity(entry.missing)
        return voice.say("coupon_short_quantity", code=code, quantity=quantity)
    return voice.say(_COUPON_WHY.get(entry.condition, "coupon_no_effect"), code=code)


def fill_hints(answer: pb.Answer, asked: Asked) -> None:
    """Write what is within reach."""
    lines = asked.sale.lines
    for hint in asked.hints:
        answer.hints.add(
            promotion_id=asked.program.promotions[hint.number].promotion_id,
            line_id=lines[hint.position].line_id if hint.position != NOWHERE else "",
            missing_milli=hint.missing_milli,
            missing_minor=hint.missing_minor,
            text=_hint_text(hint, asked),
        )


def _hint_text(hint: Hint, asked: Asked) -> str:
    voice = asked.voice.cashier
    name = voice.name_of(asked.program.promotions[hint.number])
    if hint.missing_minor:
        return voice.say("hint_amount", amount=voice.money(hint.missing_minor), promotion=name)
    code = "hint_offer" if hint.is_free else "hint_quantity"
    return voice.say(code, quantity=voice.quantity(hint.missing_milli), promotion=name)
