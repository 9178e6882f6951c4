"""Single-use coupons, gift certificates and gift cards: bearers' accounts that a code opens.

A coupon is one unit of the asset `coupon.<series>`; what is on a card is money of the program's
asset of kind `gift_money`. Using one takes from its lots in the commit of the receipt.
"""

from base64 import b32encode
from collections.abc import Callable, Sequence
from enum import IntEnum

from rewards.benefit import Benefit, DrawEntries, Prize, Status
from rewards.facts import NO_ACCOUNT, Instrument, InstrumentState
from rewards.ledger import Holdings, LotKind, OwnedLot
from rewards.picking import live_holds, unheld, usable_minor
from rewards.sale import derived_key_id

_COUPON_PREFIX = "coupon."
_TIER_PREFIX = "tier."
_DRAW_PREFIX = "draw."
_PRIZE_PREFIX = "prize."
_CODE_BYTES = 10
"""80 bits: nobody finds a code by trying."""
_ACCOUNT_BYTES = 8

HashCode = Callable[[str, int, str], bytes]
"""Hashes (chain id, kind, text) with a key to 16 bytes."""


class CodeKind(IntEnum):
    """What a code is hashed as, besides the kinds of identifiers of customers.

    Attributes:
        COUPON: code of a coupon of a series.
        GIFT_CARD: number of a gift card, or code of a certificate.
        MADE: what the server makes codes from.
    """

    COUPON = 101
    GIFT_CARD = 102
    MADE = 103


def coupon_asset(series_code: str) -> str:
    """The asset of which a coupon of a series is one unit."""
    return f"{_COUPON_PREFIX}{series_code}"


def is_coupon(asset_code: str) -> bool:
    """Whether an asset is a series of coupons."""
    return asset_code.startswith(_COUPON_PREFIX)


def is_counted(asset_code: str) -> bool:
    """Whether an asset is none of the program's: coupons, tiers, entries and prizes have no worth.

    A dot is in no code of an asset that a program lists.
    """
    return "." in asset_code


def series_of(asset_code: str) -> str:
    """The series of a coupon's asset."""
    return asset_code.removeprefix(_COUPON_PREFIX)


def counted_asset(benefit: Benefit) -> str:
    """The asset in which a known customer has tiers, entries to draws and prizes; else empty."""
    match benefit:
        case Status():
            return tier_asset(benefit.tier_code)
        case DrawEntries():
            return f"{_DRAW_PREFIX}{benefit.draw_code}"
        case Prize():
            return f"{_PRIZE_PREFIX}{benefit.pool_code}"
    return ""


def noun_of(asset_code: str) -> str:
    """What an asset counts that is none of the program's: the noun by which texts write it."""
    if asset_code.startswith(_DRAW_PREFIX):
        return "entry"
    return "prize" if asset_code.startswith(_PRIZE_PREFIX) else "coupon"


def tier_asset(tier_code: str) -> str:
    """The asset of which a tier that is given is one unit, until its lot expires."""
    return f"{_TIER_PREFIX}{tier_code}"


def is_tier(asset_code: str) -> bool:
    """Whether an asset is a tier that is given."""
    return asset_code.startswith(_TIER_PREFIX)


def tier_of(asset_code: str) -> str:
    """The tier of an asset."""
    return asset_code.removeprefix(_TIER_PREFIX)


def spelled(code: str) -> str:
    """A code as it is hashed: capital and small letters are the same, blanks around it are none."""
    return code.strip().upper()


def account_id_of(code_hash: bytes) -> int:
    """The account that a code opens: -2^63 to -1, so that it is never a customer's."""
    return ~(int.from_bytes(code_hash[:_ACCOUNT_BYTES], "big") >> 1)


def issue_key_id_of(code_hash: bytes) -> bytes:
    """The key by which a code that somebody else made is given out once."""
    return derived_key_id(b"issue", code_hash)


def made_code(
    hash_code: HashCode, chain_id: str, key_id: bytes, number: int, place: int, n: int
) -> str:
    """The code of something that a receipt gives: the same on every repeat, and not to be guessed.

    Args:
        hash_code: keyed.
        chain_id: whose it is.
        key_id: of the receipt.
        number: the promotion that gives it.
        place: which of its benefits.
        n: which of several.

    Returns:
        16 characters of A-Z and 2-7.
    """
    text = f"{key_id.hex()}.{number}.{place}.{n}"
    return b32encode(hash_code(chain_id, CodeKind.MADE, text)[:_CODE_BYTES]).decode()


