"""Gift cards that come back as goods, or that paid for what comes back."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rewards.cards_share import CardPart
from rewards.gift_card import PAID_IN, card_on
from rewards.instrument import CodeKind, account_id_of, spelled
from rewards.ledger import OwnedLot
from rewards.picking import held_of, live_holds
from rewards.refusal import Reason, Refusal
from rewards.sale import Line, LineKind
from rewards.settling import Claim, GrantedLot
from server.till.context import Context
from server.till.original import Original


class CardsBack(NamedTuple):
    """What is taken off cards, and what a request is refused for: it is spent already."""

    claims: tuple[Claim, ...] = ()
    problems: tuple[Refusal, ...] = ()


def cards_back(
    context: Context, original: Original, line_ids: Iterable[str], now_us: int
) -> CardsBack:
    """Find what was put on cards by lines that come back.

    Args:
        context: ports.
        original: the sale.
        line_ids: lines that come back.
        now_us: the instant, UTC microseconds.
    """
    asset_code = original.rules.program.gift_asset
    back = set(line_ids)
    lines = [line for line in original.sold if _pays_in(line)] if asset_code else []
    if back.isdisjoint(line.line_id for line in lines):
        return CardsBack()
    waiting = {
        touched.owner.account_ids[0]: [
            one for one in touched.granted if _is_paid_in(one.lot, asset_code)
        ]
        for touched in original.accounts
        if touched.is_bearer
    }
    claimed = {
        (account_id, lot_id)
        for record in original.records
        for account_id, lot_id, _ in record.claimed
    }
    held = Counter(
        {
            (touched.owner.account_ids[0], lot_id): minor
            for touched in original.bearers
            for lot_id, minor in held_of(live_holds(touched.holdings.holds, now_us)).items()
        }
    )
    claims, problems = [], []
    for line in lines:
        code = card_on(line.rest)[1]
        granted = waiting.get(_account_of(context, original, code), [])
        if not granted:
            continue
        # Lines put money on a card one after another: so their lots follow each other.
        one = granted.pop(0)
        if line.line_id in back and one.place not in claimed:
            claims.append(Claim(one, one.granted_minor))
            free_minor = max(0, one.lot.remaining_minor - held[one.place])
            if free_minor < one.granted_minor:
                problems.append(_spent(one, free_minor, line, asset_code))
    return CardsBack(tuple(claims), tuple(problems))


def codes_of(
    context: Context, original: Original, to_cards: Iterable[CardPart]
) -> tuple[tuple[str, int], ...]:
    """What goes back to which card, by its code as the sale has named it."""
    codes = [one.gift_card_id for one in original.sale.tenders if one.gift_card_id]
    named = {_account_of(context, original, code): code for code in codes}
    return tuple((named.get(one.account_id, ""), one.amount_minor) for one in to_cards)


def _pays_in(line: Line) -> bool:
    operation, code = card_on(line.rest)
    return line.kind == LineKind.GIFT_CARD and operation in PAID_IN and bool(code)


def _is_paid_in(lot: OwnedLot, asset_code: str) -> bool:
    return lot.asset_code == asset_code and not lot.promotion_id


def _account_of(context: Context, original: Original, code: str) -> int:
    chain_id = original.key.chain_id
    return account_id_of(context.hash_identifier(chain_id, CodeKind.GIFT_CARD, spelled(code)))


def _spent(granted: GrantedLot, left_minor: int, line: Line, asset_code: str) -> Refusal:
    metadata = {
        "line_id": line.line_id,
        "asset_code": asset_code,
        "asked_minor": str(granted.granted_minor),
        "most_minor": str(left_minor),
    }
    text = f"line {line.line_id}: {left_minor} of {granted.granted_minor} are left on the gift card"
    return Refusal(Reason.SPEND_NOT_POSSIBLE, text, metadata)
