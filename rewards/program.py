"""What a program's author writes: strict types, the same names as `loyalty/v1/program.proto`.

A TOML file and a proto message are two forms of `Program`. Decoding refuses unknown keys and wrong
types (msgspec); what needs looking at several fields together is refused by `program_check`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from rewards.authored import (
    AmountMinor,
    AssetCode,
    Authored,
    Channel,
    Code,
    Count,
    Days,
    Language,
    LocalDate,
    LocalTexts,
    LocalTime,
    Name,
    Pair,
    ProductSet,
    ShareBp,
    Weight,
)
from rewards.benefit import Benefit
from rewards.condition import Condition
from rewards.limits import BENEFITS_MAX

LaneName = Literal["price", "basket", "reward"]
CheckName = Literal["text", "phone", "email", "date", "choice", "yes_no"]
FieldCode = Annotated[str, Meta(pattern=r"^[a-z0-9_]{0,64}\Z")]
Period = Literal["day", "week", "month", "year", "ever"]
PeriodName = Literal["day", "week", "month", "year", "ever"]


class PluralForm(Authored, frozen=True):
    """A word in one CLDR plural category."""

    category: Literal["zero", "one", "two", "few", "many", "other"]
    text: Name


class AssetName(Authored, frozen=True):
    """Name of an asset in one language."""

    language_code: Language
    forms: Annotated[tuple[PluralForm, ...], Meta(min_length=1)]


class Asset(Authored, frozen=True):
    """Something customers can own.

    Attributes:
        decimals: decimals of its minor unit, 0 to 6.
        active_after_days: whole local days until a lot becomes active.
        active_days: whole local days a lot is active, the last included; 0 is without end.
        value_micros: value of its minor unit, millionths of a minor unit of money; of points 0 is
            the program's `point_value_micros`.
        balance_max_minor: what would raise a balance above it is not given; 0 is without bound.
        goodwill_max_minor: most that a gesture of the contact centre may give; 0 is none.
    """

    code: AssetCode
    kind: Literal["points", "stamps", "gift_money", "deferred_discount"]
    names: Annotated[tuple[AssetName, ...], Meta(min_length=1)]
    decimals: Annotated[int, Meta(ge=0, le=6)] = 0
    active_after_days: Annotated[int, Meta(ge=0, le=3660)] = 0
    active_days: Annotated[int, Meta(ge=0, le=3660)] = 0
    value_micros: Annotated[int, Meta(ge=0, le=10**9)] = 0
    balance_max_minor: AmountMinor = 0
    goodwill_max_minor: AmountMinor = 0


class When(Authored, frozen=True):
    """In force from the first to the last day, both included, by the store's wall clock.

    Attributes:
        from_time: on the first day not before; empty is from midnight on.
        to_time: on the last day not from this minute on; empty is until midnight.
    """

    from_date: LocalDate = ""
    to_date: LocalDate = ""
    from_time: LocalTime = ""
    to_time: LocalTime = ""


class Limits(Authored, frozen=True):
    """How often it may fire and how much it may give; 0 is without limit.

    Money is money off and worth of rewards. Periods are those of the store's wall clock.

    Attributes:
        times_per_receipt: sets of one receipt; benefits on pieces have `pieces.count_max`.
        discount_max_minor: money off a receipt.
        customer_times: receipts on which it may fire for a customer in a period.
        total_times: receipts on which it may fire at all in a period.
        total_minor: money over all receipts of that period.
        on_shortage: where less is left than it would give: give that part, or nothing.
        customer_minor: money for a customer in the customer's period.
        store_times: receipts of one store on which it may fire in a period.
        store_minor: money over all receipts of a store in that period.
    """

    times_per_receipt: Count = 0
    discount_max_minor: AmountMinor = 0
    customer_times: Count = 0
    customer_period: PeriodName = "ever"
    total_times: Annotated[int, Meta(ge=0, le=10**12)] = 0
    total_minor: Annotated[int, Meta(ge=0, le=10**15)] = 0
    on_shortage: Literal["part", "refuse"] = "part"
    customer_minor: AmountMinor = 0
    store_times: Annotated[int, Meta(ge=0, le=10**12)] = 0
    store_minor: Annotated[int, Meta(ge=0, le=10**15)] = 0
    store_period: PeriodName = "ever"
    total_period: PeriodName = "ever"

    @property
    def bounds_times(self) -> bool:
        """Whether it bounds on how many receipts it fires."""
        return bool(self.customer_times or self.store_times or self.total_times)

    @property
    def bounds_money(self) -> bool:
        """Whether it bounds what it gives over many receipts."""
        return bool(self.customer_minor or self.store_minor or self.total_minor)


class Cost(Authored, frozen=True):
    """What firing costs the customer, in an asset: stamps, points.

    Due for each set, gift or piece that a benefit lowers, once for a discount on the receipt; the
    promotion fires as often as it can be paid.

    Attributes:
        amount_minor: minor units of the asset, each time.
        with_earned: what earlier promotions of this receipt gave may be spent at once.
        each: a gift or an amount off the receipt is given as often as it can be paid, not once.
    """

    asset_code: AssetCode
    amount_minor: Annotated[int, Meta(ge=1, le=10**12)]
    with_earned: bool = False
    each: bool = False


class Funding(Authored, frozen=True):
    """A party that pays a share of what the promotion gives, up to a cap; 0 is without cap."""

    party_id: Name
    share_bp: Annotated[int, Meta(ge=1, le=10_000)]
    max_minor: AmountMinor = 0


class Policy(Authored, frozen=True):
    """What happens to what it gave when the receipt changes after it was paid.

    Attributes:
        refund: money and rewards whose ground a return takes away are taken back, left, or the
            return is refused.
        offline: what a discount becomes that a till could not give.
    """

    refund: Literal["rewards", "claw_back", "waive", "forbid"] = "rewards"
    offline: Literal["points", "deferred_discount", "nothing"] = "points"


class Promotion(Authored, frozen=True):
    """A promotion = when + who + what + gives + limits, in a lane at a priority (higher first).

    Attributes:
        products: what the benefits are about.
        conditions: all must hold.
        gives: prices first, then rewards; rewards of a promotion that lowers prices are given if
            it did.
        exclusive_group: of the promotions of a group one takes effect.
        exclusive: once it fired no other price promotion works: on the receipt, or on its items.
        base: of which price benefits are: the running one, that at the lane's start, or as sent;
            pieces that it may claim have not been lowered since the lane's start.
        stackable: works on pieces that others have claimed, and claims none.
        on_stickers: works on lines with a markdown sticker too.
    """

    promotion_id: Code
    names: LocalTexts
    lane: LaneName
    gives: Annotated[tuple[Benefit, ...], Meta(min_length=1, max_length=BENEFITS_MAX)]
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    when: When = When()
    products: ProductSet = ProductSet()
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=32)] = ()
    limits: Limits = Limits()
    cost: Cost | None = None
    stackable: bool = False
    on_stickers: bool = False
    base: Literal["running", "lane_start", "as_sent"] = "running"
    exclusive_group: Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{0,64}\Z")] = ""
    exclusive: Literal["no", "receipt", "items"] = "no"
    funding: Annotated[tuple[Funding, ...], Meta(max_length=8)] = ()
    policy: Policy = Policy()


class ExclusiveGroup(Authored, frozen=True):
    """How the one promotion of a group is chosen; a group that is not listed takes the first.

    Attributes:
        choose: the first that fires in running order; the one worth most to the customer by
            itself; or that whose coupon was shown last.
    """

    group_id: Code
    choose: Literal["first", "best", "last_coupon"] = "first"


class LaneSetting(Authored, frozen=True):
    """How a lane resolves conflicts; a lane that is not listed is sequential.

    Attributes:
        mode: by priority, or the combination worth most to the customer.
        steps_max: budget of the proof that a combination is the best.
    """

    lane: Literal["price", "basket"]
    mode: Literal["sequential", "best"]
    steps_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 20_000


class ProductClass(Authored, frozen=True):
    """A rule of the chain above all promotions (tobacco, alcohol).

    Attributes:
        floor_bp: lowest part of the amount sent that may remain to be paid.
    """

    products: ProductSet
    no_discount: bool = False
    no_earn: bool = False
    no_coupon: bool = False
    no_cross_sell: bool = False
    floor_bp: ShareBp = 0


class CouponRules(Authored, frozen=True):
    """How coupon codes that were shown are read.

    Attributes:
        any_case: capital and small letters are the same.
        choose: all codes count, or only the first or the last that a promotion knows.
    """

    any_case: bool = True
    choose: Literal["all", "first", "last"] = "all"


class CouponSeries(Authored, frozen=True):
    """Coupons whose codes are given out one by one, each for one use.

    Attributes:
        valid_days: local days for which a coupon given as a reward is valid, where the reward does
            not say; 0 is without end.
        bearer: of use to whoever shows the code, though it was given to a known customer.
    """

    series_code: Code
    valid_days: Days = 0
    bearer: bool = False


class ReturnRules(Authored, frozen=True):
    """What happens when goods come back.

    Attributes:
        claw_back_debt: what was earned, loses its ground and is spent already is owed; else it is
            waived.
        returned_active_days: how many whole local days a new lot is active in which spent points
            come back whose lot has expired; the day of the return is not counted.
        no_original: what a refund without its receipt does; paid, nothing is taken back.
    """

    claw_back_debt: bool = True
    returned_active_days: Annotated[int, Meta(ge=0, le=3660)] = 14
    no_original: Literal["refuse", "pay"] = "refuse"


class ForwardRules(Authored, frozen=True):
    """What happens to receipts that tills broke off and forward later.

    Attributes:
        clock_tolerance_s: a till's clock may be wrong by so much.
        late_days_max: a receipt may come so many days after its sale.
        parked_hours: so long a refund or void waits for its sale.
    """

    clock_tolerance_s: Annotated[int, Meta(ge=0, le=86_400)] = 7_200
    late_days_max: Annotated[int, Meta(ge=1, le=3_660)] = 30
    parked_hours: Annotated[int, Meta(ge=1, le=8_784)] = 168


class SpendRule(Authored, frozen=True):
    """What of an asset may be spent on a receipt, and what it is worth there.

    Attributes:
        step_minor: it is spent in whole steps of so many minor units of the asset.
        value_minor: what a step is worth, minor units of money.
        mode: as a discount on lines, above their floors; or as a tender POINTS of the till.
        share_max_bp: highest part of what may be paid so.
        minimum_minor: least that is spent on a receipt, minor units of the asset.
        products: what may be paid so.
        zones: in stores of one of these; empty is everywhere.
        segments: by customers in one of these; empty is everybody.
        customer_max_minor: most that a customer spends in a period; 0 is without bound.
        automatic: as much as may be spent is spent without being asked.
    """

    asset_code: AssetCode
    step_minor: Annotated[int, Meta(ge=1, le=10**12)]
    value_minor: Annotated[int, Meta(ge=1, le=10**12)]
    mode: Literal["discount", "tender"] = "discount"
    share_max_bp: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    minimum_minor: AmountMinor = 0
    products: ProductSet = ProductSet()
    zones: tuple[Name, ...] = ()
    segments: tuple[Name, ...] = ()
    customer_max_minor: AmountMinor = 0
    customer_period: Period = "ever"
    automatic: bool = False


class EarnBound(Authored, frozen=True):
    """How much of an asset may be earned; what is above it is not given. 0 is without bound.

    Attributes:
        receipt_max_minor: most that a receipt gives, minor units of the asset.
        customer_max_minor: most that a customer gets in a period.
        zones: in stores of one of these; empty is everywhere.
        segments: by customers in one of these; empty is everybody.
    """

    asset_code: AssetCode
    receipt_max_minor: AmountMinor = 0
    customer_max_minor: AmountMinor = 0
    customer_period: Period = "ever"
    zones: tuple[Name, ...] = ()
    segments: tuple[Name, ...] = ()


class TierRule(Authored, frozen=True):
    """Who buys for so much, or so often, in a period has a tier; every bound must hold.

    Attributes:
        amount_from_minor: what was paid for goods, minor units.
        receipts_from: receipts.
        period: the local days up to today, or the calendar's month, quarter or year so far.
        rolling_days: of period rolling, today included.
        grace_days: for so many days the tier stays after the rule has held last.
    """

    tier_code: Name
    amount_from_minor: AmountMinor = 0
    receipts_from: Count = 0
    period: Literal["rolling", "month", "quarter", "year"] = "rolling"
    rolling_days: Annotated[int, Meta(ge=1, le=1_100)] = 365
    grace_days: Annotated[int, Meta(ge=0, le=1_100)] = 0


class ProfileField(Authored, frozen=True):
    """A defined field of the profile.

    Attributes:
        valid_days: days an answer stays valid; 0 is for ever (asked once).
        weight: importance; higher is asked first.
        first_asked_if: asked for the first time only if another field has one of these answers.
        asked_again_if: asked again only if another field has one of these answers.
        never_asked: part of the profile, never asked at a till.
    """

    field_code: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
    questions: LocalTexts
    check: CheckName
    choices: tuple[Name, ...] = ()
    valid_days: Annotated[int, Meta(ge=0, le=36_600)] = 0
    weight: Weight = 0
    first_asked_if: tuple[Pair, ...] = ()
    asked_again_if: tuple[Pair, ...] = ()
    never_asked: bool = False


class MessageRules(Authored, frozen=True):
    """How customers are told by message what a forwarded receipt gave them.

    Attributes:
        by_sms: they are told; false is never.
        phone_field: the profile field with the phone; empty is the first that is checked as one.
        consent_field: a profile field checked as yes_no; empty is nobody is asked.
        consent: who answered no is not told, or only who answered yes is.
        zone_field: a profile field with the customer's IANA time zone; empty is the store's.
        quiet_from: from this minute of the customer's day on nothing is sent.
        quiet_to: until this minute, that one not included; may be on the next day.
        customer_max: messages sent to one customer in `customer_hours`; 0 is without bound.
    """

    by_sms: bool = True
    phone_field: FieldCode = ""
    consent_field: FieldCode = ""
    consent: Literal["unless_no", "only_yes"] = "unless_no"
    zone_field: FieldCode = ""
    quiet_from: LocalTime = ""
    quiet_to: LocalTime = ""
    customer_max: Annotated[int, Meta(ge=0, le=1_000)] = 0
    customer_hours: Annotated[int, Meta(ge=1, le=8_760)] = 24


class CrossSellLink(Authored, frozen=True):
    """Whoever has `basket` and is in one of `segments` is shown `show`."""

    link_id: Code
    basket: ProductSet
    show: ProductSet
    texts: LocalTexts
    segments: tuple[Name, ...] = ()
    weight: Weight = 0


class TillGroup(Authored, frozen=True):
    """Tills that are set up alike; the first group that fits a till counts."""

    group_id: Code
    till_types: tuple[Channel, ...] = ()
    stores: tuple[Name, ...] = ()
    cross_sell_max: Annotated[int, Meta(ge=0, le=20)] = 0


class TextTemplate(Authored, frozen=True):
    """A text in place of the built-in one of the same code."""

    text_code: Code
    texts: LocalTexts


class Program(Authored, frozen=True):
    """All that one chain's loyalty program says.

    Attributes:
        point_value_micros: value of a minor unit of points, millionths of a minor unit of money.
        prompts_max: at most so many prompts a receipt.
        spend_rules: of an asset the first that fits store and customer counts.
        earn_bounds: all that fit count.
        hold_minutes: so long a Quote holds what its basket reserves.
        messages: how customers are told what a forwarded receipt gave them.
    """

    program_id: Code
    chain_id: Name
    currency_code: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    language_code: Language
    assets: Annotated[tuple[Asset, ...], Meta(min_length=1, max_length=32)]
    promotions: Annotated[tuple[Promotion, ...], Meta(max_length=100_000)] = ()
    lanes: Annotated[tuple[LaneSetting, ...], Meta(max_length=2)] = ()
    exclusive_groups: Annotated[tuple[ExclusiveGroup, ...], Meta(max_length=10_000)] = ()
    product_classes: Annotated[tuple[ProductClass, ...], Meta(max_length=100)] = ()
    coupon_rules: CouponRules = CouponRules()
    profile_fields: Annotated[tuple[ProfileField, ...], Meta(max_length=200)] = ()
    prompts_max: Annotated[int, Meta(ge=0, le=20)] = 0
    cross_sell_links: Annotated[tuple[CrossSellLink, ...], Meta(max_length=100_000)] = ()
    till_groups: Annotated[tuple[TillGroup, ...], Meta(max_length=1_000)] = ()
    texts: Annotated[tuple[TextTemplate, ...], Meta(max_length=1_000)] = ()
    point_value_micros: Annotated[int, Meta(ge=0, le=10**9)] = 0
    returns: ReturnRules = ReturnRules()
    coupon_series: Annotated[tuple[CouponSeries, ...], Meta(max_length=10_000)] = ()
    tier_rules: Annotated[tuple[TierRule, ...], Meta(max_length=100)] = ()
    spend_rules: Annotated[tuple[SpendRule, ...], Meta(max_length=100)] = ()
    earn_bounds: Annotated[tuple[EarnBound, ...], Meta(max_length=100)] = ()
    hold_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 15
    forward: ForwardRules = ForwardRules()
    messages: MessageRules = MessageRules()
