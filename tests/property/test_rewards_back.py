"""Goal: refunds take of a reward, together, the most that one of them alone would have taken.

What is taken is not given again, whatever re-evaluation makes of what is left; but what it would
have given again, or besides, is not taken either.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.benefit import CouponReward, MoneyTransfer, ReceiptDiscount
from rewards.instrument import coupon_asset
from rewards.ledger import OwnedLot, transfer_id_of
from rewards.program import Policy
from rewards.refund import Refund, decide_refund
from rewards.rewarding import Grant
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.settling import GrantedLot, ReturnRecord, claims_of
from rewards.transfer import cuts_of, transfers_of
from tests import make
from tests.table.test_refund import by_reference

KEY = make.key_id("sale")
Steps = list[dict[str, int]]


@st.composite
def sold(draw: st.DrawFn) -> tuple[ProgramRules, Sale]:
    """A receipt with a threshold that may fall as goods come back, and rewards on what is paid."""
    off = ReceiptDiscount(rate_bp=draw(st.integers(500, 6_000)))
    policy = Policy(draw(st.sampled_from(("rewards", "claw_back"))))
    from_minor = draw(st.integers(0, 300))
    rules = make.rules(
        make.promotion("off", off, receipt_amount_from_minor=from_minor, policy=policy),
        make.promotion("phone", MoneyTransfer("mobile", rate_bp=1_000), priority=5),
        make.points(1_000, priority=4),
        make.promotion("twice", MoneyTransfer("fund", 40), receipt_amount_from_minor=from_minor),
        make.promotion("next", CouponReward("next"), receipt_amount_from_minor=from_minor),
    )
    prices = draw(st.lists(st.integers(1, 200), min_size=2, max_size=4))
    lines = [make.line(f"sku{n}", 1, minor, line_id=str(n)) for n, minor in enumerate(prices)]
    return rules, make.sale(*lines)


def _refund(rules: ProgramRules, sale: Sale, earlier: Steps, now: dict[str, int]) -> Refund:
    refund = decide_refund(rules, sale, make.facts(), earlier, now, by_reference)
    assert isinstance(refund, Refund)
    return refund


def _granted(rules: ProgramRules, grants: Sequence[Grant]) -> list[GrantedLot]:
    """A lot for each grant that is an asset; coupons are one lot each."""
    found = []
    for n, grant in enumerate(grants):
        promotion = rules.program.promotions[grant.number]
        is_coupon = isinstance(promotion.gives[grant.place], CouponReward)
        asset_code = coupon_asset("next") if is_coupon else grant.asset_code
        if asset_code:
            minor = grant.amount_minor
            lot = OwnedLot(transfer_id_of(KEY, 100 + n), asset_code, minor, minor)
            lot = replace(lot, promotion_id=promotion.promotion_id)
            found.append(GrantedLot(lot, minor))
    return found


@given(sold(), st.data())
def test_they_take_the_most_that_one_of_them_would(
    bought: tuple[ProgramRules, Sale], data: st.DataObject
) -> None:
    rules, sale = bought
    order = data.draw(st.permutations([line.line_id for line in sale.lines]))
    evaluation = by_reference(rules, sale, make.facts(), None)
    sent = transfers_of(rules.program, evaluation.grants, KEY, 70)
    lots = _granted(rules, evaluation.grants)
    left = {one.transfer_id: one.amount_minor for one in sent}
    records: list[ReturnRecord] = []
    most_taken: dict[bytes, int] = {}
    earlier: Steps = []
    for line_id in order:
        refund = _refund(rules, sale, earlier, {line_id: 1_000})
        returned = {line_id: 1_000, **(earlier[-1] if earlier else {})}
        earlier.append(returned)
        for cut in cuts_of(rules.program, refund, KEY, 70):
            left[cut.transfer_id] = min(left[cut.transfer_id], cut.left_minor)
        claims = claims_of(refund, rules.program, lots, records)
        claimed = tuple((*one.granted.place, one.amount_minor) for one in claims)
        records.append(ReturnRecord((), claimed=claimed))
        at_once = _refund(rules, sale, [], returned)
        asked = {one.transfer_id: one.amount_minor for one in sent}
        alone = {
            cut.transfer_id: asked[cut.transfer_id] - cut.left_minor
            for cut in cuts_of(rules.program, at_once, KEY, 70)
        }
        alone |= {
            one.granted.lot.lot_id: one.amount_minor
            for one in claims_of(at_once, rules.program, lots, ())
        }
        most_taken = {
            key: max(most_taken.get(key, 0), alone.get(key, 0)) for key in {*most_taken, *alone}
        }
        taken = {one.transfer_id: one.amount_minor - left[one.transfer_id] for one in sent}
        for record in records:
            for _, lot_id, minor in record.claimed:
                taken[lot_id] = taken.get(lot_id, 0) + minor
        assert {k: minor for k, minor in taken.items() if minor} == {
            k: minor for k, minor in most_taken.items() if minor
        }
