"""What a refund or a void posts: what was earned is taken back, what was spent comes back.

What comes back goes first, so that it can be taken. Earned points leave the lot they were granted
in; what is not there any more leaves other lots, or is owed, or is waived. Spent points go to the
lots they came from. Everything that several returns of one receipt do adds up to what a void of it
would have done: earlier returns are arguments.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from rewards.benefit import Benefit, CouponReward, GiftCertificate
from rewards.facts import AssetWindow
from rewards.instrument import counted_asset, coupon_asset, is_counted, is_coupon
from rewards.journal import Journal
from rewards.ledger import Book, Funding, Hold, Holdings, LotKind, OwnedLot, Pick, part_of
from rewards.picking import live_holds, pick_any
from rewards.refund import Least, Refund
from rewards.refund_price import ANY_ASSET, PaidOut, PointsBack, points_due
from rewards.rewarding import Grant
from rewards.rounding import floor_div
from rewards.ruleset import CompiledProgram

Place = tuple[int, bytes]
"""The account that a lot was granted on, and its id."""
PlaceMinor = tuple[int, bytes, int]
"""The same with minor units."""


class GrantedLot(Struct, frozen=True):
    """A lot that a sale granted.

    Attributes:
        lot: as it stands on the account now; of one that did not come along with a merge nothing
            is left and nothing granted.
        granted_minor: what the sale granted, minor units.
        account_id: on which account it did. Lots of bearers share ids with others.
    """

    lot: OwnedLot
    granted_minor: int
    account_id: int = 0

    @property
    def place(self) -> "Place":
        """What tells it from all others of its sale."""
        return self.account_id, self.lot.lot_id


class Spending(Struct, frozen=True):
    """What a sale took for one promotion's cost, or as payment, of one asset.

    Attributes:
        promotion_id: whose cost it was; empty is a payment.
        picks: from which lots, in the order in which it was taken.
    """

    promotion_id: str
    asset_code: str
    picks: tuple[Pick, ...]

    @property
    def amount_minor(self) -> int:
        """All of it, minor units."""
        return sum([minor for _, minor in self.picks])


class ReturnRecord(Struct, frozen=True, array_like=True):
    """What one refund of a receipt did, as later ones must know it.

    Attributes:
        lines: (line_id, thousandths, printed price in minor units).
        pay_back_minor: paid back in money.
        by_points_minor: paid back in points, as money.
        given: (promotion, asset, minor units) of what was spent and came back.
        claimed: how much of each granted lot has lost its ground, whatever became of it.
        lapsed: how much of that had expired unspent, so that nothing was owed for it.
        to_cards: (account, minor units of money) paid back to gift cards.
        least: what of rewards with limits was left, see `Refund`; None of records of earlier builds
            and of statements.
        kept_money: promotions could keep money back, see `Refund`; None as above.
        by_assets: (asset, minor units of money) of what was paid back in points; None as above.
    """

    lines: tuple[tuple[str, int, int], ...]
    pay_back_minor: int = 0
    by_points_minor: int = 0
    given: tuple[tuple[str, str, int], ...] = ()
    claimed: tuple[PlaceMinor, ...] = ()
    lapsed: tuple[PlaceMinor, ...] = ()
    to_cards: tuple[tuple[int, int], ...] = ()
    least: Least | None = None
    kept_money: bool | None = None
    by_assets: tuple[tuple[str, int], ...] | None = None


class Claim(Struct, frozen=True):
    """A part of a granted lot that has lost its ground, and what of it was claimed before."""

    granted: GrantedLot
    amount_minor: int
    before_minor: int = 0


class Comeback(Struct, frozen=True):
    """A part of what was spent that comes back: from the `before_minor` on."""

    spending: Spending
    amount_minor: int
    before_minor: int = 0


class Standing(Struct, frozen=True):
    """What settling reads besides the journal.

    Attributes:
        lots: the lots that something was spent from, as in `GrantedLot`.
        lapsed: by lot what of it expired unspent and no earlier return has counted.
        returned: when a new lot counts in which something comes back whose lot has expired.
        claw_back_debt: what cannot be taken is owed; else it is waived.
        at_us: the instant, UTC microseconds.
        is_bearer: a code opens the account: all coupons of a series there are one.
    """

    holds: tuple[Hold, ...]
    lots: Mapping[bytes, OwnedLot]
    lapsed: Mapping[bytes, int]
    returned: AssetWindow
    claw_back_debt: bool
    at_us: int
    is_bearer: bool = False


class SettledAsset(Struct, frozen=True):
    """What settling moves of one asset, minor units."""

    asset_code: str
    given_minor: int = 0
    taken_minor: int = 0
    owed_minor: int = 0
    waived_minor: int = 0


class Settled(Struct, frozen=True):
    """What settling did: by asset, and what had expired unspent by lot."""

    assets: tuple[SettledAsset, ...]
    lapsed: tuple[Pick, ...]


class PointsPart(Struct, frozen=True):
    """How a refund is paid back: in money and, as money, in points; minor units.

    Attributes:
        share: what is paid back in points, and what would be if nothing were kept back.
        by_assets: (asset, minor units of money) of what is paid back in points.
        given: by asset what of the points paid with came back before with goods.
    """

    money_minor: int
    by_points_minor: int
    share: tuple[int, int] = (0, 0)
    given: Mapping[str, int] = {}
    by_assets: tuple[tuple[str, int], ...] = ()


def claims_of(
    refund: Refund,
    program: CompiledProgram,
    lots: Sequence[GrantedLot],
    records: Iterable[ReturnRecord],
) -> tuple[Claim, ...]:
    """What a refund takes back of the lots that the sale granted.

    Args:
        refund: as decided.
        program: the promotions that it numbers.
        lots: all that the sale granted, in the order in which it did.
        records: of earlier refunds; with theirs no more is claimed than a reward has lost of what
            it was granted.
    """
    lots_of = _lots_of_grants(refund.grants, program, lots)
    claimed = _claimed(records)
    claims: list[Claim] = []
    for reward in refund.rewards:
        found = lots_of.get((reward.number, reward.place), [])
        # What came back before may have taken more than what is left would lose by itself.
        lost_minor = sum([one.granted_minor - claimed.get(one.place, 0) for one in found])
        lost_minor -= refund.kept.get((reward.number, reward.place), 0)
        left_minor = max(0, min(reward.amount_minor, lost_minor))
        # Of several coupons those that nobody has used come first.
        for granted in sorted(found, key=lambda one: -one.lot.remaining_minor):
            before_minor = claimed.get(granted.place, 0)
            amount_minor = min(left_minor, granted.granted_minor - before_minor)
            left_minor -= amount_minor
            if amount_minor:
                claims.append(Claim(granted, amount_minor, before_minor))
    return tuple(claims)


def claims_of_void(
    lots: Iterable[GrantedLot], records: Iterable[ReturnRecord]
) -> tuple[Claim, ...]:
    """All that was granted and not claimed yet."""
    claimed = _claimed(records)
    found = []
    for granted in lots:
        before_minor = claimed.get(granted.place, 0)
        if granted.granted_minor > before_minor:
            found.append(Claim(granted, granted.granted_minor - before_minor, before_minor))
    return tuple(found)


def pay_back(refund: Refund, returns: Iterable[ReturnRecord] = ()) -> PointsPart:
    """Part what is paid back as the sale was paid: cumulatively exact over all its refunds.

    Args:
        refund: as decided; what it keeps back lowers the money first.
        returns: earlier ones; points that they kept back are due still.

    Returns:
        Money and points; they sum to what is paid back.
    """
    known = tuple(returns)
    given: dict[str, int] = {}
    for record in known:
        for promotion_id, asset_code, minor in record.given:
            if not promotion_id:
                given[asset_code] = given.get(asset_code, 0) + minor
    due = points_due(refund.points, paid_out_by(known).by_points)
    due_minor = sum(due.values())
    part_minor = min(due_minor, refund.pay_back_minor)
    money_minor = refund.pay_back_minor - part_minor
    by_assets = _shared(part_minor, due)
    return PointsPart(money_minor, part_minor, (part_minor, due_minor), given, by_assets)


def _shared(part_minor: int, due: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Share what is paid back in points over the assets in which it is due, to the last unit."""
    due_minor = sum(due.values())
    found, upto_minor, shared_minor = [], 0, 0
    for asset_code, minor in due.items():
        upto_minor += minor
        now_minor = floor_div(part_minor * upto_minor, max(1, due_minor))
        if now_minor > shared_minor:
            found.append((asset_code, now_minor - shared_minor))
        shared_minor = now_minor
    return tuple(found)


