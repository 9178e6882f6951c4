"""Goods that come back of one sale: what is paid back, what is taken and given, what is written.

A Refund and the RETURN lines of a sale both come here.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from rewards.cards_share import CardPart, card_parts
from rewards.commit import (
    UNCHANGED,
    AccountChange,
    BudgetUse,
    CommitKey,
    ExceptionEntry,
    PromotionUse,
    ReturnEntry,
    TransferCut,
)
from rewards.facts import NO_ACCOUNT
from rewards.journal import Journal
from rewards.picking import live_holds, uncovered
from rewards.refund import Refund, RefundProblem, RefundRefusal, decide_refund, fitted
from rewards.refusal import Reason, Refusal
from rewards.sale import OutcomeKind
from rewards.settling import (
    Claim,
    Comeback,
    PointsPart,
    ReturnRecord,
    claims_of,
    comebacks_of,
    paid_out_by,
    pay_back,
)
from rewards.transfer import cuts_of
from rewards.uses_back import uses_back_of_refund
from server.till.cards_back import cards_back, codes_of
from server.till.context import Context
from server.till.lowering import instead_claims
from server.till.original import (
    Moved,
    Original,
    evaluator_of,
    settle_account,
    uncounted,
)
from server.till.tiers import TurnoverChange
from server.till.turnover_changes import back_of_refund

RETURN_EXCEPTION = 4
"""EXCEPTION_KIND_RETURN_LINES of the contract."""
_REASONS = {
    RefundProblem.UNKNOWN_LINE: Reason.LINE_NOT_FOUND,
    RefundProblem.MORE_THAN_SOLD: Reason.MORE_THAN_SOLD,
    RefundProblem.FORBIDDEN: Reason.REFUND_FORBIDDEN,
    RefundProblem.NOT_WHOLE: Reason.NOT_WHOLE_PIECES,
}
_TEXTS = {
    RefundProblem.UNKNOWN_LINE: "the line {line_id} is not on the original",
    RefundProblem.MORE_THAN_SOLD: "of line {line_id} only {left_milli} thousandths are left",
    RefundProblem.FORBIDDEN: "the promotion {promotion_id} forbids it",
    RefundProblem.NOT_WHOLE: "of line {line_id} only whole pieces come back",
}


class Returned(NamedTuple):
    """What comes back of one sale, as decided.

    Attributes:
        refund: None if nothing of it can be settled.
        moved: what moves on which account.
        keys: the sale's turn, which the commit must take.
        uncount: the purchase is undone, see `uncounted`; None if something of it is left.
        account_uses: what comes back of the customer's limits.
        turnover: what comes off the customer's turnover.
        transfer_cuts: what comes off money transfers that nobody has sent.
        to_cards: (gift card as the sale named it, minor units) of what goes back to cards.
        exceptions: what of a fact could not be settled.
    """

    original: Original
    now_us: int
    refund: Refund | None = None
    part: PointsPart = PointsPart(0, 0)
    moved: tuple[Moved, ...] = ()
    keys: tuple[CommitKey, ...] = ()
    uncount: tuple[int, int] | None = None
    account_uses: tuple[PromotionUse, ...] = ()
    entries: tuple[ReturnEntry, ...] = ()
    budget_uses: tuple[BudgetUse, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()
    turnover: tuple[TurnoverChange, ...] = ()
    transfer_cuts: tuple[TransferCut, ...] = ()
    to_cards: tuple[tuple[str, int], ...] = ()


def return_goods(
    context: Context,
    original: Original,
    now: Mapping[str, int],
    key_id: bytes,
    now_us: int,
    closed: bool,
    journals: dict[int, Journal] | None = None,
) -> Returned:
    """Decide what comes of goods that come back.

    Args:
        context: ports.
        original: the sale they were bought in.
        now: thousandths by line of the original.
        key_id: of what posts it, 16 bytes.
        now_us: the instant, UTC microseconds.
        closed: it is a fact: what is not possible is noted, and the rest is settled.
        journals: by account, where there are some already; gets those that are begun.

    Raises:
        Refusal: it is a request, and not possible.
    """
    problems: list[Refusal] = []
    decided = _decided(context, original, dict(now), closed, problems)
    if decided is None:
        exceptions = tuple(exception_of(problem) for problem in problems)
        return Returned(original, now_us, exceptions=exceptions)
    instead = instead_claims(context, original, decided)
    back_ids = [line.line_id for line in decided.lines]
    cards = cards_back(context, original, back_ids, now_us)
    if cards.problems and not closed:
        raise cards.problems[0]
    exceptions = tuple(exception_of(problem) for problem in (*problems, *cards.problems))
    part = pay_back(decided, original.return_records)
    to_cards, part = _card_parts(original, decided, part)
    program, records = original.rules.program, original.records
    lots = [granted for touched in original.accounts for granted in touched.granted]
    rewards = claims_of(decided, program, lots, records)
    claims = (*rewards, *instead, *cards.claims)
    customer = original.customer
    spendings = customer.spendings if customer is not None else ()
    comebacks = comebacks_of(decided, program, part, spendings, records)
    home = customer.owner.account_ids[0] if customer is not None else NO_ACCOUNT
    given: dict[int, tuple[Comeback, ...]] = {home: comebacks}
    for card in [one for one in to_cards if one.comeback.amount_minor]:
        given[card.account_id] = (*given.get(card.account_id, ()), card.comeback)
    moved = settle_accounts(
        context, original, claims, given, key_id, now_us, journals, is_fact=closed
    )
    returned = {line.line_id: line.quantity_milli for line in decided.lines}
    is_gone = original.gone_with(returned)
    uncount = uncounted(original) if is_gone else None
    uses = uses_back_of_refund(original.counted, decided, rewards, comebacks, is_gone)
    return Returned(
        original,
        now_us,
        decided,
        part,
        moved,
        (original.turn_key,),
        uncount,
        uses.account_uses,
        (_entry(original, decided, part, claims, comebacks, moved, to_cards),),
        uses.budget_uses,
        exceptions,
        back_of_refund(original, decided.sold, returned, is_gone=is_gone),
        cuts_of(
            program,
            decided,
            original.base_key_id,
            original.facts.customer.customer_id,
            original.sent,
        ),
        codes_of(context, original, to_cards),
    )


def _decided(
    context: Context,
    original: Original,
    now: dict[str, int],
    closed: bool,
    problems: list[Refusal],
) -> Refund | None:
    """Decide; of a fact what is possible, with what is not noted.

    Raises:
        Refusal: of a request.
    """
    outcome = original.outcome
    is_not_sold = outcome is not None and outcome.kind == OutcomeKind.NOT_SOLD
    if original.is_undone or is_not_sold:
        state = "NOT_SOLD" if is_not_sold else "UNKNOWN"
        metadata = {"receipt_id": original.key_id.hex(), "state": state}
        problems.append(Refusal(Reason.RECEIPT_STATE, "the original was not sold", metadata))
        if not closed:
            raise problems[0]
        return None
    earlier = original.returned_after_each
    if closed:
        now, found = fitted(original.sale, original.returned, now)
        problems += [_refusal(original, one) for one in found]
        if not now:
            return None
    args = (original.rules, original.sale, original.facts, earlier, now, evaluator_of(context))
    settled = original.settlement
    is_plain = settled is not None and settled.is_plain
    decide = partial(
        decide_refund,
        *args,
        original.paid,
        settled=settled,
        paid_out=paid_out_by(original.return_records, is_plain),
        least=original.least,
        kept_money=original.kept_money,
    )
    decided = decide()
    if isinstance(decided, RefundRefusal):
        problems.append(_refusal(original, decided))
        if not closed:
            raise problems[-1]
        decided = decide(may_refuse=False)
    assert not isinstance(decided, RefundRefusal), "what fits is refused by promotions alone"
    return decided


def _card_parts(
    original: Original, decided: Refund, part: PointsPart
) -> tuple[tuple[CardPart, ...], PointsPart]:
    """What goes back to cards; at the plain price they have paid nothing after all."""
    settled = original.settlement
    if settled is not None and settled.is_plain:
        return (), part
    spent = [(b.owner.account_ids[0], one) for b in original.bearers for one in b.spendings]
    stated = [one.settled for one in original.statements]
    return card_parts(decided, part, spent, original.return_records, stated)


def _refusal(original: Original, refused: RefundRefusal) -> Refusal:
    facts = {"receipt_id": original.key_id.hex()}
    if refused.problem == RefundProblem.FORBIDDEN:
        promotion = original.rules.program.promotions[refused.number]
        facts["promotion_id"] = promotion.promotion_id
    else:
        facts["line_id"] = refused.line_id
    if refused.problem == RefundProblem.MORE_THAN_SOLD:
        facts["left_milli"] = str(refused.left_milli)
    text = _TEXTS[refused.problem].format_map(facts)
    return Refusal(_REASONS[refused.problem], text, facts)


def exception_of(problem: Refusal) -> ExceptionEntry:
    """What is noted of a fact where a request would be refused."""
    return ExceptionEntry(RETURN_EXCEPTION, f"{problem.reason.value}: {problem.message}")


def settle_accounts(
    context: Context,
    original: Original,
    claims: Sequence[Claim],
    comebacks: Mapping[int, Sequence[Comeback]],
    key_id: bytes,
    now_us: int,
    journals: dict[int, Journal] | None = None,
    *,
    is_fact: bool,
) -> tuple[Moved, ...]:
    """Settle on all accounts of a sale.

    Args:
        context: ports.
        original: of what something comes back.
        claims: what loses its ground, on any account.
        comebacks: what was spent and comes back, by the account that the sale found it on.
        key_id: of what posts it.
        now_us: the instant, UTC microseconds.
        journals: see `return_goods`.
        is_fact: of a bearer's account what baskets hold is taken too, as by a sale that is paid.
    """
    journals = {} if journals is None else journals
    moved = []
    for touched in original.accounts:
        home = touched.owner.account_ids[0]
        mine = [one for one in claims if one.granted.account_id == home]
        back = comebacks.get(home, ())
        if not mine and not back:
            moved.append(Moved.nothing(touched))
            continue
        journal = journals.setdefault(touched.owner.account_id, Journal(key_id))
        journal.learn(touched.lots)
        takes_held = is_fact and touched.is_bearer
        settled = settle_account(
            context, original, touched, journal, mine, back, now_us, takes_held
        )
        left = {lot.lot_id: lot.remaining_minor for lot in journal.lots()}
        holds = live_holds(touched.holdings.holds, now_us) if takes_held else ()
        moved.append(Moved(touched, journal.movement(), settled, uncovered(holds, left)))
    return tuple(moved)


def changes_of(returned: Sequence[Returned]) -> tuple[AccountChange, ...]:
    """What several returns of one commit change, once for each account."""
    found: dict[int, AccountChange] = {}
    for one in returned:
        for moved in one.moved:
            change = changed(moved, one.uncount, one.account_uses, one.turnover)
            before = found.get(change.account_id)
            if before is not None:
                # Their journal is one: the later movement has the earlier in it, on lots as they
                # were when the account was read first.
                change = msgspec.structs.replace(
                    change,
                    version=min(before.version, change.version),
                    movement=change.movement if change.movement.postings else before.movement,
                    purchases=before.purchases + change.purchases,
                    last_purchase_day=max(before.last_purchase_day, change.last_purchase_day),
                    released=tuple({*before.released, *change.released}),
                    uses=(*before.uses, *change.uses),
                    turnover=(*before.turnover, *change.turnover),
                )
            found[change.account_id] = change
    return tuple(one for one in found.values() if is_change(one))


def changed(
    moved: Moved,
    uncount: tuple[int, int] | None,
    uses: tuple[PromotionUse, ...],
    turnover: tuple[TurnoverChange, ...] = (),
) -> AccountChange:
    """The change of an account.

    Args:
        moved: on it.
        uncount: how the purchase is undone, see `uncounted`; None if it is not.
        uses: what comes back of the customer's limits.
        turnover: what comes off the customer's turnover.
    """
    owner, is_own = moved.touched.owner, not moved.touched.is_bearer
    purchases, last_day = uncount if uncount is not None and is_own else (0, UNCHANGED)
    return AccountChange(
        owner.account_id,
        owner.version,
        moved.movement,
        purchases,
        last_day,
        released=moved.released,
        uses=uses if is_own else (),
        turnover=turnover if is_own else (),
    )


def is_change(change: AccountChange) -> bool:
    """Whether anything changes."""
    moved = change.movement.postings or change.purchases
    return bool(moved or change.uses or change.turnover)


def _entry(
    original: Original,
    decided: Refund,
    part: PointsPart,
    claims: Sequence[Claim],
    comebacks: Sequence[Comeback],
    moved: Sequence[Moved],
    to_cards: Sequence[CardPart],
) -> ReturnEntry:
    record = ReturnRecord(
        tuple((one.line_id, one.quantity_milli, one.amount_minor) for one in decided.lines),
        part.money_minor,
        part.by_points_minor,
        tuple(
            (one.spending.promotion_id, one.spending.asset_code, one.amount_minor)
            for one in comebacks
        ),
        tuple((*one.granted.place, one.amount_minor) for one in claims),
        tuple(
            (one.touched.owner.account_ids[0], *pick)
            for one in moved
            for pick in one.settled.lapsed
        ),
        tuple((one.account_id, one.amount_minor) for one in to_cards),
        decided.least,
        decided.keeps_money,
        part.by_assets,
    )
    return ReturnEntry(original.key_id, len(original.returns), record)
