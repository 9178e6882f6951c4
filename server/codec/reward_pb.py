"""Rewards in an answer: what each is, its words, and what the slip says of them."""

from typing import NamedTuple

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
from server.codec.set_status import spell_status
from server.codec.shape import shape_of
from server.codec.text_pb import code_texts, slip_text
from server.texts import Speaker, wording_of

_ID_REWARD = b"R"


class _Kind(NamedTuple):
    """A kind of reward, and the codes of the texts that speak of one."""

    number: pb.RewardKind.ValueType
    reward_code: str
    slip_code: str


_POINTS = _Kind(pb.REWARD_KIND_POINTS, "reward_points", "slip_earned_points")
_DISCOUNT = _Kind(
    pb.REWARD_KIND_DEFERRED_DISCOUNT, "reward_deferred_discount", "slip_earned_deferred_discount"
)
_COUPON = _Kind(pb.REWARD_KIND_COUPON, "reward_coupon", "slip_earned_coupon")
_CERTIFICATE = _Kind(
    pb.REWARD_KIND_GIFT_CERTIFICATE, "reward_gift_certificate", "slip_earned_gift_certificate"
)
_PRIZE = _Kind(pb.REWARD_KIND_PRIZE, "reward_prize", "slip_earned_prize")
_STATUS = _Kind(pb.REWARD_KIND_STATUS, "reward_status", "slip_earned_status")
_ENTRY = _Kind(pb.REWARD_KIND_DRAW_ENTRY, "reward_draw_entry", "slip_earned_draw_entry")
_TRANSFER = _Kind(
    pb.REWARD_KIND_MONEY_TRANSFER, "reward_money_transfer", "slip_earned_money_transfer"
)
_EARNED = {"points": _POINTS, "stamps": _POINTS, "deferred_discount": _DISCOUNT}
"""By kind of asset; money of gift cards is bought, not earned."""
_REWARD = shape_of(
    pb.Reward,
    "id",
    "kind",
    "promotion_id",
    "asset_code",
    "amount_minor",
    "value_minor",
    "active_from_us",
    "expires_at_us",
    "text",
    "detail_code",
    "count",
    "codes",
).one
_BALANCE = shape_of(pb.AssetBalance, "asset_code", "amount_minor", "decimals").one
_REWARD_SET = shape_of(pb.RewardSet, "status", "rewards", "balances").one

_Given = tuple[_Kind, dict[str, str], int, str, int]
"""What a grant is: its kind, the figures that texts may name, minor units (0 where it is counted),
the code of what it is one of, how many (0 where it is no count)."""


def spell_rewards(asked: Asked) -> tuple[bytes, list[bytes]]:
    """Spell the rewards with what the customer's assets amount to after them.

    Returns:
        The set, and the texts that say it on the slip.
    """
    skipped, slip, assets = asked.skipped, asked.voice.slip, asked.program.assets
    status = spell_status(skipped.rewards, skipped.has_rewards)
    if skipped.rewards and not skipped.has_rewards:
        return _REWARD_SET(status, [], []), []
    texts: list[bytes] = []
    grants = asked.decision.evaluation.grants
    rewards = [_spell_reward(asked, grant, texts) for grant in grants]
    balances, sums = [], _balances_after(asked)
    for asset_code in sorted(sums.keys() & assets.keys()):
        asset, amount_minor = assets[asset_code], sums[asset_code]
        balances.append(_BALANCE(asset_code, amount_minor, asset.decimals))
        template = slip.templates[f"slip_balance_{wording_of(asset)}"]
        texts.append(slip_text(template.format_map(slip.owned(amount_minor, asset))))
    return _REWARD_SET(status, rewards, balances), texts


def _no_asset(benefit: Benefit, amount_minor: int, slip: Speaker) -> _Given:
    """A reward that is no asset: something counted, money, or a tier."""
    match benefit:
        case CouponReward():
            counted = {"count": slip.counted("coupon", amount_minor)}
            return _COUPON, counted, 0, benefit.series_code, amount_minor
        case GiftCertificate():
            return _CERTIFICATE, {"amount": slip.money(amount_minor)}, amount_minor, "", 0
        case Prize():
            counted = {"count": slip.counted("prize", amount_minor)}
            return _PRIZE, counted, 0, benefit.pool_code, amount_minor
        case Status():
            return _STATUS, {"tier": benefit.tier_code}, 0, benefit.tier_code, 0
        case DrawEntries():
            counted = {"count": slip.counted("entry", amount_minor)}
            return _ENTRY, counted, 0, benefit.draw_code, amount_minor
        case MoneyTransfer():
            money = {"amount": slip.money(amount_minor)}
            return _TRANSFER, money, amount_minor, benefit.destination_code, 0
    raise AssertionError(f"{type(benefit).__name__} gives an asset, or no reward")


def _spell_reward(asked: Asked, grant: Grant, texts: list[bytes]) -> bytes:
    """Spell a reward; add what the slip says of it, and from when and until when it can be used."""
    voice, program, now_us = asked.voice, asked.program, asked.evaluated_at_us
    promotion, amount_minor = program.promotions[grant.number], grant.amount_minor
    slip, starts_us, ends_us = voice.slip, grant.active_from_us, grant.expires_at_us
    if grant.asset_code:
        asset, detail_code, how_many = program.assets[grant.asset_code], "", 0
        kind, figures = _EARNED[asset.kind], slip.owned(amount_minor, asset)
    else:
        given = _no_asset(promotion.gives[grant.place], amount_minor, slip)
        kind, figures, amount_minor, detail_code, how_many = given
    texts.append(slip_text(slip.templates[kind.slip_code].format_map(figures)))
    codes = asked.codes.get((grant.number, grant.place), ()) if asked.codes else ()
    for code in codes:
        texts += code_texts(code, asked.sale.header.capabilities.print_qr)
    if starts_us > now_us:
        texts.append(slip_text(slip.say_day("slip_active_from", starts_us, voice.zone)))
    if ends_us:
        texts.append(slip_text(slip.say_day("slip_expires", ends_us, voice.zone)))
    figures["promotion"] = slip.name_of(promotion)
    return _REWARD(
        b"%b%b%b%c" % (asked.id_base, _ID_REWARD, promotion.tag, grant.place),
        kind.number,
        promotion.promotion_id,
        grant.asset_code,
        amount_minor,
        grant.value_minor,
        starts_us or now_us,
        ends_us,
        slip.templates[kind.reward_code].format_map(figures),
        detail_code,
        how_many,
        list(codes),
    )


def _balances_after(asked: Asked) -> dict[str, int]:
    """What the customer's assets amount to after the receipt, minor units, by code."""
    evaluation, facts = asked.decision.evaluation, asked.facts
    sums = dict(facts.customer.balances)
    for grant in evaluation.grants:
        if grant.asset_code:
            sums[grant.asset_code] = sums.get(grant.asset_code, 0) + grant.amount_minor
    for cost in evaluation.spends:
        sums[cost.asset_code] = sums.get(cost.asset_code, 0) - cost.amount_minor
    for spent in facts.spends:
        sums[spent.asset_code] = sums.get(spent.asset_code, 0) - spent.amount_minor
    for asset_code, amount_minor in asked.returned.items():
        sums[asset_code] = sums.get(asset_code, 0) + amount_minor
    return sums