def paid_out_by(returns: Iterable[ReturnRecord], is_plain: bool = False) -> PaidOut:
    """What returns have paid back.

    Args:
        returns: of one sale.
        is_plain: no gift card has paid after all; what they had paid is on them again.
    """
    money_minor = 0
    by_points: dict[str, int] = {}
    for record in returns:
        for asset_code, minor in _by_assets(record):
            by_points[asset_code] = by_points.get(asset_code, 0) + minor
        money_minor += record.pay_back_minor
        if not is_plain:
            money_minor += sum([minor for _, minor in record.to_cards])
    return PaidOut(money_minor, by_points)


def _by_assets(record: ReturnRecord) -> tuple[tuple[str, int], ...]:
    """What a return paid back in points, as money by asset; of earlier builds only the sum."""
    if record.by_assets is None:
        return ((ANY_ASSET, record.by_points_minor),) if record.by_points_minor else ()
    return record.by_assets


def comebacks_of(
    refund: Refund,
    program: CompiledProgram,
    part: PointsPart,
    spendings: Sequence[Spending],
    records: Sequence[ReturnRecord],
) -> tuple[Comeback, ...]:
    """What of the points that the sale took comes back.

    Args:
        refund: as decided.
        program: the promotions that it numbers.
        part: how it is paid back.
        spendings: all that the sale took.
        records: of earlier refunds; together they give no more than was taken, and of a cost no
            more than is not to be paid any more.
    """
    due: dict[tuple[str, str], int] = {}
    kept: dict[tuple[str, str], int] = {}
    for cost in refund.costs:
        key = program.promotions[cost.number].promotion_id, cost.asset_code
        due[key] = due.get(key, 0) + cost.amount_minor
        kept[key] = refund.costs_kept.get(cost.number, 0)
    for points in refund.points:
        key = "", points.asset_code
        due[key] = due.get(key, 0) + _points_back(points, part)
    found = []
    for one in spendings:
        key = one.promotion_id, one.asset_code
        found.append(_comeback(one, due.get(key, 0), records, kept.get(key, 0)))
    return tuple(one for one in found if one.amount_minor)


