"""Rewards in an answer: what each is, its words, and what the slip says of them."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

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
_ASSET_KIND = {
    "points": pb.REWARD_KIND_POINTS,
    "stamps": pb.REWARD_KIND_POINTS,
    "deferred_discount": pb.REWARD_KIND_DEFERRED_DISCOUNT,
}
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


class _Given(Struct, frozen=True):
    """What a grant is, as the contract has it, and in words.

    Attributes:
        name: texts `reward_{name}` and `slip_earned_{name}` speak of it.
        figures: what these texts may name.
    """

    kind: pb.RewardKind.ValueType
    name: str
    figures: dict[str, str]
    amount_minor: int = 0
    detail_code: str = ""
    how_many: int = 0
    codes: Sequence[str] = ()


def spell_rewards(asked: Asked) -> tuple[bytes, list[bytes]]:
    """Spell the rewards with what the customer's assets amount to after them.

    Returns:
        The set, and the texts that say it on the slip.
    """
    status = spell_status(asked.skipped.rewards)
    if asked.skipped.rewards:
        return _REWARD_SET(status, [], []), []
    slip, assets = asked.voice.slip, asked.program.assets
    rewards, balances, texts = [], [], []
    for grant in asked.decision.evaluation.grants:
        given = _given(asked, grant)
        rewards.append(_spell_reward(asked, grant, given))
        texts.append(slip_text(slip.fill(f"slip_earned_{given.name}", given.figures)))
        for code in given.codes:
            texts += code_texts(code, asked.sale.header.capabilities.print_qr)
        texts += _times(asked, grant)
    for asset_code, amount_minor in balances_after(asked):
        asset = assets[asset_code]
        balances.append(_BALANCE(asset_code, amount_minor, asset.decimals))
        figures = slip.owned(amount_minor, asset)
        texts.append(slip_text(slip.fill(f"slip_balance_{wording_of(asset)}", figures)))
    return _REWARD_SET(status, rewards, balances), texts


def _given(asked: Asked, grant: Grant) -> _Given:
    slip, amount_minor = asked.voice.slip, grant.amount_minor
    if grant.asset_code:
        asset = asked.program.assets[grant.asset_code]
        figures = slip.owned(amount_minor, asset)
        return _Given(_ASSET_KIND[asset.kind], wording_of(asset), figures, amount_minor)
    benefit = asked.program.promotions[grant.number].gives[grant.place]
    given = _no_asset(benefit, amount_minor, slip)
    codes = asked.codes.get((grant.number, grant.place))
    return replace(given, codes=codes) if codes else given


def _no_asset(benefit: Benefit, amount_minor: int, slip: Speaker) -> _Given:
    """A reward that is no asset: something counted, money, or a tier."""
    match benefit:
        case CouponReward():
            counted = {"count": slip.counted("coupon", amount_minor)}
            kind, code = pb.REWARD_KIND_COUPON, benefit.series_code
            return _Given(kind, "coupon", counted, 0, code, amount_minor)
        case GiftCertificate():
            money = {"amount": slip.money(amount_minor)}
            kind = pb.REWARD_KIND_GIFT_CERTIFICATE
            return _Given(kind, "gift_certificate", money, amount_minor)
        case Prize():
            counted = {"count": slip.counted("prize", amount_minor)}
            kind, code = pb.REWARD_KIND_PRIZE, benefit.pool_code
            return _Given(kind, "prize", counted, 0, code, amount_minor)
        case Status():
            tier = {"tier": benefit.tier_code}
            return _Given(pb.REWARD_KIND_STATUS, "status", tier, 0, benefit.tier_code)
        case DrawEntries():
            counted = {"count": slip.counted("entry", amount_minor)}
            kind, code = pb.REWARD_KIND_DRAW_ENTRY, benefit.draw_code
            return _Given(kind, "draw_entry", counted, 0, code, amount_minor)
        case MoneyTransfer():
            money = {"amount": slip.money(amount_minor)}
            kind, code = pb.REWARD_KIND_MONEY_TRANSFER, benefit.destination_code
            return _Given(kind, "money_transfer", money, amount_minor, code)
    raise AssertionError(f"{type(benefit).__name__} gives an asset, or no reward")


def _spell_reward(asked: Asked, grant: Grant, given: _Given) -> bytes:
    slip, promotion = asked.voice.slip, asked.program.promotions[grant.number]
    figures = {**given.figures, "promotion": slip.name_of(promotion)}
    return _REWARD(
        b"%b%b%b%c" % (asked.id_base, _ID_REWARD, promotion.tag, grant.place),
        given.kind,
        promotion.promotion_id,
        grant.asset_code,
        given.amount_minor,
        grant.value_minor,
        grant.active_from_us or asked.evaluated_at_us,
        grant.expires_at_us,
        slip.fill(f"reward_{given.name}", figures),
        given.detail_code,
        given.how_many,
        list(given.codes),
    )


def balances_after(asked: Asked) -> list[tuple[str, int]]:
    """What the customer's assets amount to after the receipt, minor units, by code."""
    sums = dict(asked.facts.customer.balances)
    for grant in asked.decision.evaluation.grants:
        if grant.asset_code:
            sums[grant.asset_code] = sums.get(grant.asset_code, 0) + grant.amount_minor
    for spend in asked.decision.evaluation.spends:
        sums[spend.asset_code] = sums.get(spend.asset_code, 0) - spend.amount_minor
    for spent in asked.facts.spends:
        sums[spent.asset_code] = sums.get(spent.asset_code, 0) - spent.amount_minor
    return sorted([one for one in sums.items() if one[0] in asked.program.assets])


def _times(asked: Asked, grant: Grant) -> list[bytes]:
    """Say on the slip from when and until when a reward can be used."""
    slip, zone = asked.voice.slip, asked.voice.zone
    said = []
    if grant.active_from_us > asked.evaluated_at_us:
        said.append(slip_text(slip.say_day("slip_active_from", grant.active_from_us, zone)))
    if grant.expires_at_us:
        said.append(slip_text(slip.say_day("slip_expires", grant.expires_at_us, zone)))
    return said
