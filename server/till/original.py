"""A sale that something comes back of: what it was, what it moved, and what came back before."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from rewards.commit import UNCHANGED, CommitKey, KeyKind
from rewards.earn_bound import within_balances
from rewards.evaluate import Evaluated, Evaluation
from rewards.facts import AssetWindow, Facts
from rewards.given_before import NOTHING_KEPT, Kept
from rewards.journal import Journal
from rewards.ledger import NOTHING, Book, Holdings, Movement, OwnedLot
from rewards.outcome import Statement, is_plain, paid_by_line, plain_sale
from rewards.quota import NetUse
from rewards.refund import Evaluator, Least
from rewards.refund_price import Settlement
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import Line, LineAction, Outcome, OutcomeKind, ReceiptKey, Sale
from rewards.settling import (
    Claim,
    Comeback,
    GrantedLot,
    ReturnRecord,
    Settled,
    Spending,
    Standing,
    settle,
    summed,
)
from rewards.spending import as_sold
from rewards.transfer import NOTHING_SENT, Sent
from rewards.uses_back import Counted
from server.lookups import Seen
from server.store.budgets import read_net_uses
from server.store.database import RetryError
from server.store.facts import AnyConnection, KnownKey, StoredRow, read_account
from server.store.forwarded import KnownStatement
from server.store.holdings import read_holdings
from server.store.instruments import Code, read_given_out
from server.store.refunds import (
    KnownReturn,
    Owner,
    read_granted,
    read_kept,
    read_lapsed,
    read_lots_since,
    read_owner,
    read_returns,
    read_spendings,
)
from server.store.transfers import read_sent
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.history import base_of, is_sale, read_history, turn_key, undone_keys
from server.till.old_rules import rules_of_version
from server.till.stored import stored_checkout


class KeptRequest(Struct, frozen=True, array_like=True):
    """What a sale keeps of its request besides what was scanned; what else it keeps is not read.

    Attributes:
        sold_at_us: by the till's clock, of one that came by Forward; else 0.
        clock_offset_us: what that was corrected by.
        returned: of such a one what RETURN lines changed of its customer's assets: (asset, minor
            units); its answer is spelled later.
    """

    closed: bool
    basket_id: bytes
    outcome: Outcome | None
    sold_at_us: int = 0
    clock_offset_us: int = 0
    returned: tuple[tuple[str, int], ...] = ()


_REQUEST = msgspec.msgpack.Decoder(tuple[Sale, KeptRequest])
_ORIGIN = 12
"""Where in the rest of a line its origin stands."""
_PAIR = b"\x92"
"""Makes one msgpack array of the two values that a request is stored as."""
_FACTS = msgspec.msgpack.Decoder(Facts)


class Touched(NamedTuple):
    """An account that a sale moved something on, as it stands now.

    Attributes:
        is_bearer: a coupon, certificate or gift card opens it: it never owes anything.
        granted: what the sale granted there, in its order.
        spendings: what the sale took there.
        spent_lots: the lots it took that from.
        lapsed: what of those lots expired unspent, minor units.
    """

    owner: Owner
    is_bearer: bool
    balances: dict[str, int]
    holdings: Holdings
    granted: tuple[GrantedLot, ...]
    spendings: tuple[Spending, ...]
    spent_lots: dict[bytes, OwnedLot]
    lapsed: dict[bytes, int]

    @property
    def lots(self) -> list[OwnedLot]:
        """All lots that may change: those that are not empty, granted or spent from."""
        known = {lot.lot_id: lot for lot in self.holdings.lots}
        others = [*(one.lot for one in self.granted), *self.spent_lots.values()]
        known |= {lot.lot_id: lot for lot in others if lot.granted_minor}
        return list(known.values())


class Original(NamedTuple):
    """A sale as it was decided, and what has become of it.

    Attributes:
        base_key_id: under which it is stored and posted; of a live Checkout its own key.
        returns: what came back of it, oldest first.
        accounts: those it moved something on, the customer's first; it may have none.
        budget_uses: what it has used of budgets and has not come back.
        history: what the till has stated of it by Forward, oldest first.
        sent: money that was sent when it was sold before, and then undone.
        codes: what it gave out by codes, also when it was sold before.
        kept: where it is undone, what of all that it gave could not be taken back.
    """

    key: ReceiptKey
    key_id: bytes
    base_key_id: bytes
    base_day: int
    stored: StoredRow
    sale: Sale
    outcome: Outcome | None
    facts: Facts
    rules: ProgramRules
    returns: tuple[KnownReturn, ...]
    accounts: tuple[Touched, ...]
    budget_uses: tuple[NetUse, ...]
    history: tuple[KnownStatement, ...] = ()
    sent: Sent = NOTHING_SENT
    codes: tuple[Code, ...] = ()
    kept: Kept = NOTHING_KEPT

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What was stated of what counts now: of what was sold anew, from then on."""
        own = [one for one in self.history if one.base_key_id == self.base_key_id]
        return tuple(one.statement for one in own)

    @property
    def is_undone(self) -> bool:
        """Nothing of it counts: it was not sold, or the till does not know."""
        return bool(self.history) and self.history[-1].statement.is_undone

    @property
    def by_lines(self) -> Statement | None:
        """What was stated of the amounts that it was sold at, if Forward has settled it so."""
        kinds = (OutcomeKind.PLAIN, OutcomeKind.OTHER)
        found = [one for one in self.statements if one.outcome.kind in kinds]
        return None if self.is_undone or not found else found[0]

    @property
    def settlement(self) -> Settlement | None:
        """How that was settled, if the server had committed the sale before."""
        stated = self.by_lines
        if stated is None or stated.is_base:
            return None
        return Settlement(stated.outcome, self.history[-1].statement.outcome)

    @property
    def customer(self) -> Touched | None:
        """The account of the customer."""
        return next((one for one in self.accounts if not one.is_bearer), None)

    @property
    def earned(self) -> tuple[GrantedLot, ...]:
        """All lots that the sale granted; without those given for discounts that were not."""
        statement, found = self.by_lines, list[GrantedLot]()
        given = 0 if statement is None else len(statement.instead)
        for touched in self.accounts:
            count = len(touched.granted)
            found += touched.granted[: count if touched.is_bearer else count - given]
        return tuple(found)

    @property
    def bearers(self) -> tuple[Touched, ...]:
        """The accounts that coupons and cards open."""
        return tuple(one for one in self.accounts if one.is_bearer)

    @property
    def records(self) -> tuple[ReturnRecord, ...]:
        """What statements and returns did to what was posted."""
        settled = [one.settled for one in self.statements]
        return (*settled, *self.return_records)

    @property
    def return_records(self) -> tuple[ReturnRecord, ...]:
        """What returns alone did."""
        return tuple([one.record for one in self.returns])

    @property
    def least(self) -> Least | None:
        """What was left of rewards with limits after all returns; None if the last did not say."""
        return self.returns[-1].record.least if self.returns else ()

    @property
    def kept_money(self) -> bool | None:
        """Whether promotions could keep money back at the last return; None if there was none."""
        if not self.returns:
            return None
        known = self.returns[-1].record.kept_money
        return self._could_keep_money() if known is None else known

    def _could_keep_money(self) -> bool:
        """The same of a record of an earlier build, by what is known now."""
        stated = self.by_lines
        if self.paid is None or stated is None or stated.is_base:
            return self.paid is None
        earlier = [one.outcome for one in self.statements[: self.statements.index(stated)]]
        before = earlier[-1] if earlier else request_of(self.stored)[1].outcome
        return dict(stated.returned) == self.returned and paid_by_line(before) is None

    @property
    def returned(self) -> dict[str, int]:
        """What has come back: thousandths by line_id."""
        each = self.returned_after_each
        return each[-1] if each else {}

    @property
    def returned_after_each(self) -> tuple[dict[str, int], ...]:
        """What had come back in all after each return, oldest first."""
        found: list[dict[str, int]] = []
        for record in self.return_records:
            now = dict(found[-1]) if found else {}
            for line_id, quantity_milli, _ in record.lines:
                now[line_id] = now.get(line_id, 0) + quantity_milli
            found.append(now)
        return tuple(found)

    @property
    def paid(self) -> dict[str, int] | None:
        """By line at what the till sold, if it says that this was not as answered."""
        return paid_by_line(self.outcome)

    def gone_with(self, now: Mapping[str, int]) -> bool:
        """Whether all that was sold has come back once this has."""
        before = self.returned
        return all(
            before.get(line.line_id, 0) + now.get(line.line_id, 0) >= line.quantity_milli
            for line in self.sold
        )

    @property
    def counted(self) -> Counted:
        """The sale as limits over many receipts counted it."""
        return Counted(
            self.rules.program, self.key.store_id, self.base_key_id, self.facts, self.budget_uses
        )

    @property
    def sold(self) -> list[Line]:
        """The lines that were sold."""
        lines = self.sale.lines
        return [one for one in lines if not one.cancelled and one.action != LineAction.RETURN]

    @property
    def caused_key_ids(self) -> tuple[bytes, ...]:
        """Keys whose money transfers and messages end with it: all under which it was ever sold."""
        bases = [one.base_key_id for one in self.history]
        return tuple(dict.fromkeys((self.base_key_id, self.key_id, *bases)))

    @property
    def turn_key(self) -> CommitKey:
        """The key of the next return, statement or void: of two at once one finds it taken."""
        return turn_key(self.key_id, len(self.returns) + len(self.history))


