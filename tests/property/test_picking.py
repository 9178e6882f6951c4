"""What is taken from which lots: unit by unit the first that may be, never what others hold."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rewards.ledger import Hold, Holdings, LotKind, OwnedLot
from rewards.picking import debts, expired, pick, pick_any, uncovered, usable_minor

NOW = 10
OWN, OTHER = b"own", b"other"
NEVER = 10**9
INSTANTS = st.integers(NOW - 2, NOW + 2)


@st.composite
def holdings(draw: st.DrawFn) -> Holdings:
    """A few small lots; holds of two baskets, which do not overlap."""
    lots, held = [], []
    for n in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from([LotKind.VALUE] * 4 + [LotKind.DEBT]))
        remaining = draw(st.integers(0, 5))
        is_debt = kind == LotKind.DEBT
        lot = OwnedLot(
            lot_id=bytes([n]),
            asset_code=draw(st.sampled_from(["points", "points", "stamps"])),
            granted_minor=5,
            remaining_minor=remaining,
            active_from_us=draw(INSTANTS),
            expires_at_us=0 if is_debt else draw(st.one_of(st.just(0), INSTANTS)),
            kind=kind,
        )
        lots.append(lot)
        own = 0 if is_debt else draw(st.integers(0, remaining))
        other = 0 if is_debt else draw(st.integers(0, remaining - own))
        held.append((lot, {OWN: own, OTHER: other}))
    holds = []
    for hold_id in (OWN, OTHER):
        ends = draw(INSTANTS)
        for asset_code in ("points", "stamps"):
            picks = tuple(
                (lot.lot_id, of[hold_id])
                for lot, of in held
                if of[hold_id] and lot.asset_code == asset_code
            )
            if picks:
                amount_minor = sum(minor for _, minor in picks)
                holds.append(Hold(hold_id, asset_code, amount_minor, picks, ends))
    return Holdings(tuple(draw(st.permutations(lots))), tuple(holds))


def held_by(owned: Holdings, hold_id: bytes, lot: OwnedLot) -> int:
    """What a live hold has of a lot."""
    return sum(
        minor
        for hold in owned.holds
        if hold.hold_id == hold_id and hold.expires_at_us >= NOW
        for lot_id, minor in hold.picks
        if lot_id == lot.lot_id
    )


def is_active(lot: OwnedLot) -> bool:
    return lot.active_from_us <= NOW


def is_over(lot: OwnedLot) -> bool:
    return lot.expires_at_us != 0 and lot.expires_at_us < NOW


def points(owned: Holdings) -> list[OwnedLot]:
    """Lots of points, the soonest to expire first."""
    lots = [x for x in owned.lots if x.kind == LotKind.VALUE and x.asset_code == "points"]
    return sorted(lots, key=lambda lot: (lot.expires_at_us or NEVER, lot.lot_id))


def units_for_own(owned: Holdings) -> list[bytes]:
    """Every unit that the own basket may spend, in order: promised ones, then the free ones."""
    promised, free = [], []
    for lot in points(owned):
        own = held_by(owned, OWN, lot)
        promised += [lot.lot_id] * own
        if is_active(lot) and not is_over(lot):
            rest = lot.remaining_minor - own - held_by(owned, OTHER, lot)
            free += [lot.lot_id] * rest
    return promised + free


def unheld(owned: Holdings, lot: OwnedLot) -> int:
    return lot.remaining_minor - held_by(owned, OWN, lot) - held_by(owned, OTHER, lot)


@given(holdings(), st.integers(0, 30))
def test_spending_takes_the_first_units_that_may_be_spent(owned: Holdings, amount: int) -> None:
    units = units_for_own(owned)
    picked = pick(owned, "points", amount, NOW, OWN)
    assert dict(picked.picks) == Counter(units[:amount])
    assert len(dict(picked.picks)) == len(picked.picks)
    assert picked.missing_minor == amount - len(units[:amount])
    assert usable_minor(owned, "points", NOW, OWN) == len(units)


@given(holdings(), st.integers(0, 30))
def test_without_a_hold_of_its_own_a_basket_spends_what_nobody_holds(
    owned: Holdings, amount: int
) -> None:
    usable = [lot for lot in points(owned) if is_active(lot) and not is_over(lot)]
    units = [lot.lot_id for lot in usable for _ in range(unheld(owned, lot))]
    picked = pick(owned, "points", amount, NOW)
    assert dict(picked.picks) == Counter(units[:amount])
    assert picked.missing_minor == amount - len(units[:amount])


@given(holdings(), st.integers(0, 30))
def test_taking_back_takes_active_lots_first_and_never_what_is_held(
    owned: Holdings, amount: int
) -> None:
    lots = [lot for lot in points(owned) if not is_over(lot)]
    lots.sort(key=lambda lot: not is_active(lot))
    units = [lot.lot_id for lot in lots for _ in range(unheld(owned, lot))]
    picked = pick_any(owned, "points", amount, NOW)
    assert dict(picked.picks) == Counter(units[:amount])
    assert picked.missing_minor == amount - len(units[:amount])


@given(holdings())
def test_what_has_expired_is_what_can_be_spent_by_nobody(owned: Holdings) -> None:
    gone = {code: dict(picks) for code, picks in expired(owned, NOW).items()}
    for lot in owned.lots:
        found = gone.get(lot.asset_code, {}).get(lot.lot_id, 0)
        is_gone = lot.kind == LotKind.VALUE and is_over(lot)
        assert found == (unheld(owned, lot) if is_gone else 0)
    assert all(picks for picks in gone.values())


@given(holdings(), st.data())
def test_holds_that_end_are_those_that_are_not_there(owned: Holdings, data: st.DataObject) -> None:
    """Those that stay are covered; those that end are on a lot that has not enough for all."""
    left = {x.lot_id: data.draw(st.integers(0, x.remaining_minor)) for x in owned.lots}
    gone = uncovered(owned.holds, left)
    assert len(set(gone)) == len(gone)
    on_lots = Counter(lot_id for hold in owned.holds for lot_id, n in hold.picks for _ in range(n))
    short = {lot_id for lot_id, minor in on_lots.items() if minor > left[lot_id]}
    for hold in owned.holds:
        if short & dict(hold.picks).keys():
            assert hold.hold_id in gone
    for hold_id in gone:
        mine = [hold for hold in owned.holds if hold.hold_id == hold_id]
        assert any(short & dict(hold.picks).keys() for hold in mine)


@given(holdings())
def test_debts_are_owed_the_oldest_first(owned: Holdings) -> None:
    found = debts(owned, "points")
    wanted = [x for x in owned.lots if x.kind == LotKind.DEBT and x.asset_code == "points"]
    assert set(found) == {lot for lot in wanted if lot.remaining_minor}
    starts = [lot.active_from_us for lot in found]
    assert starts == sorted(starts)


def test_a_lot_that_expired_under_a_hold_gives_no_more_than_was_promised() -> None:
    lot = OwnedLot(b"x", "points", 100, 100, 0, NOW - 1)
    owned = Holdings((lot,), (Hold(OWN, "points", 30, ((b"x", 30),), NOW),))
    assert pick(owned, "points", 100, NOW, OWN) == (((b"x", 30),), 70)
    assert expired(owned, NOW) == {"points": ((b"x", 70),)}


def test_what_is_promised_goes_before_what_expires_sooner() -> None:
    sooner, later = OwnedLot(b"s", "points", 9, 9, 0, NOW + 1), OwnedLot(b"l", "points", 9, 9)
    owned = Holdings((sooner, later), (Hold(OWN, "points", 4, ((b"l", 4),), NOW),))
    assert pick(owned, "points", 10, NOW, OWN) == (((b"l", 4), (b"s", 6)), 0)
    assert pick(owned, "points", 15, NOW, OWN) == (((b"l", 6), (b"s", 9)), 0)
