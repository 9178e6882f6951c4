"""The answer, from the domain to protobuf, with its texts."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import CheapestFree, NPlusM, PercentOff, PointsRate, ReceiptDiscount
from rewards.decide import Decision
from rewards.evaluate import Evaluation
from rewards.facts import CustomerState, Facts
from rewards.limits import MILLI
from rewards.product import Catalogue
from rewards.rewarding import Grant
from rewards.rounding import floor_div
from rewards.ruleset import CompiledProgram, CompiledPromotion
from rewards.sale import LineAction, Sale
from rewards.trace import TraceEntry
from server.texts import Speaker, pick

_SLIP, _CASHIER = pb.TEXT_PLACE_SLIP, pb.TEXT_PLACE_CASHIER
_NORMAL, _EMPHASIS = pb.TEXT_STYLE_NORMAL, pb.TEXT_STYLE_EMPHASIS

_ADJUSTMENT_KIND: dict[type, pb.AdjustmentKind.ValueType] = {
    PercentOff: pb.ADJUSTMENT_KIND_PERCENT_OFF,
    NPlusM: pb.ADJUSTMENT_KIND_N_PLUS_M,
    CheapestFree: pb.ADJUSTMENT_KIND_CHEAPEST_FREE,
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
_ID_REWARD, _ID_PROMPT, _ID_ITEM, _ID_PIECE = b"R", b"P", b"X", b"A"


class Skipped(NamedTuple):
    """Why a set is not complete; SET_REASON_UNSPECIFIED is that it is, or is switched off."""

    lines: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    rewards: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    prompts: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    items: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED


class Voice(NamedTuple):
    """Who speaks: to the cashier, and on the customer's slip; days are those of the zone."""

    cashier: Speaker
    slip: Speaker
    zone: tzinfo


class Asked(NamedTuple):
    """All that an answer is made of."""

    id_base: bytes
    program: CompiledProgram
    ruleset_version: int
    evaluated_at_us: int
    sale: Sale
    facts: Facts
    decision: Decision
    skipped: Skipped
    catalogue: Catalogue
    voice: Voice


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
    _fill_rewards(answer.rewards, asked)
    _fill_prompts(answer.prompts, asked)
    _fill_items(answer.cross_sell, asked)
    _fill_texts(answer, asked)
    for entry in evaluation.trace:
        _fill_trace(answer, entry, asked.program.promotions)


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
            adjustment.kind = _ADJUSTMENT_KIND[type(promotion.benefit)]
            adjustment.amount_minor = effect.amount_minor
            adjustment.quantity_milli = effect.quantity_milli
            adjustment.text = slip.name_of(promotion)
    totals = lines.totals
    totals.amount_before_minor = before_minor
    totals.adjustments_minor = after_minor - before_minor
    totals.amount_minor = after_minor
    _fill_pieces(lines, evaluation, asked)


def _fill_pieces(lines: pb.LineSet, evaluation: Evaluation, asked: Asked) -> None:
    voice = asked.voice.cashier
    for offer in evaluation.offers:
        promotion = asked.program.promotions[offer.number]
        line = asked.sale.lines[offer.position]
        name = voice.name_of(promotion)
        quantity = str(floor_div(offer.quantity_milli, MILLI))
        lines.to_add.add(
            id=asked.id_base + _ID_PIECE + promotion.tag + line.sku.encode(),
            promotion_id=promotion.promotion_id,
            line_id=line.line_id,
            sku=line.sku,
            quantity_milli=offer.quantity_milli,
            text=voice.say("add_piece", quantity=quantity, promotion=name),
        )


