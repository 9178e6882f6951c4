"""What goods that come back put back on the gift cards that they were paid with.

Each card gets the share of what comes back that it has paid of the whole, counted from the first
return on: when all has come back, all that was taken is on the card again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rewards.instrument import is_coupon
from rewards.refund import Refund
from rewards.rounding import floor_div
from rewards.settling import Comeback, PointsPart, ReturnRecord, Spending, comebacks_of_void


class CardPart(NamedTuple):
    """What of a refund is due to one card's account.

    Attributes:
        amount_minor: of it what has been paid by the card, minor units of money.
        comeback: what goes back now: what a statement has put on the card is there already.
    """

    account_id: int
    amount_minor: int
    comeback: Comeback


def card_parts(
    refund: Refund,
    part: PointsPart,
    spendings: Iterable[tuple[int, Spending]],
    returns: Sequence[ReturnRecord],
    settled: Sequence[ReturnRecord] = (),
) -> tuple[tuple[CardPart, ...], PointsPart]:
    """Part the money that is paid back once more.

    Args:
        refund: as decided.
        part: money and points; what is kept back has lowered the money already.
        spendings: what the sale took from accounts of bearers.
        returns: what earlier refunds did.
        settled: what statements did: together no more goes back to a card than it paid.

    Returns:
        What is due to which card, each at most what it paid; and the parts with what is left as
        money.
    """
    cards = [one for one in spendings if not is_coupon(one[1].asset_code)]
    if not cards:
        return (), part
    given = [_given_minor(account_id, returns) for account_id, _ in cards]
    taken = [spending.amount_minor for _, spending in cards]
    whole_minor = max(1, refund.paid.whole_minor, sum(taken))
    upto_minor = refund.paid.upto_minor
    # Rounded up where points are rounded down: so both together never come to more than there is.
    due_minor = -floor_div(-sum(taken) * upto_minor, whole_minor) - sum(given)
    # At other prices than before less of the whole may be back by now than cards have got.
    due_minor = max(0, min(due_minor, part.money_minor))
    shares = [floor_div(minor * upto_minor, whole_minor) for minor in taken]
    now = _poured(due_minor, [max(0, a - b) for a, b in zip(shares, given, strict=True)])
    room = [a - b - c for a, b, c in zip(taken, given, now, strict=True)]
    more = _poured(due_minor - sum(now), room)
    found = [
        CardPart(account_id, a + b, _on_card(account_id, spending, a + b, (*returns, *settled)))
        for (account_id, spending), a, b in zip(cards, now, more, strict=True)
        if a + b
    ]
    return tuple(found), replace(part, money_minor=part.money_minor - due_minor)


def _on_card(
    account_id: int, spending: Spending, amount_minor: int, records: Iterable[ReturnRecord]
) -> Comeback:
    """What goes back to a card of what is due to it."""
    before_minor = min(_given_minor(account_id, records), spending.amount_minor)
    left_minor = spending.amount_minor - before_minor
    return Comeback(spending, min(amount_minor, left_minor), before_minor)


def _poured(amount_minor: int, most: Iterable[int]) -> list[int]:
    """Fill one after another, each up to its bound."""
    found = []
    for most_minor in most:
        found.append(min(amount_minor, most_minor))
        amount_minor -= found[-1]
    return found


def bearers_comebacks(
    account_id: int, spendings: Iterable[Spending], records: Iterable[ReturnRecord]
) -> tuple[Comeback, ...]:
    """All that a void gives back to a bearer's account: what refunds have left of it."""
    given_minor = _given_minor(account_id, records)
    found = []
    for one in comebacks_of_void(spendings, ()):
        left_minor = one.amount_minor - given_minor
        if left_minor > 0:
            found.append(Comeback(one.spending, left_minor, given_minor))
    return tuple(found)


def _given_minor(account_id: int, records: Iterable[ReturnRecord]) -> int:
    return sum([minor for one in records for key, minor in one.to_cards if key == account_id])
