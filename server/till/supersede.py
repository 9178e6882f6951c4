"""Settles what a till states of a sale that was committed: by balanced postings, once."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from rewards.cards_share import bearers_comebacks
from rewards.commit import AccountChange, Commit, ExceptionEntry
from rewards.facts import AssetWindow
from rewards.instrument import is_coupon
from rewards.journal import Journal
from rewards.notice import Turned
from rewards.outcome import Instead, is_plain, paid_by_line
from rewards.refund import RefundRefusal, decide_refund
from rewards.refund_price import Settlement
from rewards.rewarding import Grant
from rewards.rounding import floor_div
from rewards.sale import Outcome
from rewards.settling import (
    Claim,
    Comeback,
    ReturnRecord,
    claims_of_void,
    comebacks_of_void,
    paid_out_by,
)
from rewards.undelivered import instead_of, left_of, post_instead
from rewards.uses_back import uses_back_of_statement
from server.till.context import Context
from server.till.goods_back import RETURN_EXCEPTION, changed, is_change, settle_accounts
from server.till.lowering import Lowering, lowering_of
from server.till.original import Moved, Original, Touched, evaluator_of
from server.till.turnover_changes import restated
from server.till.void import has_goods_back, undo

OUTCOME_DIFFERS = 6
"""EXCEPTION_KIND_OUTCOME_DIFFERS of the contract."""


class Lowered(NamedTuple):
    """What settling by lines writes.

    Attributes:
        record: what it took and gave back, as later returns must know it.
        instead: what was given for discounts, and when it counts by asset.
        grants: what the customer has got besides: what was earned stays.
    """

    accounts: tuple[AccountChange, ...]
    record: ReturnRecord
    instead: tuple[Instead, ...]
    exceptions: tuple[ExceptionEntry, ...]
    windows: Mapping[str, AssetWindow] = {}
    grants: tuple[Grant, ...] = ()


def lower(
    context: Context, original: Original, outcome: Outcome, key_id: bytes, now_us: int
) -> Lowered:
    """Settle that a till did not give all that was decided: earned points stay.

    What was to be spent and was not comes back; a discount that was not given becomes what the
    promotion's offline policy says; of what goods that came back had, nothing is given.

    Args:
        context: ports.
        original: the sale as it was committed.
        outcome: PLAIN or OTHER.
        key_id: of what settles it, 16 bytes.
        now_us: the instant, UTC microseconds.
    """
    lowering = lowering_of(context, original, outcome, is_base=False)
    claims = _claims(original, lowering)
    comebacks = {
        one.owner.account_ids[0]: _comebacks(original, one, lowering, outcome)
        for one in original.accounts
    }
    journals: dict[int, Journal] = {}
    moved = settle_accounts(
        context, original, claims, comebacks, key_id, now_us, journals, is_fact=True
    )
    instead: tuple[Instead, ...] = ()
    customer = original.customer
    store = context.reference.store(original.key.chain_id, original.key.store_id)
    windows = dict(store.facts_at(original.rules, now_us).windows)
    if customer is not None:
        journal = journals.setdefault(customer.owner.account_id, Journal(key_id))
        journal.learn(customer.lots)
        instead = _given_instead(original, customer, lowering, journal, windows)
        moved = tuple(_with_journal(one, customer, journal) for one in moved)
    turnover = restated(original, outcome, evaluator_of(context))
    own = () if customer is None else comebacks[customer.owner.account_ids[0]]
    uses = uses_back_of_statement(original.counted, claims, own)
    changes = [changed(one, None, uses, turnover) for one in moved]
    return Lowered(
        tuple(one for one in changes if is_change(one)),
        _record(original, claims, comebacks, moved),
        instead,
        _differences(context, original, lowering, outcome),
        windows,
        tuple(one for one in lowering.sold.grants if one.number not in lowering.undone),
    )


def _differences(
    context: Context, original: Original, lowering: Lowering, outcome: Outcome
) -> tuple[ExceptionEntry, ...]:
    """What the back office should know: what was sold cheaper, and what nobody pays any more."""
    texts = []
    below = lowering.missing.below
    if below:
        texts.append(f"sold below what was answered: {', '.join(below[:10])}")
    short_minor = _paid_short(context, original, outcome)
    if short_minor:
        texts.append(f"goods that have all come back were paid {short_minor} too little for them")
    return tuple([ExceptionEntry(OUTCOME_DIFFERS, one) for one in texts])


def _paid_short(context: Context, original: Original, outcome: Outcome) -> int:
    """What was paid back too little by what is stated now and no refund makes up for, minor units.

    As long as something is left of the receipt, the next refund pays it.
    """
    if not original.returns or not original.gone_with({}):
        return 0
    decided = decide_refund(
        original.rules,
        original.sale,
        original.facts,
        original.returned_after_each,
        {},
        evaluator_of(context),
        paid_by_line(outcome),
        may_refuse=False,
        settled=Settlement(outcome, outcome),
        paid_out=paid_out_by(original.return_records, is_plain(outcome)),
        least=original.least,
    )
    assert not isinstance(decided, RefundRefusal), "nothing more comes back"
    return decided.pay_back_minor


def noted(context: Context, original: Original, outcome: Outcome) -> tuple[AccountChange, ...]:
    """What changes of the customer's account by a statement that moves nothing: what it counts.

    Args:
        context: ports.
        original: the sale.
        outcome: as stated.
    """
    customer = original.customer
    turnover = restated(original, outcome, evaluator_of(context))
    if customer is None or not turnover:
        return ()
    return (changed(Moved.nothing(customer), None, (), turnover),)


def turned(instead: Iterable[Instead], windows: Mapping[str, AssetWindow]) -> tuple[Turned, ...]:
    """What discounts became, as a message tells it."""
    return tuple(
        [
            Turned(one.asset_code, one.amount_minor, windows[one.asset_code].expires_at_us)
            for one in instead
        ]
    )


def undo_all(context: Context, original: Original, key_id: bytes, commit: Commit) -> Commit:
    """Undo what is left of a sale, as a void does; what came back on it stays settled."""
    undone = undo(context, original, key_id, commit.recorded_at_us)
    text = "what came back on the receipt stays settled, although it was not sold"
    noted = (ExceptionEntry(RETURN_EXCEPTION, text),) if has_goods_back(original) else ()
    return replace(
        commit,
        accounts=undone.accounts,
        budget_uses=undone.budget_uses,
        undone_key_ids=() if original.is_undone else original.caused_key_ids,
        exceptions=noted,
    )


def _claims(original: Original, lowering: Lowering) -> tuple[Claim, ...]:
    """What promotions gave whose price comes back."""
    promotions = original.rules.program.promotions
    undone = {promotions[number].promotion_id for number in lowering.undone}
    lots = [
        granted
        for touched in original.accounts
        for granted in touched.granted
        if granted.lot.promotion_id in undone
    ]
    return claims_of_void(lots, original.records)


def _comebacks(
    original: Original, touched: Touched, lowering: Lowering, outcome: Outcome
) -> tuple[Comeback, ...]:
    """What comes back to an account of what the sale took there."""
    if touched.is_bearer:
        back = bearers_comebacks(touched.owner.account_ids[0], touched.spendings, original.records)
        coupons = {account_id for account_id, _ in lowering.coupons}
        return tuple(
            one
            for one in back
            if (
                touched.owner.account_ids[0] in coupons
                if is_coupon(one.spending.asset_code)
                else is_plain(outcome)
            )
        )
    found = []
    for one in comebacks_of_void(touched.spendings, original.records):
        part_minor = _part_back(original, lowering, outcome, one)
        if part_minor:
            found.append(replace(one, amount_minor=min(one.amount_minor, part_minor)))
    return tuple(found)


def _part_back(original: Original, lowering: Lowering, outcome: Outcome, comeback: Comeback) -> int:
    """How much of what the customer's account paid comes back, minor units of the asset."""
    spending = comeback.spending
    if is_coupon(spending.asset_code):
        lots = {lot_id for _, lot_id in lowering.coupons}
        return sum([minor for lot_id, minor in spending.picks if lot_id in lots])
    promotions = original.rules.program.promotions
    undone = {promotions[number].promotion_id for number in lowering.undone}
    if spending.promotion_id:
        return spending.amount_minor if spending.promotion_id in undone else 0
    if is_plain(outcome):
        return spending.amount_minor
    for spent in original.facts.spends:
        if spent.asset_code == spending.asset_code and not spent.is_tender:
            missing_minor = lowering.missing.spent.get(spent.asset_code, 0)
            # Rounded up where what comes back with goods is rounded down: together it is all.
            return -floor_div(-spent.amount_minor * missing_minor, max(1, spent.value_minor))
    return 0