def comebacks_of_void(
    spendings: Iterable[Spending], records: Sequence[ReturnRecord]
) -> tuple[Comeback, ...]:
    """All that was spent and has not come back yet."""
    found = [_comeback(one, one.amount_minor, records) for one in spendings]
    return tuple(one for one in found if one.amount_minor)


def settle(
    journal: Journal, standing: Standing, claims: Iterable[Claim], comebacks: Iterable[Comeback]
) -> Settled:
    """Post what comes back and what is taken back.

    Args:
        journal: of the key that settles, over all lots of the account that are not empty, and
            those that were granted or spent from.
        standing: holds, what has expired, and the program's policy.
        claims: what has lost its ground.
        comebacks: what was spent and comes back.
    """
    settling = _Settling(journal, standing)
    for comeback in comebacks:
        settling.give(comeback)
    for claim in claims:
        settling.take(claim)
    return settling.settled()


class _Settling:
    """Settles one return; counts by asset what it does."""

    def __init__(self, journal: Journal, standing: Standing) -> None:
        self._journal = journal
        self._standing = standing
        self._moved: dict[str, SettledAsset] = {}
        self._lapsed_left = dict(standing.lapsed)
        self._lapsed: list[Pick] = []

    def give(self, comeback: Comeback) -> None:
        """Give back to the lots it came from; of those that are gone to new ones."""
        spending = comeback.spending
        home: list[Pick] = []
        forgiven: list[Pick] = []
        apart: dict[tuple[AssetWindow, Funding], int] = {}
        for lot_id, minor in _cut(spending.picks, comeback.before_minor, comeback.amount_minor):
            lot = self._standing.lots[lot_id]
            home_minor = min(minor, self._room_in(lot))
            if home_minor:
                (forgiven if lot.kind == LotKind.DEBT else home).append((lot_id, home_minor))
            if minor > home_minor:
                key = self._window_for(lot), lot.funding
                apart[key] = apart.get(key, 0) + minor - home_minor
        self._journal.give_back(spending.asset_code, home, spending.promotion_id)
        self._journal.forgive(Book.CLEARING, spending.asset_code, forgiven)
        for (window, funding), minor in apart.items():
            parts = part_of(funding, minor) if funding else ()
            self._journal.grant(
                spending.promotion_id, spending.asset_code, minor, window, parts, Book.CLEARING
            )
        self._count(spending.asset_code, given_minor=comeback.amount_minor)

    def take(self, claim: Claim) -> None:
        """Take from the lot that was granted, then from others; what is missing is owed."""
        lot, at_us = claim.granted.lot, self._standing.at_us
        own_minor = min(claim.amount_minor, self._free_of(lot))
        rest_minor = claim.amount_minor - own_minor
        rest_minor -= self._lapse(lot.lot_id, rest_minor)
        # Another coupon is no substitute for one that was used.
        is_alone = is_coupon(lot.asset_code) and not self._standing.is_bearer
        lots = [] if is_alone else self._journal.lots()
        others = tuple(one for one in lots if one.lot_id != lot.lot_id)
        picked = pick_any(Holdings(others, self._standing.holds), lot.asset_code, rest_minor, at_us)
        self._journal.take_instead(
            lot.promotion_id,
            lot.asset_code,
            ((lot.lot_id, own_minor), *picked.picks),
            lot.funding,
            claim.before_minor,
            lot.book,
        )
        taken_minor = own_minor + rest_minor - picked.missing_minor
        # A debt of a tier would eat the next one that is given.
        may_owe = self._standing.claw_back_debt and not is_counted(lot.asset_code)
        owed_minor = picked.missing_minor if may_owe else 0
        if owed_minor:
            self._owe(lot, owed_minor, claim.before_minor + taken_minor)
        self._count(
            lot.asset_code,
            taken_minor=taken_minor,
            owed_minor=owed_minor,
            waived_minor=picked.missing_minor - owed_minor,
        )

    def settled(self) -> Settled:
        """Everything so far."""
        assets = tuple(self._moved[code] for code in sorted(self._moved))
        return Settled(assets, tuple(self._lapsed))

    def _owe(self, lot: OwnedLot, owed_minor: int, before_minor: int) -> None:
        parts = part_of(lot.funding, owed_minor, before_minor) if lot.funding else ()
        self._journal.owe(
            lot.book,
            lot.asset_code,
            owed_minor,
            self._standing.at_us,
            lot.promotion_id,
            parts,
        )

    def _room_in(self, lot: OwnedLot) -> int:
        """How much may go back into a lot; of a debt, how much of it is still owed."""
        if lot.kind == LotKind.DEBT:
            return self._journal.left_of(lot.lot_id)
        if lot.has_expired(self._standing.at_us):
            return 0
        return lot.granted_minor - self._journal.left_of(lot.lot_id)

    def _window_for(self, lot: OwnedLot) -> AssetWindow:
        """When a lot counts that stands in for one: as that one did, unless it has expired.

        A debt that has been paid comes back as if it had expired.
        """
        if lot.kind == LotKind.DEBT or lot.has_expired(self._standing.at_us):
            return self._standing.returned
        return AssetWindow(lot.active_from_us, lot.expires_at_us)

    def _free_of(self, lot: OwnedLot) -> int:
        """What is left of a lot and not held for a basket; also of one that has expired."""
        held = [
            minor
            for hold in live_holds(self._standing.holds, self._standing.at_us)
            for lot_id, minor in hold.picks
            if lot_id == lot.lot_id
        ]
        return max(0, self._journal.left_of(lot.lot_id) - sum(held))

    def _lapse(self, lot_id: bytes, amount_minor: int) -> int:
        """How much of an amount had expired unspent: nothing is owed for it."""
        left_minor = self._lapsed_left.get(lot_id, 0)
        lapsed_minor = min(amount_minor, left_minor)
        if lapsed_minor:
            self._lapsed_left[lot_id] = left_minor - lapsed_minor
            self._lapsed.append((lot_id, lapsed_minor))
        return lapsed_minor

    def _count(self, asset_code: str, **minors: int) -> None:
        now = self._moved.get(asset_code, SettledAsset(asset_code))
        sums = {name: getattr(now, name) + minor for name, minor in minors.items()}
        self._moved[asset_code] = replace(now, **sums)


