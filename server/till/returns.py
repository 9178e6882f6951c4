"""RETURN lines of a sale (an exchange): settled in the commit of the sale, original by original."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from rewards.commit import (
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
from rewards.refusal import Reason, Refusal
from rewards.sale import Line, LineAction, ReceiptKey, Sale, key_id_of
from server.lookups import Seen, Wanted
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.evaluation import Scene
from server.till.goods_back import Returned, changes_of, exception_of, return_goods
from server.till.original import Original, origin_of, read_original, sold_key
from server.till.tiers import TurnoverChange

NO_ORIGINAL = (Reason.RECEIPT_NOT_FOUND, Reason.RECEIPT_STATE)
"""Why nothing can come back of a receipt."""


class ComingBack(Struct, frozen=True):
    """What comes back of one sale on another, as read.

    Attributes:
        lines: (line of the original, thousandths).
        amount_minor: what the till pays back for them.
        original: None if `problem` says why nothing of it can be settled.
    """

    key_id: bytes
    lines: tuple[tuple[str, int], ...]
    amount_minor: int
    original: Original | None
    problem: Refusal | None

    def came_back_by(self, key_ids: Collection[bytes]) -> bool:
        """Whether something of it has come back under one of some keys."""
        returned = self.original.returns if self.original is not None else ()
        return any(one.refund_key_id in key_ids for one in returned)


class Back(Struct, frozen=True):
    """What RETURN lines add to the commit of their sale.

    Attributes:
        returned: one for each original.
        accounts: besides those that the sale changes itself.
        purchases: by how much the count of the sale's customer changes.
        account_uses: what comes back of the limits of the sale's customer.
        turnover: what comes off the turnover of the sale's customer.
    """

    returned: tuple[Returned, ...] = ()
    keys: tuple[CommitKey, ...] = ()
    accounts: tuple[AccountChange, ...] = ()
    purchases: int = 0
    account_uses: tuple[PromotionUse, ...] = ()
    entries: tuple[ReturnEntry, ...] = ()
    budget_uses: tuple[BudgetUse, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()
    turnover: tuple[TurnoverChange, ...] = ()
    transfer_cuts: tuple[TransferCut, ...] = ()


NOTHING_BACK = Back()
_RETURN = LineAction.RETURN.value  # a member is looked up anew for every line


def wanted_keys(sale: Sale) -> tuple[bytes, ...]:
    """What to look up for the RETURN lines of a sale: keys of their originals, and of voids."""
    if not sale.has_returns:
        return ()
    originals = [key_id_of(key) for key in _by_original(sale)]
    return tuple(one for key_id in originals for one in (key_id, void_key_id_of(key_id)))


async def look_at(scene: Scene, seen: Seen, deadline_s: float) -> tuple[ComingBack, ...]:
    """Read the originals of the RETURN lines of a sale.

    Raises:
        Refusal: DEADLINE_PASSED, STORE_UNAVAILABLE.
    """
    sale, found = scene.sale, []
    for key, lines in _by_original(sale).items():
        key_id = key_id_of(key)
        parts = tuple((_origin_line(line), line.quantity_milli) for line in lines)
        amount_minor = sum([line.amount_minor for line in lines])
        original, problem = None, None
        try:
            _check_chain(key, sale)
            known = sold_key(seen, key_id)
            original = await read_original(scene.context, key, key_id, known, deadline_s)
        except Refusal as refusal:
            if refusal.reason not in NO_ORIGINAL:
                raise
            problem = refusal
        found.append(ComingBack(key_id, parts, amount_minor, original, problem))
    return tuple(found)


async def preview(scene: Scene, now_us: int, deadline_s: float) -> Back:
    """What RETURN lines would come to; at once if there are none, nothing if there is no time.

    Args:
        scene: an open receipt.
        now_us: the instant, UTC microseconds.
        deadline_s: the loop's time at which waiting ends.
    """
    if not _returns(scene.sale):
        return NOTHING_BACK
    try:
        wanted = Wanted(wanted_keys(scene.sale), ())
        seen = await scene.context.lookups.look_up(wanted, deadline_s)
        coming = await look_at(scene, seen, deadline_s)
    except (Refusal, TimeoutError):
        return NOTHING_BACK
    return settle(scene, coming, {}, NO_ACCOUNT, now_us, closed=True)


def settle(
    scene: Scene,
    coming: Iterable[ComingBack],
    journals: Mapping[int, Journal],
    account_id: int,
    now_us: int,
    closed: bool,
) -> Back:
    """Settle what comes back on a sale.

    Args:
        scene: the sale and its rules.
        coming: as read.
        journals: by account, of all that the sale changes: what moves there goes with the sale.
        account_id: of that customer; NO_ACCOUNT is none.
        now_us: the instant, UTC microseconds.
        closed: it is a fact: what is not possible is noted.

    Raises:
        Refusal: it is a request, and not possible.
    """
    problems = _without_original(scene)
    begun = {key: journal for key, journal in journals.items() if key != NO_ACCOUNT}
    returned: list[Returned] = []
    for one in coming:
        if one.problem is not None:
            problems.append(one.problem)
        if problems and not closed:
            raise problems[0]
        if one.original is not None:
            back = _returned(scene.context, one, one.original, begun, now_us, closed)
            returned.append(back)
            problems += _too_much(one, back)
    if problems and not closed:
        raise problems[0]
    if not returned and not problems:
        return NOTHING_BACK
    return _back(tuple(returned), account_id, journals, problems)


def change_of_assets(back: Back, account_id: int) -> dict[str, int]:
    """What returns change of the assets of one account, minor units, by code."""
    found: dict[str, int] = {}
    for one in back.returned:
        for moved in one.moved:
            if moved.touched.owner.account_id != account_id:
                continue
            for asset in moved.settled.assets:
                change_minor = asset.given_minor - asset.taken_minor - asset.owed_minor
                found[asset.asset_code] = found.get(asset.asset_code, 0) + change_minor
    return found


def _returned(
    context: Context,
    one: ComingBack,
    original: Original,
    journals: dict[int, Journal],
    now_us: int,
    closed: bool,
) -> Returned:
    now: dict[str, int] = {}
    for line_id, quantity_milli in one.lines:
        now[line_id] = now.get(line_id, 0) + quantity_milli
    # Lots that are made on an account must not be called as those of the sale on another one.
    key_id = original.turn_key.key_id
    return return_goods(context, original, now, key_id, now_us, closed, journals)


def _too_much(one: ComingBack, back: Returned) -> list[Refusal]:
    if one.amount_minor <= back.part.money_minor:
        return []
    text = f"{back.part.money_minor} are due for what comes back, not {one.amount_minor}"
    metadata = {
        "receipt_id": one.key_id.hex(),
        "due_minor": str(back.part.money_minor),
        "amount_minor": str(one.amount_minor),
    }
    return [Refusal(Reason.RETURN_AMOUNT, text, metadata)]


def _back(
    returned: tuple[Returned, ...],
    account_id: int,
    ours: Collection[int],
    problems: Iterable[Refusal],
) -> Back:
    changes = changes_of(returned)
    own = [one for one in changes if one.account_id == account_id]
    return Back(
        returned,
        tuple(key for one in returned for key in one.keys),
        tuple(one for one in changes if one.account_id not in ours),
        sum([one.purchases for one in own]),
        tuple(use for one in own for use in one.uses),
        tuple(entry for one in returned for entry in one.entries),
        tuple(use for one in returned for use in one.budget_uses),
        (
            *(entry for one in returned for entry in one.exceptions),
            *(exception_of(problem) for problem in problems),
        ),
        tuple(change for one in own for change in one.turnover),
        tuple(cut for one in returned for cut in one.transfer_cuts),
    )


def _without_original(scene: Scene) -> list[Refusal]:
    """Why RETURN lines that name no original are not taken; empty if they are."""
    alone = [line for line in _returns(scene.sale) if origin_of(line) is None]
    if not alone or scene.rules.program.returns.no_original == "pay":
        return []
    text = f"line {alone[0].line_id}: the program takes nothing back without its receipt"
    return [Refusal(Reason.ORIGINAL_REQUIRED, text, {"line_id": alone[0].line_id})]


def _returns(sale: Sale) -> list[Line]:
    if not sale.has_returns:
        return []
    return [one for one in sale.lines if one.action == _RETURN and not one.cancelled]


def _by_original(sale: Sale) -> dict[ReceiptKey, list[Line]]:
    found: dict[ReceiptKey, list[Line]] = {}
    for line in _returns(sale):
        origin = origin_of(line)
        if origin is not None:
            found.setdefault(origin[0], []).append(line)
    return found


def _origin_line(line: Line) -> str:
    origin = origin_of(line)
    assert origin is not None
    return origin[1]


def _check_chain(key: ReceiptKey, sale: Sale) -> None:
    if key.chain_id != sale.header.chain_id:
        text = "the original is of another chain"
        raise Refusal(Reason.RECEIPT_NOT_FOUND, text, {"receipt_id": key_id_of(key).hex()})
