"""A receipt as the model keeps it: what it cost, gave and took, and what has come back of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.stateful.wallet import DAY_S, Debt, Lot, Stamp, Wallet

RATES_BP = {"points": 3_000, "later": 1_000}
"""What is earned on what is paid."""
ACTIVE_DAYS = 3
RETURNED_DAYS = 2
TEA_OFF_BP = 1_000


class Line(NamedTuple):
    """Pieces of one article, which is tea if its number is odd; price of one, minor units."""

    article: int
    pieces: int
    sent: int

    @property
    def price(self) -> int:
        """What one costs."""
        return self.sent - (self.sent * TEA_OFF_BP // 10_000 if self.article % 2 else 0)


def price_of(lines: Sequence[Line]) -> int:
    return sum(line.pieces * line.price for line in lines)


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Share by the largest remainder; of equal ones the first."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    rest = sorted(range(len(weights)), key=lambda n: (-(total * weights[n] % whole), n))
    for n in rest[: total - sum(parts)]:
        parts[n] += 1
    return parts


def window(asset: str, at: Stamp) -> tuple[Stamp, int]:
    """From when to when counts what is earned at an instant."""
    day = at[0] // DAY_S
    if asset == "points":
        return at, (day + ACTIVE_DAYS) * DAY_S
    return ((day + 1) * DAY_S, 0), (day + 1 + ACTIVE_DAYS) * DAY_S


@dataclass
class Sold:
    """A sale.

    Attributes:
        home: the customer whose account it was on.
        asset: what was spent on it, and how much: minor units of it and of money.
        picks: out of which lots, in the order in which it comes back; a debt is the last.
        granted: by asset lot and amount.
        back: pieces that have come back, by line.
        claimed: what has been taken back, by asset.
        given: what was spent and has come back.
        lapsed: by lot what had expired unspent and was not owed therefore.
    """

    number: int
    key_id: bytes
    home: int
    lines: tuple[Line, ...]
    asset: str = ""
    value: int = 0
    picks: list[tuple[bytes, int]] = field(default_factory=list)
    granted: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    back: list[int] = field(default_factory=list)
    claimed: Counter[str] = field(default_factory=Counter)
    given: int = 0
    lapsed: Counter[bytes] = field(default_factory=Counter)
    is_void: bool = False
    money_back: int = 0

    def left(self) -> list[int]:
        return [line.pieces - gone for line, gone in zip(self.lines, self.back, strict=True)]

    def earned(self, asset: str, left: Sequence[int]) -> int:
        """What so many pieces of its lines give."""
        pairs = list(zip(self.lines, left, strict=True))
        sent = sum(line.sent * pieces for line, pieces in pairs)
        whole = sum(line.sent * line.pieces for line in self.lines)
        paid = sum(line.price * pieces for line, pieces in pairs) - self.value * sent // whole
        return paid * RATES_BP[asset] // 10_000

    def worth(self, back: Sequence[int]) -> int:
        """What of the value that was spent falls on pieces that came back."""
        parts = shares(self.value, [line.pieces * line.price for line in self.lines])
        return sum(
            part * gone // line.pieces
            for part, gone, line in zip(parts, back, self.lines, strict=True)
        )


class Return(NamedTuple):
    """What comes back of a sale at once, minor units: what was spent; what was earned, by asset."""

    given: int
    claimed: dict[str, int]


def refund(sold: Sold, pieces: Sequence[int]) -> Return:
    """Some pieces of its lines come back; the sale keeps note of it."""
    before, left = list(sold.back), sold.left()
    sold.back = [old + new for old, new in zip(before, pieces, strict=True)]
    claimed = {}
    for asset, (_, granted) in sold.granted.items():
        lost = sold.earned(asset, left) - sold.earned(asset, sold.left())
        claimed[asset] = max(0, min(lost, granted - sold.claimed[asset]))
    given = min(sold.worth(sold.back) - sold.worth(before), sold.value - sold.given)
    return Return(given, claimed)


def rest(sold: Sold) -> Return:
    """All that is left of it comes back."""
    claimed = {asset: granted - sold.claimed[asset] for asset, (_, granted) in sold.granted.items()}
    return Return(sold.value - sold.given, claimed)


class Settling:
    """Settles one return on the account as it is today.

    Attributes:
        known: all lots there ever were.
        lapsed: by lot what expired unspent.
    """

    def __init__(
        self, wallet: Wallet, known: dict[bytes, Lot], lapsed: Counter[bytes], now: Stamp,
        key_id: bytes,
    ) -> None:  # fmt: skip
        self._wallet = wallet
        self._known = known
        self._lapsed = lapsed
        self._now = now
        self._key_id = key_id
        self._made = 0

    def settle(self, sold: Sold, back: Return) -> None:
        """What was spent comes back first, then what was earned is taken."""
        if back.given:
            self._give(sold, back.given)
            sold.given += back.given
        for asset, amount in back.claimed.items():
            if amount:
                self._claim(sold, asset, amount)
                sold.claimed[asset] += amount

    def _give(self, sold: Sold, amount: int) -> None:
        """To the lots it came from, off debts it left; to new lots where that cannot be."""
        now, wallet = self._now[0], self._wallet
        until = (now // DAY_S + RETURNED_DAYS + 1) * DAY_S
        skipped = sold.given
        apart: dict[tuple[Stamp, int], int] = {}
        for lot_id, whole in sold.picks:
            before = min(skipped, whole)
            skipped -= before
            part = min(whole - before, amount)
            amount -= part
            window = self._now, until
            lot, debt = wallet.lots.get(lot_id), wallet.debts.get(lot_id)
            home = 0
            if debt is not None:
                home = min(part, debt.left)
                debt.left -= home
            elif lot_id in self._known and not self._known[lot_id].is_over(now):
                window = self._known[lot_id].starts, self._known[lot_id].ends
                home = min(part, lot.granted - lot.left) if lot is not None else 0
                if lot is not None:
                    lot.left += home
            if part > home:
                apart[window] = apart.get(window, 0) + part - home
        for (starts, ends), minor in apart.items():
            lot = Lot(self._next_id(), sold.asset, minor, minor, starts, ends)
            self._known[lot.lot_id] = lot
            wallet.earn(lot)

    def _claim(self, sold: Sold, asset: str, amount: int) -> None:
        """Out of the lot that was granted, then out of others; the rest is owed."""
        now, wallet = self._now[0], self._wallet
        lot_id, _ = sold.granted[asset]
        lot = wallet.lots.get(lot_id)
        if lot is not None:
            own = min(amount, wallet.free(lot, now))
            lot.left -= own
            amount -= own
        lapsed = min(amount, self._lapsed[lot_id] - sold.lapsed[lot_id])
        sold.lapsed[lot_id] += lapsed
        amount -= lapsed
        amount -= wallet.take_any(asset, amount, now, but=lot_id)
        if amount:
            debt = Debt(self._next_id(), asset, amount, self._now)
            wallet.debts[debt.lot_id] = debt

    def _next_id(self) -> bytes:
        self._made += 1
        return self._key_id + self._made.to_bytes(2, "big")