def sold_key(seen: Seen, key_id: bytes) -> KnownKey:
    """The key of a sale that something may come back of; its void's key was looked up too.

    Raises:
        Refusal: RECEIPT_NOT_FOUND, RECEIPT_STATE.
    """
    known = seen.keys.get(key_id)
    metadata = {"receipt_id": key_id.hex()}
    if known is None:
        text = "nothing is recorded under the key of the original"
        raise Refusal(Reason.RECEIPT_NOT_FOUND, text, metadata)
    if known.kind not in (KeyKind.CHECKOUT, KeyKind.FENCE, KeyKind.FORWARD):
        text = "the key is not that of a sale"
        raise Refusal(Reason.RECEIPT_STATE, text, {**metadata, "state": "NOT_A_SALE"})
    if void_key_id_of(key_id) in seen.keys:
        text = "the original was voided"
        raise Refusal(Reason.RECEIPT_STATE, text, {**metadata, "state": "VOIDED"})
    return known


def origin_of(line: Line) -> tuple[ReceiptKey, str] | None:
    """Receipt and line that a RETURN line names; None if it names none."""
    origin = line.rest[_ORIGIN] if len(line.rest) > _ORIGIN else ()
    assert isinstance(origin, tuple | list)
    if not origin or origin[0] is None:
        return None
    return msgspec.convert(origin, tuple[ReceiptKey, str])


