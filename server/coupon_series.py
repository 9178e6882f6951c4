"""Opens the accounts of coupons that a chain had printed: one commit a batch, each code once."""

from collections.abc import Iterable, Sequence

from rewards.commit import (
    AccountKind,
    Commit,
    CommitKey,
    KeyKind,
    NewAccount,
    NewInstrument,
)
from rewards.facts import AssetWindow
from rewards.instrument import CodeKind, account_id_of, coupon_asset, issue_key_id_of
from rewards.journal import Journal
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from server.codec.coupon_pb import ImportedCoupon
from server.codec.sale_pb import HashIdentifier
from server.store.commits import KeysTakenError
from server.store.database import Database


async def import_coupons(
    database: Database,
    hash_identifier: HashIdentifier,
    chain_id: str,
    series_code: str,
    coupons: Sequence[ImportedCoupon],
    now_us: int,
) -> int:
    """Open coupons that are not known yet; importing again is safe.

    Args:
        database: open.
        hash_identifier: keyed.
        chain_id: whose they are.
        series_code: of what series.
        coupons: no two with one code.
        now_us: the clock, UTC microseconds.

    Returns:
        How many were new.

    Raises:
        Refusal: INCONSISTENT for a code of another series.
        RetryError: the database cannot be reached just now.
    """
    by_key = {}
    for coupon in coupons:
        code_hash = hash_identifier(chain_id, CodeKind.COUPON, coupon.code)
        by_key[issue_key_id_of(code_hash)] = (code_hash, coupon)
    series = derived_key_id(b"series", chain_id.encode(), series_code.encode())
    while True:
        known = await database.known_keys(list(by_key))
        taken = {key_id for key_id, found in known.items() if found.fingerprint != series}
        _refuse_others(taken, list(by_key))
        new = [(key_id, *found) for key_id, found in by_key.items() if key_id not in known]
        if not new:
            return 0
        try:
            await database.write([_commit(new, chain_id, series_code, series, now_us)])
        except KeysTakenError:
            continue
        return len(new)


def _refuse_others(taken: Iterable[bytes], order: list[bytes]) -> None:
    places = sorted(order.index(key_id) for key_id in taken)
    if places:
        path = f"coupons[{places[0]}].code"
        text = "is a code of something else already"
        raise Refusal(Reason.INCONSISTENT, f"{path} {text}", fields=((path, text),))


def _commit(
    new: Sequence[tuple[bytes, bytes, ImportedCoupon]],
    chain_id: str,
    series_code: str,
    series: bytes,
    now_us: int,
) -> Commit:
    asset_code = coupon_asset(series_code)
    accounts, instruments = [], []
    for key_id, code_hash, coupon in new:
        account_id = account_id_of(code_hash)
        journal = Journal(key_id)
        journal.grant("", asset_code, 1, AssetWindow(now_us, coupon.expires_at_us))
        accounts.append(NewAccount(account_id, AccountKind.BEARER, journal.movement(), chain_id))
        instruments.append(
            NewInstrument(code_hash, CodeKind.COUPON, account_id, b"", asset_code, key_id)
        )
    return Commit(
        keys=tuple(CommitKey(key_id, KeyKind.ISSUE, series) for key_id, _, _ in new),
        effective_at_us=now_us,
        recorded_at_us=now_us,
        new_accounts=tuple(accounts),
        new_instruments=tuple(instruments),
    )
