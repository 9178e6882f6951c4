"""What a database would hold of movements, and the audit of it in a few lines."""

from collections import Counter
from dataclasses import dataclass, field

from msgspec.structs import replace

from rewards.ledger import Book, Hold, Holdings, LotChange, LotKind, Movement, OwnedLot, Posting


@dataclass
class Account:
    """Rows of one account."""

    lots: dict[bytes, OwnedLot] = field(default_factory=dict)
    changes: list[LotChange] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    amounts: Counter[str] = field(default_factory=Counter)
    debts: Counter[str] = field(default_factory=Counter)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    is_merged: bool = False

    def holdings(self) -> Holdings:
        """As the store reads them: empty lots are left out."""
        lots = [lot for lot in self.lots.values() if lot.remaining_minor]
        return Holdings(tuple(lots), tuple(self.holds.values()))

    def write(self, movement: Movement) -> None:
        """Write what a commit writes."""
        self.postings += movement.postings
        for new in movement.lots:
            assert new.lot_id not in self.lots
            self.lots[new.lot_id] = OwnedLot(
                new.lot_id,
                new.asset_code,
                new.granted_minor,
                new.granted_minor,
                new.active_from_us,
                new.expires_at_us,
                new.kind,
                new.promotion_id,
                new.funding,
            )
        for change in movement.lot_changes:
            lot = self.lots[change.lot_id]
            left = lot.remaining_minor + change.change_minor
            self.lots[change.lot_id] = replace(lot, remaining_minor=left)
        self.changes += movement.lot_changes
        for balance in movement.balance_changes:
            self.amounts[balance.asset_code] += balance.amount_minor
            self.debts[balance.asset_code] += balance.debt_minor

    def audit(self, now: int) -> None:
        """Everything that must hold of one account at every commit."""
        self._audit_postings()
        self._audit_lots()
        self._audit_holds(now)
        if self.is_merged:
            assert not self.holds
            assert not any(lot.remaining_minor for lot in self.lots.values())

    def _audit_postings(self) -> None:
        transfers: Counter[tuple[bytes, str]] = Counter()
        amounts: Counter[str] = Counter()
        debts: Counter[str] = Counter()
        for one in self.postings:
            assert one.amount_minor != 0
            transfers[one.transfer_id, one.asset_code] += one.amount_minor
            if one.book in (Book.CUSTOMER, Book.DEBT):
                amounts[one.asset_code] += one.amount_minor
            if one.book == Book.DEBT:
                debts[one.asset_code] -= one.amount_minor
        assert not any(transfers.values())
        assert amounts == self.amounts
        assert debts == self.debts
        legs = [(one.transfer_id, one.leg) for one in self.postings]
        assert len(set(legs)) == len(legs)

    def _audit_lots(self) -> None:
        amounts: Counter[str] = Counter()
        debts: Counter[str] = Counter()
        changed: Counter[bytes] = Counter()
        for change in self.changes:
            changed[change.lot_id] += change.change_minor
        for lot in self.lots.values():
            assert 0 <= lot.remaining_minor <= lot.granted_minor
            assert lot.granted_minor + changed[lot.lot_id] == lot.remaining_minor
            is_debt = lot.kind == LotKind.DEBT
            amounts[lot.asset_code] += -lot.remaining_minor if is_debt else lot.remaining_minor
            debts[lot.asset_code] += lot.remaining_minor if is_debt else 0
        assert amounts == self.amounts
        assert debts == self.debts
        keys = [(one.transfer_id, one.lot_id) for one in self.changes]
        assert len(set(keys)) == len(keys)

    def _audit_holds(self, now: int) -> None:
        held: Counter[bytes] = Counter()
        for hold in self.holds.values():
            assert hold.amount_minor == sum(minor for _, minor in hold.picks)
            if hold.expires_at_us >= now:
                held.update(dict(hold.picks))
        for lot_id, minor in held.items():
            assert minor <= self.lots[lot_id].remaining_minor