def _lots_of_grants(
    grants: Iterable[Grant], program: CompiledProgram, lots: Iterable[GrantedLot]
) -> dict[tuple[int, int], list[GrantedLot]]:
    """Which lots each grant became: those of a promotion and asset follow each other."""
    waiting: dict[tuple[str, str], list[GrantedLot]] = {}
    for granted in lots:
        key = granted.lot.promotion_id, granted.lot.asset_code
        waiting.setdefault(key, []).append(granted)
    found: dict[tuple[int, int], list[GrantedLot]] = {}
    for grant in grants:
        promotion = program.promotions[grant.number]
        asset_code = grant.asset_code or _asset_of(program, promotion.gives[grant.place])
        count = grant.amount_minor if is_coupon(asset_code) else 1
        there = waiting.get((promotion.promotion_id, asset_code), [])
        found[grant.number, grant.place] = there[:count]
        del there[:count]
    return found


def _asset_of(program: CompiledProgram, benefit: Benefit) -> str:
    """In what asset a coupon or certificate stands; empty for what is no asset."""
    if isinstance(benefit, CouponReward):
        return coupon_asset(benefit.series_code)
    return program.gift_asset if isinstance(benefit, GiftCertificate) else counted_asset(benefit)


def _claimed(records: Iterable[ReturnRecord]) -> dict[Place, int]:
    return summed([one for record in records for one in record.claimed])


