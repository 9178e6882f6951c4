"""The answer, from the domain to protobuf, with its texts."""

from collections.abc import Sequence

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import (
    AmountOff,
    BundlePrice,
    BuyGet,
    CheapestFree,
    FixedPrice,
    Gift,
    Message,
    NPlusM,
    NthItem,
    PercentOff,
    PriceList,
    QuantityTiers,
    ReceiptDiscount,
)
from rewards.facts import CustomerState
from rewards.ruleset import CompiledPromotion
from rewards.sale import LineAction
from rewards.trace import TraceEntry
from server.codec.asked import Asked
from server.codec.offer_pb import fill_coupons, fill_hints, fill_pieces
from server.codec.reward_pb import fill_earned_texts, fill_rewards
from server.codec.spend_pb import (
    fill_spend_texts,
    fill_spending,
    fill_spent_parts,
    spent_off_minor,
)
from server.texts import pick

_SLIP, _CASHIER = pb.TEXT_PLACE_SLIP, pb.TEXT_PLACE_CASHIER
_PLACES = {
    "cashier": _CASHIER,
    "customer_display": pb.TEXT_PLACE_CUSTOMER_DISPLAY,
    "slip": _SLIP,
}
_NORMAL, _EMPHASIS = pb.TEXT_STYLE_NORMAL, pb.TEXT_STYLE_EMPHASIS

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
_TRACE_OUTCOMES = tuple(pb.TraceOutcome.values())
_TRACE_CONDITIONS = tuple(pb.TraceCondition.values())
_CHECKS = {
    "text": pb.ANSWER_CHECK_TEXT,
    "phone": pb.ANSWER_CHECK_PHONE,
    "email": pb.ANSWER_CHECK_EMAIL,
    "date": pb.ANSWER_CHECK_DATE,
    "choice": pb.ANSWER_CHECK_CHOICE,
    "yes_no": pb.ANSWER_CHECK_YES_NO,
}

# Second part of an id: what it stands for. The first part is the basket or receipt.
_ID_PROMPT, _ID_ITEM = b"P", b"X"


def fill_answer(answer: pb.Answer, asked: Asked) -> None:
    """Write the four sets, texts and trace into an empty answer."""
    evaluation = asked.decision.evaluation
    answer.ruleset_version = asked.ruleset_version
    answer.evaluated_at_us = asked.evaluated_at_us
    answer.earning_estimated = not asked.sale.tenders
    state = asked.facts.customer.state
    if state:
        answer.customer_state = pb.CustomerState.ValueType(state)
    _fill_lines(answer.lines, asked)
    _set_status(answer.rewards.status, asked.skipped.rewards)
    if not asked.skipped.rewards:
        fill_rewards(answer.rewards, asked)
    _fill_prompts(answer.prompts, asked)
    _fill_items(answer.cross_sell, asked)
    _fill_texts(answer, asked)
    for entry in evaluation.trace:
        _fill_trace(answer, entry, asked.program.promotions)
    for proof in evaluation.proofs:
        answer.lane_proofs.add(
            lane=pb.Lane.ValueType(proof.lane),
            optimal=proof.optimal,
            bound_minor=proof.gap_minor,
            steps=proof.steps,
        )
    if evaluation.coupons:
        fill_coupons(answer, asked)
    for card in asked.facts.gift_cards:
        answer.gift_cards.add(
            gift_card_id=card.code,
            available_minor=card.left_minor,
            expires_at_us=card.expires_at_us,
        )
    if asked.hints:
        fill_hints(answer, asked)
    fill_spending(answer, asked)


def _set_status(
    status: pb.SetStatus, reason: pb.SetReason.ValueType, partial: bool = False
) -> None:
    if reason == pb.SET_REASON_UNSPECIFIED:
        status.completeness = pb.SET_COMPLETENESS_COMPLETE
    else:
        kind = pb.SET_COMPLETENESS_PARTIAL if partial else pb.SET_COMPLETENESS_SKIPPED
        status.completeness = kind
        status.reason = reason


def _fill_extra_status(
    status: pb.SetStatus, reason: pb.SetReason.ValueType, decided: Sequence[object] | None
) -> None:
    """State of a set that may be left out: without another reason it was switched off."""
    off = decided is None and reason == pb.SET_REASON_UNSPECIFIED
    _set_status(status, pb.SET_REASON_SWITCHED_OFF if off else reason)