def _fill_rewards(rewards: pb.RewardSet, asked: Asked) -> None:
    _set_status(rewards.status, asked.skipped.rewards)
    if asked.skipped.rewards:
        return
    for grant in asked.decision.evaluation.grants:
        promotion = asked.program.promotions[grant.number]
        reward = rewards.rewards.add()
        reward.id = asked.id_base + _ID_REWARD + promotion.tag
        reward.kind = _reward_kind(promotion)
        reward.promotion_id = promotion.promotion_id
        reward.asset_code = grant.asset_code
        reward.amount_minor = grant.amount_minor
        reward.value_minor = grant.value_minor
        reward.active_from_us = grant.active_from_us
        reward.expires_at_us = grant.expires_at_us
        reward.text = _reward_text(promotion, grant, asked)
    for asset_code, amount_minor in balances_after(asked):
        balance = rewards.balances.add()
        balance.asset_code = asset_code
        balance.amount_minor = amount_minor
        balance.decimals = asked.program.assets[asset_code].decimals


def balances_after(asked: Asked) -> list[tuple[str, int]]:
    """What the customer's assets amount to after the receipt, minor units, by code."""
    sums = dict(asked.facts.customer.balances)
    for grant in asked.decision.evaluation.grants:
        sums[grant.asset_code] = sums.get(grant.asset_code, 0) + grant.amount_minor
    return sorted((code, minor) for code, minor in sums.items() if code in asked.program.assets)


def _reward_kind(promotion: CompiledPromotion) -> pb.RewardKind.ValueType:
    if isinstance(promotion.benefit, PointsRate):
        return pb.REWARD_KIND_POINTS
    return pb.REWARD_KIND_DEFERRED_DISCOUNT


def _reward_text(promotion: CompiledPromotion, grant: Grant, asked: Asked) -> str:
    voice, asset = asked.voice.slip, asked.program.assets[grant.asset_code]
    return voice.say(
        f"reward_{asset.kind}",
        promotion=voice.name_of(promotion),
        amount=voice.amount(grant.amount_minor, asset),
        asset=voice.asset(grant.amount_minor, asset),
    )


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
    _fill_cashier_texts(answer, asked)
    slip = asked.voice.slip
    add = answer.texts.add
    saved_minor = -answer.lines.totals.adjustments_minor
    if saved_minor:
        text = slip.say("slip_saved", amount=slip.money(saved_minor))
        _put(add(), _EMPHASIS, text)
    if asked.skipped.rewards:
        return
    for grant in asked.decision.evaluation.grants:
        _fill_earned(answer, grant, asked)
    for asset_code, amount_minor in balances_after(asked):
        asset = asked.program.assets[asset_code]
        text = slip.say(
            f"slip_balance_{asset.kind}",
            amount=slip.amount(amount_minor, asset),
            asset=slip.asset(amount_minor, asset),
        )
        _put(add(), _NORMAL, text)


def _fill_earned(answer: pb.Answer, grant: Grant, asked: Asked) -> None:
    slip, asset, zone = asked.voice.slip, asked.program.assets[grant.asset_code], asked.voice.zone
    add = answer.texts.add
    amount = slip.amount(grant.amount_minor, asset)
    name = slip.asset(grant.amount_minor, asset)
    _put(add(), _NORMAL, slip.say(f"slip_earned_{asset.kind}", amount=amount, asset=name))
    if grant.active_from_us > asked.evaluated_at_us:
        day = slip.day(grant.active_from_us, zone)
        _put(add(), _NORMAL, slip.say("slip_active_from", day=day))
    if grant.expires_at_us:
        day = slip.day(grant.expires_at_us, zone)
        _put(add(), _NORMAL, slip.say("slip_expires", day=day))


def _put(text: pb.Text, style: pb.TextStyle.ValueType, words: str) -> None:
    """Write a line of the slip."""
    text.place = _SLIP
    text.style = style
    text.text = words


def _fill_cashier_texts(answer: pb.Answer, asked: Asked) -> None:
    voice = asked.voice.cashier
    state = asked.facts.customer.state
    if state == CustomerState.UNKNOWN:
        answer.texts.add(place=_CASHIER, style=_NORMAL, text=voice.say("cashier_unknown"))
    elif state == CustomerState.BLOCKED:
        answer.texts.add(place=_CASHIER, style=_NORMAL, text=voice.say("cashier_blocked"))


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
