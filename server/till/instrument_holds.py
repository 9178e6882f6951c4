"""What a basket holds on accounts of bearers: coupons, and money on gift cards."""

from collections.abc import Collection, Mapping

from rewards.facts import Facts
from rewards.instrument import spelled
from rewards.ledger import Hold
from rewards.picking import pick
from server.till.instruments import Looked


def coupons_to_hold(
    facts: Facts, codes: Collection[str], hold_id: bytes, expires_at_us: int
) -> dict[int, tuple[Hold, ...]]:
    """By account what a basket holds of the coupons that it shows and can use.

    Args:
        facts: with the coupons.
        codes: to be held, as they were shown.
        hold_id: the basket's.
        expires_at_us: UTC microseconds.
    """
    held: dict[int, dict[str, tuple[tuple[bytes, int], ...]]] = {}
    for one in facts.coupons:
        if one.code in codes and one.code and not one.state:
            picks = held.setdefault(one.account_id, {})
            # A code may be shown twice, spelled in two ways.
            own = dict(picks.get(one.asset_code, ())) | {one.lot_id: 1}
            picks[one.asset_code] = tuple(own.items())
    return {
        account_id: tuple(
            Hold(hold_id, code, len(picks), picks, expires_at_us) for code, picks in found.items()
        )
        for account_id, found in held.items()
    }


def cards_to_hold(
    facts: Facts,
    looked: Looked,
    wanted: Mapping[str, int],
    at_us: int,
    hold_id: bytes,
    expires_at_us: int,
) -> dict[int, tuple[Hold, ...]]:
    """By account what a basket holds on gift cards: what is wanted, or what is free.

    Args:
        facts: with the cards.
        looked: their accounts.
        wanted: minor units by code, as it is hashed.
        at_us: the instant at which the basket is evaluated.
        hold_id: the basket's.
        expires_at_us: UTC microseconds.
    """
    held: dict[int, tuple[Hold, ...]] = {}
    for card in facts.gift_cards:
        amount_minor = wanted.get(spelled(card.code), 0)
        if amount_minor:
            holdings = looked.standings[card.account_id].holdings
            picked = pick(holdings, card.asset_code, amount_minor, at_us, hold_id)
            held_minor = amount_minor - picked.missing_minor
            hold = Hold(hold_id, card.asset_code, held_minor, picked.picks, expires_at_us)
            held[card.account_id] = (hold,) if held_minor else ()
    return held