def state_of(
    holdings: Holdings,
    asset_code: str,
    lots: Sequence[OwnedLot],
    at_us: int,
    own_hold_id: bytes = b"",
) -> InstrumentState:
    """Whether anything of some lots can be used at an instant.

    Args:
        holdings: the account as it stands.
        asset_code: what they are.
        lots: the instrument's, empty ones too.
        at_us: the instant.
        own_hold_id: of the basket that would use it; what it holds it may use.
    """
    ids = {lot.lot_id for lot in lots}
    mine = Holdings(tuple([lot for lot in holdings.lots if lot.lot_id in ids]), holdings.holds)
    if usable_minor(mine, asset_code, at_us, own_hold_id):
        return InstrumentState.USABLE
    left = [lot for lot in lots if lot.kind == LotKind.VALUE and lot.remaining_minor]
    if not left:
        return InstrumentState.USED
    if all(lot.has_expired(at_us) for lot in left):
        return InstrumentState.EXPIRED
    held = {lot_id for hold in live_holds(holdings.holds, at_us, own_hold_id)
            for lot_id, _ in hold.picks}  # fmt: skip
    return InstrumentState.HELD if held & ids else InstrumentState.EXPIRED


def coupon_of(
    code: str,
    asset_code: str,
    account_id: int,
    holdings: Holdings,
    lot: OwnedLot | None,
    at_us: int,
    *,
    buyer_id: int = NO_ACCOUNT,
    is_bound: bool = False,
    may_spend: bool = True,
    own_hold_id: bytes = b"",
) -> Instrument:
    """A coupon that was shown, as its account stands.

    Args:
        code: as shown.
        asset_code: of its series.
        account_id: where it stands.
        holdings: of that account.
        lot: the coupon; None if it is nowhere any more.
        at_us: the instant.
        buyer_id: the account of the receipt's customer.
        is_bound: only the customer who owns the account may use it.
        may_spend: so the customer's state allows what is their own to be used.
        own_hold_id: of the basket that shows it.
    """
    state = InstrumentState.USED
    if is_bound and account_id != buyer_id:
        state = InstrumentState.NOT_YOURS
    elif lot is not None:
        state = state_of(holdings, asset_code, [lot], at_us, own_hold_id)
    if state == InstrumentState.USABLE and is_bound and not may_spend:
        state = InstrumentState.MAY_NOT_SPEND
    lot_id = b"" if lot is None else lot.lot_id
    expires_at_us = 0 if lot is None else lot.expires_at_us
    left = int(state == InstrumentState.USABLE)
    return Instrument(code, asset_code, state, account_id, lot_id, left, expires_at_us)


def own_coupons(
    account_id: int,
    holdings: Holdings,
    asked: Sequence[str],
    at_us: int,
    own_hold_id: bytes = b"",
) -> tuple[Instrument, ...]:
    """A customer's own coupons that can be used now, the soonest to expire first.

    Args:
        account_id: the customer's.
        holdings: of that account.
        asked: assets of the series that any promotion asks for.
        at_us: the instant.
        own_hold_id: of the basket that asks.
    """
    usable = [
        lot
        for lot in holdings.lots
        if lot.asset_code in asked
        and not state_of(holdings, lot.asset_code, [lot], at_us, own_hold_id)
    ]
    usable.sort(key=lambda lot: (lot.expires_at_us or 2**63, lot.lot_id))
    return tuple(
        Instrument("", lot.asset_code, InstrumentState.USABLE, account_id, lot.lot_id, 1,
                   lot.expires_at_us)
        for lot in usable
    )  # fmt: skip


def gift_card_of(
    code: str,
    asset_code: str,
    account_id: int,
    holdings: Holdings,
    at_us: int,
    own_hold_id: bytes = b"",
) -> Instrument:
    """A gift card or certificate that a receipt names, as its account stands.

    Args:
        code: as sent.
        asset_code: in what it counts.
        account_id: where it stands.
        holdings: of that account.
        at_us: the instant.
        own_hold_id: of the basket that names it; what it holds it may use.
    """
    lots = [lot for lot in holdings.lots if lot.asset_code == asset_code]
    left_minor = usable_minor(holdings, asset_code, at_us, own_hold_id)
    whole_minor = usable_minor(unheld(holdings, own_hold_id), asset_code, at_us, own_hold_id)
    ends = [lot.expires_at_us for lot in lots if lot.is_usable(at_us)]
    state = state_of(holdings, asset_code, lots, at_us, own_hold_id)
    expires_at_us = min([end for end in ends if end], default=0)
    held_minor = whole_minor - left_minor
    return Instrument(
        code, asset_code, state, account_id, b"", left_minor, expires_at_us, held_minor
    )
