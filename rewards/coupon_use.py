"""Which coupons a receipt really takes and gives, once it is evaluated.

Both twins evaluate alike; what follows here is the same for both.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rewards.benefit import CouponReward, GiftCertificate
from rewards.evaluate import CouponOutcome, CouponState, Evaluated
from rewards.facts import Facts, Instrument
from rewards.gate import series_token
from rewards.instrument import coupon_asset, series_of
from rewards.reading import EARNING_STATES, coupon_tokens
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram
from rewards.sale import Sale
from rewards.trace import Condition


class GivenOut(NamedTuple):
    """A coupon or certificate that a receipt gives: one account, or one lot of the customer's.

    Attributes:
        grant: the reward that it is of.
        n: which of several.
        amount_minor: 1 of a coupon, money on a certificate.
        is_own: it goes to the customer's account, and only that customer may use it.
    """

    grant: Grant
    n: int
    asset_code: str
    amount_minor: int
    is_own: bool


def coupons_used(
    program: CompiledProgram, sale: Sale, facts: Facts, evaluation: Evaluated
) -> tuple[Instrument, ...]:
    """The coupons that promotions fired by: of each one, and no two where one is enough.

    Of several that would do it is the one shown first, then the customer's soonest to expire.
    """
    if not facts.coupons:
        return ()
    counting = coupon_tokens(program, sale, facts)
    usable = [one for one in facts.coupons if not one.state and _token_of(one) in counting]
    codes = {found for found in counting if found not in {_token_of(one) for one in usable}}
    used: dict[int, Instrument] = {}
    for entry in evaluation.trace:
        if not entry.times:
            continue
        for gate in program.promotions[entry.number].token_gates:
            if gate.condition != Condition.COUPON or not codes.isdisjoint(gate.tokens):
                continue
            fitting = [n for n, one in enumerate(usable) if _token_of(one) in gate.tokens]
            if fitting and used.keys().isdisjoint(fitting):
                used[fitting[0]] = usable[fitting[0]]
    return tuple(used[n] for n in sorted(used))


def _token_of(coupon: Instrument) -> str:
    return series_token(series_of(coupon.asset_code))


def with_coupons(facts: Facts, evaluation: Evaluated, used: Sequence[Instrument]) -> Evaluated:
    """Say of a coupon that was shown and is not needed that another one counted."""
    codes = {one.code for one in used}
    spare = {one.code for one in facts.coupons if one.code and one.code not in codes}
    outcomes = [
        CouponOutcome(one.code, CouponState.NOT_CHOSEN)
        if one.state == CouponState.APPLIED and one.code in spare
        else one
        for one in evaluation.coupons
    ]
    return replace(evaluation.raised(), coupons=tuple(outcomes))


def given_out(
    program: CompiledProgram, facts: Facts, evaluation: Evaluated
) -> tuple[GivenOut, ...]:
    """The coupons of series of the program, and the certificates, that a receipt gives.

    Coupons of a series that the program does not list, and certificates of a program without an
    asset of kind gift_money, are the chain's own affair: they are said, not kept.
    """
    grants = [grant for grant in evaluation.grants if not grant.asset_code]
    if not grants:
        return ()
    customer = facts.customer
    is_known = bool(customer.account_id) and customer.state in EARNING_STATES
    money = program.gift_asset
    found: list[GivenOut] = []
    for grant in grants:
        benefit = program.promotions[grant.number].gives[grant.place]
        if isinstance(benefit, CouponReward) and benefit.series_code in program.coupon_series:
            is_own = is_known and not program.coupon_series[benefit.series_code].bearer
            code = coupon_asset(benefit.series_code)
            found += [GivenOut(grant, n, code, 1, is_own) for n in range(grant.amount_minor)]
        elif isinstance(benefit, GiftCertificate) and money:
            found.append(GivenOut(grant, 0, money, grant.amount_minor, False))
    return tuple(found)