def summed(minors: Iterable[PlaceMinor]) -> dict[Place, int]:
    """Sum minor units by lot."""
    sums: dict[Place, int] = {}
    for account_id, lot_id, minor in minors:
        sums[account_id, lot_id] = sums.get((account_id, lot_id), 0) + minor
    return sums


def _comeback(
    spending: Spending, amount_minor: int, records: Iterable[ReturnRecord], kept_minor: int = 0
) -> Comeback:
    """An amount of a spending, after what has come back of it; never what is kept."""
    key = spending.promotion_id, spending.asset_code
    before_minor = sum(
        [
            minor
            for record in records
            for promotion_id, asset_code, minor in record.given
            if (promotion_id, asset_code) == key
        ]
    )
    # What came back before may be more than what is kept would let go by itself.
    left_minor = max(0, spending.amount_minor - kept_minor - before_minor)
    return Comeback(spending, min(amount_minor, left_minor), before_minor)


def _points_back(points: PointsBack, part: PointsPart) -> int:
    """How much of an asset that was paid with comes back, minor units of it."""
    part_minor, due_minor = part.share
    if not due_minor:
        return 0
    upto_minor = floor_div(points.paid_minor * points.upto_minor, points.value_minor)
    given_minor = part.given.get(points.asset_code, 0)
    return max(0, floor_div((upto_minor - given_minor) * part_minor, due_minor))


def _cut(picks: Iterable[Pick], before_minor: int, amount_minor: int) -> list[Pick]:
    """Cut an amount out of picks, from the `before_minor` on."""
    found = []
    for lot_id, minor in picks:
        skipped_minor = min(minor, before_minor)
        before_minor -= skipped_minor
        part_minor = min(minor - skipped_minor, amount_minor)
        amount_minor -= part_minor
        if part_minor:
            found.append((lot_id, part_minor))
    return found
