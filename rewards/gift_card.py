"""What a receipt does with gift cards and certificates: sold, reloaded, spent.

Money that is paid for a card comes out of CLEARING, and money spent from it goes back there.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from rewards.facts import AssetWindow
from rewards.instrument import spelled
from rewards.journal import Journal
from rewards.ledger import NO_HOLDINGS, Book, Holdings
from rewards.picking import pick, unheld
from rewards.sale import LineAction, LineKind, Sale, TenderKind

_LINE_OPERATION, _LINE_CARD = 9, 10
"""Places in `Line.rest`, where it is more than the barcode."""


class CardOperation(IntEnum):
    """As GiftCardOperation of the contract."""

    ACTIVATE = 1
    BALANCE = 2
    RELOAD = 3
    REDEEM = 4
    REVERSE = 5


PAID_IN = (CardOperation.ACTIVATE, CardOperation.RELOAD)
"""What puts money on a card."""


class CardFault(StrEnum):
    """Why something cannot be done with a card; as metadata `state` of GIFT_CARD_STATE."""

    UNKNOWN = "UNKNOWN"
    ALREADY_ACTIVE = "ALREADY_ACTIVE"
    SHORT = "SHORT"
    REVERSE = "REVERSE_BY_VOID"
    PAID_IN_BY_LINE = "PAID_IN_BY_LINE"
    REDEEM_BY_TENDER = "REDEEM_BY_TENDER"
    NO_CARD = "NO_CARD"


class CardUse(NamedTuple):
    """One thing that a receipt does with a card; `code` as it is hashed, minor units of money.

    Attributes:
        fault: why it cannot be done at all, whatever is on the card.
    """

    operation: CardOperation
    code: str
    amount_minor: int
    fault: CardFault | None = None


class Card(NamedTuple):
    """A card's account as it stands; without `is_known` it is still to be opened."""

    account_id: int
    holdings: Holdings = NO_HOLDINGS
    is_known: bool = False


class CardProblem(NamedTuple):
    """What cannot be done as it was sent.

    Attributes:
        most_minor: what is left on the card, minor units.
        held_minor: what of the rest is there and held for another basket.
    """

    fault: CardFault
    code: str
    asked_minor: int
    most_minor: int = 0
    held_minor: int = 0


class SettledCards(NamedTuple):
    """What moves on which accounts, those of cards that the receipt opens among them."""

    journals: Mapping[int, Journal]
    problems: tuple[CardProblem, ...]


def card_uses(sale: Sale) -> tuple[CardUse, ...]:
    """What a receipt does with cards: its lines first, then its tenders, as they were sent."""
    found: list[CardUse] = []
    for line in sale.lines:
        if line.kind == LineKind.GIFT_CARD and line.action == LineAction.SALE:
            operation, code = card_on(line.rest)
            if operation and code and not line.cancelled:
                found.append(_use_by_line(CardOperation(operation), code, line.amount_minor))
    for tender in sale.tenders:
        operation = CardOperation(tender.gift_card_operation or CardOperation.REDEEM)
        code, amount_minor = tender.gift_card_id, tender.amount_minor
        if tender.kind in (TenderKind.GIFT_CARD, TenderKind.VOUCHER) and code:
            found.append(_use_by_tender(operation, code, amount_minor))
        elif tender.kind == TenderKind.GIFT_CARD and amount_minor:
            # It would pay and be taken off no card. A voucher without a code is somebody else's.
            found.append(CardUse(operation, "", amount_minor, CardFault.NO_CARD))
    return tuple(found)


def _use_by_line(operation: CardOperation, code: str, amount_minor: int) -> CardUse:
    """A line is paid for: what it took off the card, its customer would pay a second time."""
    fault = CardFault.REDEEM_BY_TENDER if operation == CardOperation.REDEEM else None
    return CardUse(operation, spelled(code), amount_minor, fault)


def _use_by_tender(operation: CardOperation, code: str, amount_minor: int) -> CardUse:
    """A tender pays, nobody pays for it: what it put on the card would come from nowhere."""
    fault = CardFault.PAID_IN_BY_LINE if operation in PAID_IN else None
    return CardUse(operation, spelled(code), amount_minor, fault)