def stated_live(original: Original) -> Outcome | None:
    """The outcome that came with the live Checkout, if that is what counts."""
    return None if original.history else original.outcome


def sale_of(stored: StoredRow) -> Sale:
    """The sale that a stored Checkout is of, as it was scanned."""
    sale, _ = _REQUEST.decode(_PAIR + stored.request)
    return sale


def request_of(stored: StoredRow) -> tuple[Sale, KeptRequest]:
    """The sale that was decided on, and what else is kept of its request."""
    sale, kept = _REQUEST.decode(_PAIR + stored.request)
    if kept.sold_at_us and kept.outcome is not None and is_plain(kept.outcome):
        sale = plain_sale(sale)
    return sale, kept


def facts_of(stored: StoredRow) -> Facts:
    """The facts that a stored Checkout was decided on."""
    return _FACTS.decode(stored.facts)


async def read_original(
    context: Context, key: ReceiptKey, key_id: bytes, known: KnownKey, deadline_s: float
) -> Original:
    """Read a sale with its rules, and the accounts it moved something on.

    Whoever commits on it names the versions of the accounts and takes the sale's next turn, so
    that nothing of this has changed.

    Raises:
        Refusal: RECEIPT_STATE of a key that was broken off, or is not that of a sale;
            STORE_UNAVAILABLE; NO_RULESET if the chain has lost the version.
    """
    history = await read_history(context, key_id, deadline_s)
    base = base_of(known, key_id, history)
    if base is None or not is_sale(known, history):
        state = "BROKEN_OFF" if base is None else "NOT_A_SALE"
        text = "the original was broken off" if base is None else "the key is not that of a sale"
        raise Refusal(Reason.RECEIPT_STATE, text, {"receipt_id": key_id.hex(), "state": state})
    at_base = msgspec.structs.replace(known, day=base.day)
    stored = await stored_checkout(context, base.key_id, at_base, deadline_s)
    sale, kept = request_of(stored)
    outcome = history[-1].statement.outcome if history else kept.outcome
    posting = [
        base.key_id,
        *[one.forward_key_id for one in history if one.base_key_id == base.key_id],
    ]
    facts = facts_of(stored)
    version = stored.ruleset_version
    rules = await rules_of_version(context.reference, key.chain_id, version, deadline_s)
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                returns = await read_returns(connection, key_id)
                undone = undone_keys(key_id, history)
                codes = await read_given_out(connection, [base.key_id, *undone])
                posted = list(dict.fromkeys(posting))
                accounts = await _read_accounts(connection, posted, facts, codes)
                uses = await read_net_uses(connection, base.key_id)
                sent = await read_sent(connection, undone) if undone else NOTHING_SENT
                left = NOTHING_KEPT
                if history and history[-1].statement.is_undone:
                    owners = [one.owner for one in accounts]
                    moved = {key_id, *[one.forward_key_id for one in history]}
                    left = await read_kept(connection, owners, moved)
                return Original(
                    key, key_id, *base, stored, sale, outcome, facts, rules, returns, accounts,
                    uses, history, sent, tuple(codes), left,
                )  # fmt: skip
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None


