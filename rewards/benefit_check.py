"""Benefits whose keys contradict each other, and the lanes in which each may stand."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    CheapestFree,
    CouponReward,
    DeferredDiscount,
    DrawEntries,
    FixedPrice,
    Gift,
    GiftCertificate,
    Message,
    MoneyTransfer,
    NPlusM,
    NthItem,
    PercentOff,
    Pieces,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    PriceBenefit,
    PriceList,
    Prize,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
    Status,
)
from rewards.problem import (
    COUNTED_KINDS,
    Problem,
    Scope,
    check_asset,
    check_languages,
    check_milli,
    check_names,
    check_not_blank,
    check_one_of,
    check_trimmed,
)
from rewards.product_set_check import check_product_set
from rewards.program import LaneName

_PRICES: tuple[LaneName, ...] = ("price", "basket")
_REWARDS: tuple[LaneName, ...] = ("reward", "price", "basket")

LANES_ALLOWED: dict[str, tuple[LaneName, ...]] = {
    "percent_off": _PRICES,
    "amount_off": _PRICES,
    "fixed_price": _PRICES,
    "price_list": _PRICES,
    "nth_item": _PRICES,
    "n_plus_m": _PRICES,
    "cheapest_free": _PRICES,
    "buy_get": _PRICES,
    "bundle_price": _PRICES,
    "quantity_tiers": _PRICES,
    "gift": _PRICES,
    "receipt_discount": ("basket", "price"),
    "points_rate": _REWARDS,
    "points_fixed": _REWARDS,
    "points_multiplier": ("reward",),
    "deferred_discount": _REWARDS,
    "coupon_reward": _REWARDS,
    "gift_certificate": _REWARDS,
    "prize": _REWARDS,
    "status": _REWARDS,
    "draw_entries": _REWARDS,
    "money_transfer": _REWARDS,
    "message": _REWARDS,
}
"""Lanes in which a benefit may stand, by its code; the usual one first."""

COUNTED = NthItem | NPlusM | CheapestFree | BuyGet | BundlePrice
"""Benefits that take whole pieces, so nothing that is weighed."""

_BUNDLE_PIECES_MIN = 2


def benefit_code(benefit: Benefit) -> str:
    """Name the kind of a benefit as authors write it, for example `n_plus_m`."""
    code = type(benefit).__struct_config__.tag
    assert isinstance(code, str)
    return code


def check_gives(path: str, gives: Sequence[Benefit], scope: Scope) -> Iterator[Problem]:
    """Find the benefits of a promotion that cannot be meant.

    Args:
        path: the list.
        gives: prices first, then rewards.
        scope: of the program.
    """
    for index, benefit in enumerate(gives):
        yield from _check_benefit(f"{path}[{index}]", benefit, scope)
    yield from check_unique_benefits(path, gives)
    for index, (before, benefit) in enumerate(pairwise(gives), start=1):
        if isinstance(benefit, PriceBenefit) and not isinstance(before, PriceBenefit):
            reason = f"{benefit_code(benefit)} stands behind {benefit_code(before)}, a reward"
            yield Problem(f"{path}[{index}]", f"{reason}; prices come first")


def check_unique_benefits(path: str, gives: Sequence[Benefit]) -> Iterator[Problem]:
    """Refuse the same benefit twice: what a copied line leaves."""
    for index, benefit in enumerate(gives):
        first = gives.index(benefit)
        if first != index:
            yield Problem(f"{path}[{index}]", f"is the same as {path}[{first}]")


def repeats(benefit: Benefit) -> bool:
    """Whether it makes sets, of which a receipt can hold several."""
    return isinstance(benefit, COUNTED) or (
        isinstance(benefit, Gift) and benefit.for_each_count > 0
    )


def once_a_receipt(benefit: Benefit) -> bool:
    """Whether it gives once a receipt, unless its cost is paid for each time."""
    match benefit:
        case Gift():
            return not benefit.for_each_count
        case ReceiptDiscount():
            return benefit.amount_minor > 0
    return False


def has_worth(benefit: Benefit) -> bool:
    """Whether what it gives is worth money."""
    return not isinstance(benefit, CouponReward | Prize | Status | DrawEntries | Message)


def uses_products(benefit: Benefit) -> bool:
    """Whether it reads the promotion's own products."""
    return not (isinstance(benefit, BundlePrice) and benefit.parts)


def _check_benefit(path: str, benefit: Benefit, scope: Scope) -> Iterator[Problem]:
    match benefit:
        case PercentOff() | AmountOff() | FixedPrice():
            yield from _check_pieces(f"{path}.pieces", benefit.pieces)
        case NthItem() | NPlusM() | PriceList():
            pass
        case CheapestFree():
            yield from _check_cheapest_free(path, benefit)
        case BuyGet():
            yield from check_product_set(f"{path}.get_products", benefit.get_products)
        case BundlePrice():
            yield from _check_bundle(path, benefit)
        case QuantityTiers():
            yield from _check_tiers(f"{path}.tiers", benefit.tiers)
        case Gift():
            yield from _check_gift(path, benefit)
        case ReceiptDiscount():
            yield from _check_receipt_discount(path, benefit)
        case _:
            yield from _check_reward(path, benefit, scope)


def _check_pieces(path: str, pieces: Pieces) -> Iterator[Problem]:
    if pieces.pick == "dearest" and not pieces.count_max:
        yield Problem(f"{path}.pick", "has no effect: without count_max all pieces are taken")
    if 0 < pieces.count_max < pieces.full_groups_of:
        reason = f"{pieces.count_max} pieces never make a full group of {pieces.full_groups_of}"
        yield Problem(f"{path}.count_max", reason)


