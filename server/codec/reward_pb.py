"""Rewards in an answer: what each is, its words, and what the slip says of them."""

from collections.abc import Sequence

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import (
    Benefit,
    CouponReward,
    DrawEntries,
    GiftCertificate,
    MoneyTransfer,
    Prize,
    Status,
)
from rewards.rewarding import Grant
from server.codec.asked import Asked
from server.texts import Speaker, wording_of

_ID_REWARD = b"R"
_ASSET_KIND = {
    "points": pb.REWARD_KIND_POINTS,
    "stamps": pb.REWARD_KIND_POINTS,
    "deferred_discount": pb.REWARD_KIND_DEFERRED_DISCOUNT,
}


def fill_rewards(rewards: pb.RewardSet, asked: Asked) -> None:
    """Write the rewards, and what the customer's assets amount to after them."""
    program, slip = asked.program, asked.voice.slip
    for grant in asked.decision.evaluation.grants:
        promotion = program.promotions[grant.number]
        reward = rewards.rewards.add()
        reward.id = b"%b%b%b%c" % (asked.id_base, _ID_REWARD, promotion.tag, grant.place)
        reward.promotion_id = promotion.promotion_id
        reward.value_minor = grant.value_minor
        reward.active_from_us = grant.active_from_us or asked.evaluated_at_us
        reward.expires_at_us = grant.expires_at_us
        name = slip.name_of(promotion)
        asset_code = grant.asset_code
        if asset_code:
            asset = program.assets[asset_code]
            reward.kind = _ASSET_KIND[asset.kind]
            reward.asset_code = asset_code
            reward.amount_minor = amount_minor = grant.amount_minor
            amount, unit = slip.amount(amount_minor, asset), slip.asset(amount_minor, asset)
            reward.text = slip.say(
                f"reward_{wording_of(asset)}", promotion=name, amount=amount, asset=unit
            )
        else:
            _fill_other(reward, promotion.gives[grant.place], grant, slip, name)
            reward.codes.extend(asked.codes.get((grant.number, grant.place), ()))
    for asset_code, amount_minor in balances_after(asked):
        balance = rewards.balances.add()
        balance.asset_code = asset_code
        balance.amount_minor = amount_minor
        balance.decimals = program.assets[asset_code].decimals


def _fill_other(
    reward: pb.Reward, benefit: Benefit, grant: Grant, slip: Speaker, promotion: str
) -> None:
    """Write a reward that is no asset."""
    match benefit:
        case CouponReward():
            reward.kind = pb.REWARD_KIND_COUPON
            reward.detail_code, reward.count = benefit.series_code, grant.amount_minor
        case GiftCertificate():
            reward.kind = pb.REWARD_KIND_GIFT_CERTIFICATE
            reward.amount_minor = grant.amount_minor
        case Prize():
            reward.kind = pb.REWARD_KIND_PRIZE
            reward.detail_code, reward.count = benefit.pool_code, grant.amount_minor
        case Status():
            reward.kind = pb.REWARD_KIND_STATUS
            reward.detail_code = benefit.tier_code
        case DrawEntries():
            reward.kind = pb.REWARD_KIND_DRAW_ENTRY
            reward.detail_code, reward.count = benefit.draw_code, grant.amount_minor
        case MoneyTransfer():
            reward.kind = pb.REWARD_KIND_MONEY_TRANSFER
            reward.detail_code, reward.amount_minor = benefit.destination_code, grant.amount_minor
    kind, figures = _worded(benefit, grant.amount_minor, slip)
    reward.text = slip.say(f"reward_{kind}", promotion=promotion, **figures)


def _worded(benefit: Benefit, amount_minor: int, slip: Speaker) -> tuple[str, dict[str, str]]:
    """Which texts speak of a reward that is no asset, and their figures."""
    match benefit:
        case CouponReward():
            return "coupon", {"count": slip.counted("coupon", amount_minor)}
        case GiftCertificate():
            return "gift_certificate", {"amount": slip.money(amount_minor)}
        case Prize():
            return "prize", {"count": slip.counted("prize", amount_minor)}
        case Status():
            return "status", {"tier": benefit.tier_code}
        case DrawEntries():
            return "draw_entry", {"count": slip.counted("entry", amount_minor)}
        case MoneyTransfer():
            return "money_transfer", {"amount": slip.money(amount_minor)}
    raise AssertionError(f"{type(benefit).__name__} gives an asset, or no reward")


def balances_after(asked: Asked) -> list[tuple[str, int]]:
    """What the customer's assets amount to after the receipt, minor units, by code."""
    sums = dict(asked.facts.customer.balances)
    for grant in asked.decision.evaluation.grants:
        if grant.asset_code:
            sums[grant.asset_code] = sums.get(grant.asset_code, 0) + grant.amount_minor
    taken = [(one.asset_code, one.amount_minor) for one in asked.decision.evaluation.spends]
    taken += [(one.asset_code, one.amount_minor) for one in asked.facts.spends]
    for asset_code, amount_minor in taken:
        sums[asset_code] = sums.get(asset_code, 0) - amount_minor
    return sorted((code, minor) for code, minor in sums.items() if code in asked.program.assets)


def fill_earned_texts(answer: pb.Answer, asked: Asked) -> None:
    """Write on the slip what is given, with its time, and the balances."""
    slip, assets = asked.voice.slip, asked.program.assets
    for grant in asked.decision.evaluation.grants:
        _fill_earned(answer, grant, asked)
    for asset_code, amount_minor in balances_after(asked):
        asset = assets[asset_code]
        text = slip.say(
            f"slip_balance_{wording_of(asset)}",
            amount=slip.amount(amount_minor, asset),
            asset=slip.asset(amount_minor, asset),
        )
        _put(answer.texts.add(), text)


def _fill_earned(answer: pb.Answer, grant: Grant, asked: Asked) -> None:
    slip, zone = asked.voice.slip, asked.voice.zone
    add = answer.texts.add
    if grant.asset_code:
        asset = asked.program.assets[grant.asset_code]
        amount = slip.amount(grant.amount_minor, asset)
        name = slip.asset(grant.amount_minor, asset)
        _put(add(), slip.say(f"slip_earned_{wording_of(asset)}", amount=amount, asset=name))
    else:
        benefit = asked.program.promotions[grant.number].gives[grant.place]
        kind, figures = _worded(benefit, grant.amount_minor, slip)
        _put(add(), slip.say(f"slip_earned_{kind}", **figures))
        _fill_codes(answer, asked.codes.get((grant.number, grant.place), ()), asked)
    if grant.active_from_us > asked.evaluated_at_us:
        day = slip.day(grant.active_from_us, zone)
        _put(add(), slip.say("slip_active_from", day=day))
    if grant.expires_at_us:
        day = slip.day(grant.expires_at_us, zone)
        _put(add(), slip.say("slip_expires", day=day))


def _fill_codes(answer: pb.Answer, codes: Sequence[str], asked: Asked) -> None:
    """Write codes on a coupon slip, as a QR code too where the till can print one."""
    can_print_qr = asked.sale.header.capabilities.print_qr
    styles = (pb.TEXT_STYLE_QR, pb.TEXT_STYLE_NORMAL) if can_print_qr else (pb.TEXT_STYLE_BARCODE,)
    for code in codes:
        for style in styles:
            answer.texts.add(place=pb.TEXT_PLACE_COUPON_SLIP, style=style, text=code)


def _put(text: pb.Text, words: str) -> None:
    """Write a line of the slip."""
    text.place = pb.TEXT_PLACE_SLIP
    text.style = pb.TEXT_STYLE_NORMAL
    text.text = words