async def _read_accounts(
    connection: AnyConnection, key_ids: Sequence[bytes], facts: Facts, codes: Iterable[Code]
) -> tuple[Touched, ...]:
    # As the sale showed them: what comes back is shared over cards in this order.
    shown = [one.account_id for one in (*facts.coupons, *facts.gift_cards)]
    given = sorted({one.account_id for one in codes})
    bearers = [account_id for account_id in dict.fromkeys((*shown, *given)) if account_id < 0]
    own = [facts.customer.account_id] if facts.customer.account_id else []
    found = [await _read_account(connection, key_ids, one) for one in (*own, *bearers)]
    return tuple(one for one in found if one is not None)


async def _read_account(
    connection: AnyConnection, key_ids: Sequence[bytes], account_id: int
) -> Touched | None:
    """Read an account: its version before everything else.

    Args:
        connection: to read on.
        key_ids: under which the sale was posted, then those of statements that gave more.
        account_id: as the sale found it.
    """
    owner = await read_owner(connection, account_id)
    if owner is None:
        return None
    account = await read_account(connection, owner.account_id)
    granted = list(await read_granted(connection, owner, key_ids[0]))
    for key_id in key_ids[1:]:
        # What came back to an account in a new lot was no gift.
        given = await read_granted(connection, owner, key_id)
        granted += [one for one in given if one.lot.book != Book.CLEARING]
    spendings = await read_spendings(connection, owner, key_ids[0])
    spent = sorted({lot_id for one in spendings for lot_id, _ in one.picks})
    # Of a lot that has expired a basket may still hold a part.
    lot_ids = [one.lot.lot_id for one in granted if one.lot.remaining_minor < one.granted_minor]
    return Touched(
        owner,
        account_id < 0,
        {} if account is None else account.balances,
        await read_holdings(connection, owner.account_id),
        tuple(granted),
        spendings,
        await read_lots_since(connection, owner, spent),
        await read_lapsed(connection, owner, lot_ids),
    )


def evaluator_of(context: Context) -> Evaluator:
    """How a sale was evaluated, and how what is kept of it is."""

    def evaluate(
        rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None
    ) -> Evaluation:
        def among(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluated:
            return context.evaluate(rules, sale, facts, only)

        sold = as_sold(rules, sale, facts, among)
        return within_balances(rules.program, facts, sold).raised()

    return evaluate


class Moved(NamedTuple):
    """What settling moves on one account.

    Attributes:
        released: ids of holds that end, because what they hold is taken.
    """

    touched: Touched
    movement: Movement
    settled: Settled
    released: tuple[bytes, ...] = ()

    @classmethod
    def nothing(cls, touched: Touched) -> "Moved":
        """Nothing moves."""
        return cls(touched, NOTHING, Settled((), ()))


def settle_account(
    context: Context,
    original: Original,
    touched: Touched,
    journal: Journal,
    claims: Iterable[Claim],
    comebacks: Iterable[Comeback],
    now_us: int,
    takes_held: bool,
) -> Settled:
    """Settle on one account.

    Args:
        context: the store's wall clock is asked.
        original: of what something comes back.
        touched: the account.
        journal: that knows the account's lots.
        claims: what is taken back there.
        comebacks: what comes back there.
        now_us: the instant, UTC microseconds.
        takes_held: what baskets hold is taken back as well.
    """
    rules = original.rules.program.returns
    store = context.reference.store(original.key.chain_id, original.key.store_id)
    until_us = store.day_end_us(now_us, rules.returned_active_days)
    counted = summed([one for record in original.records for one in record.lapsed])
    home = touched.owner.account_ids[0]
    standing = Standing(
        () if takes_held else touched.holdings.holds,
        touched.spent_lots,
        {key: minor - counted.get((home, key), 0) for key, minor in touched.lapsed.items()},
        AssetWindow(now_us, until_us),
        rules.claw_back_debt and not touched.is_bearer,
        now_us,
        touched.is_bearer,
    )
    return settle(journal, standing, claims, comebacks)


def uncounted(original: Original) -> tuple[int, int]:
    """How the purchase is uncounted: the change of the count, and the day of the last one.

    The day before the sale is known from its facts; it is the last one again if nothing was bought
    after the sale.
    """
    before, touched = original.facts.customer, original.customer
    if touched is None:
        return 0, UNCHANGED
    bought_since = touched.owner.purchases != before.purchases + 1
    return -1, UNCHANGED if bought_since else before.last_purchase_day