def _check_cheapest_free(path: str, benefit: CheapestFree) -> Iterator[Problem]:
    if benefit.free_count >= benefit.set_count:
        reason = f"{benefit.free_count} of {benefit.set_count} leaves nothing to pay"
        yield Problem(f"{path}.free_count", f"{reason}; it must be below set_count")


def _check_bundle(path: str, bundle: BundlePrice) -> Iterator[Problem]:
    yield from check_one_of(path, parts=bundle.parts, set_count=bundle.set_count)
    yield from check_one_of(
        path,
        price_minor=bundle.price_minor,
        amount_off_minor=bundle.amount_off_minor,
        rate_bp=bundle.rate_bp,
    )
    for index, part in enumerate(bundle.parts):
        place = f"{path}.parts[{index}]"
        yield from check_product_set(f"{place}.products", part.products)
        first = [other.products for other in bundle.parts].index(part.products)
        if first != index:
            reason = f"is the set of {path}.parts[{first}]; raise the count there"
            yield Problem(f"{place}.products", reason)
    pieces = bundle.set_count + sum(part.count for part in bundle.parts)
    if 0 < pieces < _BUNDLE_PIECES_MIN:
        key = "parts" if bundle.parts else "set_count"
        yield Problem(f"{path}.{key}", "is one piece, which is no bundle; see fixed_price")


def _check_tiers(path: str, tiers: Sequence[QuantityTier]) -> Iterator[Problem]:
    for index, tier in enumerate(tiers):
        place = f"{path}[{index}]"
        if not tier.from_milli:
            yield Problem(f"{place}.from_milli", "is 0; a tier starts above it")
        yield from check_milli(f"{place}.from_milli", tier.from_milli)
        yield from check_one_of(
            place,
            rate_bp=tier.rate_bp,
            amount_off_minor=tier.amount_off_minor,
            price_minor=tier.price_minor,
        )
    for index, (lower, higher) in enumerate(pairwise(tiers), start=1):
        yield from _check_rise(f"{path}[{index}]", lower, higher)


def _check_rise(path: str, lower: QuantityTier, higher: QuantityTier) -> Iterator[Problem]:
    """Tiers go up, and of two alike the higher one is the better."""
    if higher.from_milli <= lower.from_milli:
        reason = f"{higher.from_milli} does not rise above {lower.from_milli}, the tier before"
        yield Problem(f"{path}.from_milli", reason)
    for key in ("rate_bp", "amount_off_minor"):
        before, after = getattr(lower, key), getattr(higher, key)
        if before and after and after <= before:
            yield Problem(f"{path}.{key}", f"{after} is no more than {before}, the tier before")
    if higher.price_minor and 0 < lower.price_minor <= higher.price_minor:
        reason = f"{higher.price_minor} is no less than {lower.price_minor}, the tier before"
        yield Problem(f"{path}.price_minor", reason)


def _check_gift(path: str, gift: Gift) -> Iterator[Problem]:
    yield from check_names(f"{path}.skus", gift.skus)
    yield from check_milli(f"{path}.quantity_milli", gift.quantity_milli)
    if gift.choice and len(gift.skus) == 1:
        yield Problem(f"{path}.choice", "leaves nothing to choose: skus names one article")


def _check_receipt_discount(path: str, benefit: ReceiptDiscount) -> Iterator[Problem]:
    yield from check_one_of(
        path,
        rate_bp=benefit.rate_bp,
        amount_minor=benefit.amount_minor,
        price_minor=benefit.price_minor,
    )
    if benefit.max_minor and benefit.amount_minor:
        yield Problem(f"{path}.max_minor", "stands beside amount_minor, which says how much")


def _check_reward(path: str, benefit: Benefit, scope: Scope) -> Iterator[Problem]:
    match benefit:
        case PointsRate() | PointsFixed() | PointsMultiplier():
            yield from check_asset(path, benefit.asset_code, COUNTED_KINDS, scope)
            if isinstance(benefit, PointsFixed) and benefit.for_each_count:
                if benefit.for_each_minor:
                    reason = "stands beside for_each_count; points are for pieces or for money"
                    yield Problem(f"{path}.for_each_minor", reason)
        case DeferredDiscount():
            yield from check_asset(path, benefit.asset_code, ("deferred_discount",), scope)
            yield from _check_rate_or_amount(path, benefit)
        case MoneyTransfer():
            yield from _check_rate_or_amount(path, benefit)
        case Status():
            for problem in check_trimmed("", (benefit.tier_code,)):
                yield Problem(f"{path}.tier_code", problem.reason)
        case Message():
            yield from _check_message(path, benefit, scope)
        case CouponReward() | GiftCertificate() | Prize() | DrawEntries():
            pass


def _check_rate_or_amount(
    path: str, benefit: DeferredDiscount | MoneyTransfer
) -> Iterator[Problem]:
    yield from check_one_of(path, rate_bp=benefit.rate_bp, amount_minor=benefit.amount_minor)


def _check_message(path: str, message: Message, scope: Scope) -> Iterator[Problem]:
    languages = [text.language_code for text in message.texts]
    yield from check_languages(f"{path}.texts", languages, scope.language_code)
    yield from check_not_blank(f"{path}.texts", [text.text for text in message.texts])
    if message.is_question and message.place != "cashier":
        reason = f"only the cashier can be asked, but the place is {message.place}"
        yield Problem(f"{path}.is_question", reason)
