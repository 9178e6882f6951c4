"""Collects the transfers of one key on one account into a balanced movement.

Every transfer's id is derived from the key of what caused it, so that a repeat cannot post twice.
A transfer is of one asset: what the account gains or loses, and who stands on the other side.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count, repeat
from operator import attrgetter, itemgetter

from msgspec.structs import replace

from rewards.facts import AssetWindow
from rewards.ledger import (
    NOTHING,
    AnyLot,
    BalanceChange,
    Book,
    Funding,
    Lot,
    LotChange,
    LotKind,
    Movement,
    OwnedLot,
    Pick,
    Posting,
    checked,
    part_of,
    transfer_id_of,
)

_Leg = tuple[int, str, int]
_CUSTOMER, _DEBT = Book.CUSTOMER.value, Book.DEBT.value
_VALUE, _OWED = LotKind.VALUE.value, LotKind.DEBT.value
_LEG = attrgetter("book", "asset_code", "amount_minor")
_LEG_MINOR = itemgetter(2)


class AlreadyPostedError(Exception):
    """The account holds what this key makes already: another copy of the call was first.

    Attributes:
        lot_id: what is there.
    """

    def __init__(self, lot_id: bytes) -> None:
        """Keep the lot."""
        super().__init__(f"lot {lot_id.hex()} is made once")
        self.lot_id = lot_id


class Journal:
    """One key's transfers on one account; lots keep count of what earlier transfers took."""

    def __init__(self, key_id: bytes, lots: Iterable[OwnedLot] = ()) -> None:
        """Start with nothing posted.

        Args:
            key_id: 16 bytes of what causes it all.
            lots: the account's lots as they stand, as far as they may change.
        """
        self._transfer_ids = map(transfer_id_of, repeat(key_id), count())
        self._known: dict[bytes, AnyLot] = {}
        self._left: dict[bytes, int] = {}
        self._debts: dict[str, list[bytes]] = {}
        self._kept: dict[tuple[str, str], int] = {}
        self._postings: list[Posting] = []
        self._lots: list[Lot] = []
        self._changes: list[LotChange] = []
        if lots:
            owned = {lot.lot_id: lot for lot in lots}
            self._known.update(owned)
            self._left = {lot.lot_id: lot.remaining_minor for lot in owned.values()}
            owed = [lot for lot in owned.values() if lot.kind == LotKind.DEBT]
            for lot in sorted(owed, key=lambda lot: (lot.active_from_us, lot.lot_id)):
                self._debts.setdefault(lot.asset_code, []).append(lot.lot_id)

    def left_of(self, lot_id: bytes) -> int:
        """What is left of a lot after the transfers so far, minor units; 0 if it is not known."""
        return self._left.get(lot_id, 0)

    def lots(self) -> list[OwnedLot]:
        """The account's lots as they stand after the transfers so far, new ones last."""
        return [_standing(lot, self._left[lot.lot_id]) for lot in self._known.values()]

    def learn(self, lots: Iterable[OwnedLot]) -> None:
        """Take note of more of the account's lots, as they stood before the first transfer."""
        for lot in lots:
            if lot.lot_id not in self._known:
                self._known[lot.lot_id] = lot
                self._left[lot.lot_id] = lot.remaining_minor
                if lot.kind == LotKind.DEBT:
                    self._debts.setdefault(lot.asset_code, []).append(lot.lot_id)

    def count_kept(self, promotion_id: str, asset_code: str, amount_minor: int) -> None:
        """Count what somebody has kept of what was given before against what is granted next."""
        key = promotion_id, asset_code
        self._kept[key] = self._kept.get(key, 0) + amount_minor

    def grant(
        self,
        promotion_id: str,
        asset_code: str,
        amount_minor: int,
        window: AssetWindow,
        funding: Funding = (),
        book: Book = Book.ISSUER,
    ) -> bytes:
        """Give a new lot; debts of the asset are paid out of it first.

        What was kept of what was given before leaves it at once, as if it had been spent from it.

        Args:
            promotion_id: what gives it; empty for what no promotion gives.
            asset_code: of what asset.
            amount_minor: 1 or more.
            window: from when to when it counts.
            funding: who pays for it; sums to the amount, or is empty for the chain alone.
            book: the chain's side: ISSUER, or OVERRUN, or CLEARING for what comes back.

        Returns:
            The lot's id.
        """
        transfer_id = next(self._transfer_ids)
        kept_minor = 0
        if self._kept and book != Book.CLEARING:
            kept_minor = self._use_kept(promotion_id, asset_code, amount_minor)
        paid = self._debts_to_pay(asset_code, amount_minor - kept_minor) if self._debts else []
        paid_minor = 0
        legs: list[_Leg] = [(_CUSTOMER, "", amount_minor)]
        if paid:
            paid_minor = sum([minor for _, minor in paid])
            legs = [(_CUSTOMER, "", amount_minor - paid_minor), (_DEBT, "", paid_minor)]
        legs += _other_side(book, funding, -1) if funding else [(book, "", -amount_minor)]
        self._post(transfer_id, promotion_id, asset_code, legs)
        lot = Lot(
            transfer_id,
            asset_code,
            amount_minor,
            window.active_from_us,
            window.expires_at_us,
            _VALUE,
            promotion_id,
            funding,
            book,
        )
        self._make(lot)
        if paid:
            self._change(transfer_id, asset_code, [*paid, (transfer_id, paid_minor)], -1)
        if kept_minor:
            # The last part: who takes the lot back later begins with the first.
            picks, before_minor = [(transfer_id, kept_minor)], amount_minor - kept_minor
            self.take_instead(promotion_id, asset_code, picks, funding, before_minor, book)
        return transfer_id

    def take(
        self, book: Book, asset_code: str, picks: Sequence[Pick], promotion_id: str = ""
    ) -> None:
        """Take parts of lots: CLEARING for what is spent or moved, BREAKAGE for what expired."""
        amount_minor = sum([minor for _, minor in picks])
        if not amount_minor:
            return
        transfer_id = next(self._transfer_ids)
        legs: list[_Leg] = [(Book.CUSTOMER, "", -amount_minor), (book, "", amount_minor)]
        self._post(transfer_id, promotion_id, asset_code, legs)
        self._change(transfer_id, asset_code, picks, -1)

    def take_back(self, lot_id: bytes, amount_minor: int) -> None:
        """Take back a part of what a lot granted: those who paid for it get it."""
        lot = self._known[lot_id]
        gone_minor = lot.granted_minor - self._left[lot_id]
        picks = [(lot_id, amount_minor)]
        self.take_instead(
            lot.promotion_id, lot.asset_code, picks, lot.funding, gone_minor, lot.book
        )

    def take_instead(
        self, promotion_id: str, asset_code: str, picks: Sequence[Pick], funding: Funding = (),
        before_minor: int = 0, book: int = Book.ISSUER,
    ) -> None:  # fmt: skip
        """Take from other lots what a lot that is gone should give back to those who paid for it.

        Args:
            promotion_id: what had granted the lot.
            asset_code: of what asset.
            picks: from which lots; their amounts sum to what should be given back.
            funding: of the lot that is gone, as it was granted.
            before_minor: what of that lot its funders have got back before; see `part_of`.
            book: in which that lot was granted.
        """
        amount_minor = sum([minor for _, minor in picks])
        if not amount_minor:
            return
        transfer_id = next(self._transfer_ids)
        parts = part_of(funding, amount_minor, before_minor)
        own: list[_Leg] = [(Book.CUSTOMER, "", -amount_minor)]
        self._post(transfer_id, promotion_id, asset_code, own + _other_side(book, parts, 1))
        self._change(transfer_id, asset_code, picks, -1)

    def give_back(self, asset_code: str, picks: Sequence[Pick], promotion_id: str = "") -> None:
        """Give parts back to the lots that they were spent from; debts are not paid out of it."""
        amount_minor = sum([minor for _, minor in picks])
        if not amount_minor:
            return
        transfer_id = next(self._transfer_ids)
        legs: list[_Leg] = [(Book.CUSTOMER, "", amount_minor), (Book.CLEARING, "", -amount_minor)]
        self._post(transfer_id, promotion_id, asset_code, legs)
        self._change(transfer_id, asset_code, picks, 1)

    def owe(
        self, book: int, asset_code: str, amount_minor: int, at_us: int,
        promotion_id: str = "", funding: Funding = (),
    ) -> bytes:  # fmt: skip
        """Leave an amount owing: a debt, which the next lot of the asset pays first.

        Args:
            book: CLEARING for what was spent and not there; of what is taken back and not there
                that in which its lot was granted.
            asset_code: of what asset.
            amount_minor: 1 or more.
            at_us: since when it is owed, UTC microseconds.
            promotion_id: what gave it before, if it is taken back.
            funding: who gets it; sums to the amount, or is empty for the chain alone.

        Returns:
            The id of the debt's lot.
        """
        transfer_id = next(self._transfer_ids)
        parts = funding or (("", amount_minor),)
        own: list[_Leg] = [(Book.DEBT, "", -amount_minor)]
        self._post(transfer_id, promotion_id, asset_code, own + _other_side(book, parts, 1))
        self._make(Lot(transfer_id, asset_code, amount_minor, at_us, 0, LotKind.DEBT, promotion_id))
        return transfer_id

    def forgive(self, book: Book, asset_code: str, picks: Sequence[Pick]) -> None:
        """Take parts of debts off: CLEARING where they are moved, ISSUER where the chain pays."""
        amount_minor = sum([minor for _, minor in picks])
        if not amount_minor:
            return
        transfer_id = next(self._transfer_ids)
        legs: list[_Leg] = [(Book.DEBT, "", amount_minor), (book, "", -amount_minor)]
        self._post(transfer_id, "", asset_code, legs)
        self._change(transfer_id, asset_code, picks, -1)

    def receive(self, lot: OwnedLot, amount_minor: int) -> None:
        """Take in what is left of another account's lot; it keeps its id, dates and funding.

        Args:
            lot: as it stands there, or as it stood before it was moved.
            amount_minor: what is moved, 1 or more.
        """
        sign = -1 if lot.kind == LotKind.DEBT else 1
        book = Book.DEBT if lot.kind == LotKind.DEBT else Book.CUSTOMER
        legs: list[_Leg] = [
            (book, "", sign * amount_minor), (Book.CLEARING, "", -sign * amount_minor)
        ]  # fmt: skip
        self._post(next(self._transfer_ids), lot.promotion_id, lot.asset_code, legs)
        gone_minor = lot.granted_minor - max(lot.remaining_minor, amount_minor)
        self._make(
            Lot(
                lot.lot_id,
                lot.asset_code,
                amount_minor,
                lot.active_from_us,
                lot.expires_at_us,
                lot.kind,
                lot.promotion_id,
                part_of(lot.funding, amount_minor, gone_minor) if lot.funding else (),
                lot.book,
            )
        )

    def movement(self) -> Movement:
        """Everything so far, held to its invariants."""
        if not self._postings:
            return NOTHING
        values: dict[str, int] = defaultdict(int)
        debts: dict[str, int] = defaultdict(int)
        for book, code, minor in map(_LEG, self._postings):
            if book == _CUSTOMER:
                values[code] += minor
            elif book == _DEBT:
                values[code] += minor
                debts[code] -= minor
        balances = [BalanceChange(code, values[code], debts[code]) for code in sorted(values)]
        movement = Movement(
            tuple(self._postings), tuple(self._lots), tuple(self._changes), tuple(balances)
        )
        return checked(movement, self._known)

    def _use_kept(self, promotion_id: str, asset_code: str, amount_minor: int) -> int:
        """How much of an amount was kept of what was given before."""
        key = promotion_id, asset_code
        kept_minor = min(amount_minor, self._kept.get(key, 0))
        if kept_minor:
            self._kept[key] -= kept_minor
        return kept_minor

    def _debts_to_pay(self, asset_code: str, amount_minor: int) -> list[Pick]:
        """What of which debts an amount pays, the oldest first."""
        owed = self._debts.get(asset_code)
        if not owed:
            return []
        # What was paid is not looked at again: many lots may come to many debts.
        while owed and not self._left[owed[0]]:
            del owed[0]
        picks = []
        for lot_id in owed:
            part_minor = min(amount_minor, self._left[lot_id])
            amount_minor -= part_minor
            if part_minor:
                picks.append((lot_id, part_minor))
            if not amount_minor:
                break
        return picks

    def _post(
        self, transfer_id: bytes, promotion_id: str, asset_code: str, legs: Sequence[_Leg]
    ) -> None:
        post = self._postings.append
        for number, (book, party_id, minor) in enumerate(filter(_LEG_MINOR, legs)):
            post(Posting(transfer_id, number, book, party_id, promotion_id, asset_code, minor))

    def _make(self, lot: Lot) -> None:
        if lot.lot_id in self._known:
            raise AlreadyPostedError(lot.lot_id)
        self._lots.append(lot)
        self._left[lot.lot_id] = lot.granted_minor
        self._known[lot.lot_id] = lot
        if lot.kind == _OWED:
            self._debts.setdefault(lot.asset_code, []).append(lot.lot_id)

    def _change(
        self, transfer_id: bytes, asset_code: str, picks: Iterable[Pick], sign: int
    ) -> None:
        """Change lots, each once a transfer."""
        minors: dict[bytes, int] = {}
        for lot_id, minor in picks:
            assert minor >= 0, "a part below zero"
            minors[lot_id] = minors.get(lot_id, 0) + minor
        for lot_id, minor in minors.items():
            if minor:
                left_minor = self._left[lot_id] + sign * minor
                lot = self._known[lot_id]
                assert 0 <= left_minor <= lot.granted_minor, "a lot past its bounds"
                assert lot.asset_code == asset_code, "a lot of another asset"
                self._left[lot_id] = left_minor
                self._changes.append(LotChange(transfer_id, lot_id, sign * minor))


def _standing(lot: AnyLot, left_minor: int) -> OwnedLot:
    """A lot with what is left of it."""
    if isinstance(lot, OwnedLot):
        return replace(lot, remaining_minor=left_minor)
    return OwnedLot(
        lot.lot_id,
        lot.asset_code,
        lot.granted_minor,
        left_minor,
        lot.active_from_us,
        lot.expires_at_us,
        lot.kind,
        lot.promotion_id,
        lot.funding,
        lot.book,
    )


def _other_side(book: int, parts: Funding, sign: int) -> list[_Leg]:
    """Legs of those who pay or get back; of a party they stand in the book FUNDING."""
    return [
        (Book.FUNDING if party_id and book == Book.ISSUER else book, party_id, sign * minor)
        for party_id, minor in parts
    ]
