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
from server.codec.shape import shape_of

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
    CouponState.MAY_NOT_SPEND: "coupon_may_not_spend",
}
_PIECE = shape_of(
    pb.PieceToAdd,
    "id",
    "promotion_id",
    "line_id",
    "sku",
    "quantity_milli",
    "amount_minor",
    "text",
    "choice_group",
).one
_COUPON = shape_of(pb.CouponResult, "code", "state", "text").one
_HINT = shape_of(pb.Hint, "promotion_id", "line_id", "missing_milli", "missing_minor", "text").one
_BY_QUANTITY = (Condition.QUANTITY, Condition.PRODUCTS)
_BY_AMOUNT = (Condition.RECEIPT_AMOUNT, Condition.PRODUCTS_AMOUNT)


def spell_pieces(asked: Asked) -> list[bytes]:
    """Spell the pieces that the cashier may add."""
    return [_spell_piece(offer, asked) for offer in asked.decision.evaluation.offers]


def _spell_piece(offer: PieceOffer, asked: Asked) -> bytes:
    promotion = asked.program.promotions[offer.number]
    line_id = asked.sale.lines[offer.position].line_id if offer.position != NOWHERE else ""
    place = f"{offer.choice_group}:{line_id}:{offer.sku}".encode()
    return _PIECE(
        asked.id_base + _ID_PIECE + promotion.tag + place,
        promotion.promotion_id,
        line_id,
        offer.sku,
        offer.quantity_milli,
        offer.amount_minor,
        _piece_text(offer, asked),
        offer.choice_group,
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


def spell_coupons(asked: Asked) -> list[bytes]:
    """Spell what became of the coupon codes, and why."""
    evaluation = asked.decision.evaluation
    trace = {entry.number: entry for entry in evaluation.trace}
    return [
        _COUPON(coupon.code, coupon.state, _coupon_text(coupon, trace, asked))
        for coupon in evaluation.coupons
    ]


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


def spell_hints(asked: Asked) -> list[bytes]:
    """Spell what is within reach."""
    lines, promotions = asked.sale.lines, asked.program.promotions
    return [
        _HINT(
            promotions[hint.number].promotion_id,
            lines[hint.position].line_id if hint.position != NOWHERE else "",
            hint.missing_milli,
            hint.missing_minor,
            _hint_text(hint, asked),
        )
        for hint in asked.hints
    ]


def _hint_text(hint: Hint, asked: Asked) -> str:
    voice = asked.voice.cashier
    name = voice.name_of(asked.program.promotions[hint.number])
    if hint.missing_minor:
        return voice.say("hint_amount", amount=voice.money(hint.missing_minor), promotion=name)
    code = "hint_offer" if hint.is_free else "hint_quantity"
    return voice.say(code, quantity=voice.quantity(hint.missing_milli), promotion=name)