def _given_instead(
    original: Original,
    customer: Touched,
    lowering: Lowering,
    journal: Journal,
    windows: Mapping[str, AssetWindow],
) -> tuple[Instead, ...]:
    program = original.rules.program
    discounts = left_of(original.sale, lowering.missing, original.returned)
    given = instead_of(program, original.facts, discounts, customer.balances)
    post_instead(journal, program, given, windows)
    return tuple([one for _, one in given])


def _with_journal(moved: Moved, customer: Touched, journal: Journal) -> Moved:
    """What moves on the customer's account, with what was given there last."""
    return moved._replace(movement=journal.movement()) if moved.touched is customer else moved


def _record(
    original: Original,
    claims: tuple[Claim, ...],
    comebacks: dict[int, tuple[Comeback, ...]],
    moved: tuple[Moved, ...],
) -> ReturnRecord:
    bearers = {one.owner.account_ids[0] for one in original.bearers}
    return ReturnRecord(
        (),
        given=tuple(
            (one.spending.promotion_id, one.spending.asset_code, one.amount_minor)
            for account_id, back in comebacks.items()
            if account_id not in bearers
            for one in back
        ),
        claimed=tuple((*one.granted.place, one.amount_minor) for one in claims),
        lapsed=tuple(
            (one.touched.owner.account_ids[0], *pick)
            for one in moved
            for pick in one.settled.lapsed
        ),
        to_cards=tuple(
            (account_id, one.amount_minor)
            for account_id, back in comebacks.items()
            if account_id in bearers
            for one in back
        ),
    )