def shown_cards(sale: Sale, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The cards that a receipt names, and some more, as they were sent."""
    lines = [card_on(line.rest)[1] for line in sale.lines if line.kind == LineKind.GIFT_CARD]
    tenders = [tender.gift_card_id for tender in sale.tenders]
    return tuple(dict.fromkeys(code for code in [*lines, *tenders, *more] if code))


def settle_cards(
    key_id: bytes,
    asset_code: str,
    uses: Sequence[CardUse],
    cards: Mapping[str, Card],
    window: AssetWindow,
    own_hold_id: bytes = b"",
    *,
    takes_held: bool = False,
) -> SettledCards:
    """Post what a receipt does with cards, as far as it can be done.

    Args:
        key_id: the receipt's.
        asset_code: in what cards count.
        uses: what the receipt does.
        cards: by code, of every use.
        window: of what is paid for now; it starts at the instant of the receipt.
        own_hold_id: of the receipt's basket.
        takes_held: it is paid already: if need be it takes what other baskets hold.
    """
    journals = {code: Journal(key_id, card.holdings.lots) for code, card in cards.items()}
    opened = {code for code, card in cards.items() if card.is_known}
    problems: list[CardProblem] = []
    spender = _Spender(window.active_from_us, own_hold_id, takes_held)
    for use in uses:
        if use.fault is not None:
            problems.append(CardProblem(use.fault, use.code, use.amount_minor))
            continue
        journal, card = journals[use.code], cards[use.code]
        match use.operation:
            case CardOperation.ACTIVATE | CardOperation.RELOAD:
                _note(problems, use, use.code in opened)
                opened.add(use.code)
                if use.amount_minor:
                    journal.grant("", asset_code, use.amount_minor, window, book=Book.CLEARING)
            case CardOperation.REDEEM:
                _redeem(problems, use, journal, card, asset_code, spender)
            case CardOperation.REVERSE:
                problems.append(CardProblem(CardFault.REVERSE, use.code, use.amount_minor))
            case CardOperation.BALANCE:
                pass
    found = {cards[code].account_id: one for code, one in journals.items()}
    moved = {account_id: one for account_id, one in found.items() if one.movement().postings}
    return SettledCards(moved, tuple(problems))


def _note(problems: list[CardProblem], use: CardUse, is_open: bool) -> None:
    """Money is paid in: whatever the card was, it is on it now; but it is said."""
    if use.operation == CardOperation.ACTIVATE and is_open:
        problems.append(CardProblem(CardFault.ALREADY_ACTIVE, use.code, use.amount_minor))
    if use.operation == CardOperation.RELOAD and not is_open:
        problems.append(CardProblem(CardFault.UNKNOWN, use.code, use.amount_minor))


class _Spender(NamedTuple):
    """Who spends, and when: see `settle_cards`."""

    at_us: int
    own_hold_id: bytes
    takes_held: bool


def _redeem(
    problems: list[CardProblem],
    use: CardUse,
    journal: Journal,
    card: Card,
    asset_code: str,
    spender: _Spender,
) -> None:
    """Take what is asked, or what there is."""
    at_us, own_hold_id = spender.at_us, spender.own_hold_id
    standing = Holdings(tuple(journal.lots()), card.holdings.holds)
    picked = pick(standing, asset_code, use.amount_minor, at_us, own_hold_id)
    if picked.missing_minor:
        whole = unheld(standing, own_hold_id)
        at_all = pick(whole, asset_code, use.amount_minor, at_us, own_hold_id)
        held_minor = picked.missing_minor - at_all.missing_minor
        if spender.takes_held:
            picked, held_minor = at_all, 0
        if picked.missing_minor:
            most_minor = use.amount_minor - picked.missing_minor
            fault = CardFault.SHORT if card.is_known or standing.lots else CardFault.UNKNOWN
            problems.append(CardProblem(fault, use.code, use.amount_minor, most_minor, held_minor))
    journal.take(Book.CLEARING, asset_code, picked.picks)


def card_on(rest: tuple[object, ...]) -> tuple[int, str]:
    """Operation and card of a line; 0 and empty where none was sent."""
    if len(rest) <= _LINE_CARD:
        return 0, ""
    operation, code = rest[_LINE_OPERATION], rest[_LINE_CARD]
    assert isinstance(operation, int)
    assert isinstance(code, str)
    return operation, code