def _fill_lines(lines: pb.LineSet, asked: Asked) -> None:
    evaluation, promotions = asked.decision.evaluation, asked.program.promotions
    slip = asked.voice.slip
    known = {product.sku for product in asked.facts.products}
    _set_status(lines.status, asked.skipped.lines, partial=True)
    results = lines.lines
    before_minor = after_minor = 0
    for line, outcome in zip(asked.sale.lines, evaluation.outcomes, strict=True):
        if outcome is None:
            continue
        sign = -1 if line.action == LineAction.RETURN else 1
        before_minor += sign * line.amount_minor
        after_minor += sign * outcome.amount_minor
        result = results.add()
        result.line_id = line.line_id
        result.amount_minor = outcome.amount_minor
        if line.sku not in known:
            result.unknown_sku = True
        for run in outcome.runs:
            piece = result.runs.add()
            piece.quantity_milli = run.quantity_milli
            piece.unit_price_minor = run.unit_price_minor
            piece.amount_minor = run.amount_minor
        for effect in outcome.adjustments:
            promotion = promotions[effect.number]
            adjustment = result.adjustments.add()
            adjustment.promotion_id = promotion.promotion_id
            adjustment.kind = _ADJUSTMENT_KIND[type(promotion.gives[0])]
            adjustment.amount_minor = effect.amount_minor
            adjustment.quantity_milli = effect.quantity_milli
            adjustment.text = slip.name_of(promotion)
        if outcome.spent:
            fill_spent_parts(result, outcome, line, asked)
    totals = lines.totals
    totals.amount_before_minor = before_minor
    totals.adjustments_minor = after_minor - before_minor
    totals.amount_minor = after_minor
    if evaluation.offers:
        fill_pieces(lines, asked)


def _fill_prompts(prompts: pb.PromptSet, asked: Asked) -> None:
    decided = asked.decision.prompts
    _fill_extra_status(prompts.status, asked.skipped.prompts, decided)
    language = asked.voice.cashier.language_code
    for prompt in decided or ():
        field = prompt.compiled.field
        prompts.prompts.add(
            id=asked.id_base + _ID_PROMPT + prompt.compiled.tag,
            field_code=field.field_code,
            reason=pb.PromptReason.ValueType(prompt.reason),
            check=_CHECKS[field.check],
            choices=field.choices,
            text=pick(prompt.compiled.texts, language),
        )


def _fill_items(items: pb.CrossSellSet, asked: Asked) -> None:
    decided = asked.decision.items
    _fill_extra_status(items.status, asked.skipped.items, decided)
    language = asked.voice.cashier.language_code
    for item in decided or ():
        name = asked.catalogue.products[item.sku].name
        items.items.add(
            id=asked.id_base + _ID_ITEM + item.link.tag + item.sku.encode(),
            link_id=item.link.link.link_id,
            sku=item.sku,
            name=name,
            because_line_id=asked.sale.lines[item.position].line_id,
            text=pick(item.link.texts, language).format_map({"product": name}),
        )


def _fill_texts(answer: pb.Answer, asked: Asked) -> None:
    """Write what the cashier and the display show, then the slip."""
    voice, state = asked.voice, asked.facts.customer.state
    if state == CustomerState.UNKNOWN:
        _put_text(answer.texts.add(), _CASHIER, _NORMAL, voice.cashier.say("cashier_unknown"))
    elif state == CustomerState.BLOCKED:
        _put_text(answer.texts.add(), _CASHIER, _NORMAL, voice.cashier.say("cashier_blocked"))
    elif state == CustomerState.EARN_ONLY and asked.program.spend_rules:
        _put_text(answer.texts.add(), _CASHIER, _NORMAL, voice.cashier.say("cashier_earn_only"))
    messages = asked.decision.evaluation.messages
    if messages:
        _fill_messages(answer, asked, messages)
    saved_minor = -answer.lines.totals.adjustments_minor - spent_off_minor(asked)
    if saved_minor:
        text = voice.slip.say("slip_saved", amount=voice.slip.money(saved_minor))
        _put_text(answer.texts.add(), _SLIP, _EMPHASIS, text)
    fill_spend_texts(answer, asked)
    if not asked.skipped.rewards:
        fill_earned_texts(answer, asked)


def _fill_messages(answer: pb.Answer, asked: Asked, messages: Sequence[tuple[int, int]]) -> None:
    """Write what promotions say, each where it belongs; a question must be acknowledged."""
    for number, place in messages:
        message = asked.program.promotions[number].gives[place]
        assert isinstance(message, Message)
        to_cashier = message.place == "cashier"
        speaker = asked.voice.cashier if to_cashier else asked.voice.slip
        words = {text.language_code: text.text for text in message.texts}
        text = answer.texts.add()
        _put_text(text, _PLACES[message.place], _NORMAL, pick(words, speaker.language_code))
        if message.is_question:
            text.must_acknowledge = True


def _put_text(
    text: pb.Text, place: pb.TextPlace.ValueType, style: pb.TextStyle.ValueType, words: str
) -> None:
    text.place = place
    text.style = style
    text.text = words


def _fill_trace(
    answer: pb.Answer, entry: TraceEntry, promotions: Sequence[CompiledPromotion]
) -> None:
    traced = answer.trace.add()
    traced.promotion_id = promotions[entry.number].promotion_id
    traced.outcome = _TRACE_OUTCOMES[entry.outcome]
    if entry.times:
        traced.times = entry.times
    else:
        traced.condition = _TRACE_CONDITIONS[entry.condition]
        traced.missing = entry.missing
    if entry.lost_to >= 0:
        traced.lost_to_promotion_id = promotions[entry.lost_to].promotion_id
