"""What a till did not give of what was decided, and what the customer gets in its stead.

Each promotion's offline policy says what becomes of its discount: points, a deferred discount, or
nothing. What was to be spent on a line and was not given stays with the customer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rewards.coupon_use import coupons_used
from rewards.earning import funding_of
from rewards.evaluate import Evaluated
from rewards.facts import AssetWindow, Facts
from rewards.gate import series_token
from rewards.instrument import series_of
from rewards.journal import Journal
from rewards.outcome import Instead
from rewards.reading import EARNING_STATES
from rewards.rewarding import value_micros_of
from rewards.rounding import floor_div
from rewards.ruleset import CompiledProgram, ProgramRules
from rewards.runs import not_taken
from rewards.sale import LineAction, Outcome, OutcomeKind, Sale
from rewards.settling import Claim, GrantedLot, ReturnRecord, summed
from rewards.spending import Wish

_MICROS = 1_000_000
_KINDS = {"points": "points", "deferred_discount": "deferred_discount"}


class Undelivered(NamedTuple):
    """What was decided and not given, minor units of money.

    Attributes:
        discounts: by (number of the promotion, line_id).
        spent: by asset, of what the customer's assets were to pay of lines.
        below: lines that were sold for less than was decided.
    """

    discounts: Mapping[tuple[int, str], int]
    spent: Mapping[str, int]
    below: tuple[str, ...]

    @property
    def by_promotion(self) -> dict[int, int]:
        """All of each promotion's."""
        found: dict[int, int] = {}
        for (number, _), minor in self.discounts.items():
            found[number] = found.get(number, 0) + minor
        return found


def undelivered(sale: Sale, sold: Evaluated, outcome: Outcome) -> Undelivered:
    """Hold what a till sold against what was decided.

    Args:
        sale: as it was scanned.
        sold: as it was decided.
        outcome: PLAIN or OTHER; a line that it does not name was sold as it was sent.
    """
    stated = dict(outcome.lines) if outcome.kind == OutcomeKind.OTHER else {}
    discounts: dict[tuple[int, str], int] = {}
    spent: dict[str, int] = {}
    below = []
    for line, decided in zip(sale.lines, sold.outcomes, strict=True):
        if decided is None or line.action == LineAction.RETURN:
            continue
        line_id = line.line_id
        missing_minor = stated.get(line_id, line.amount_minor) - decided.amount_minor
        if missing_minor < 0:
            below.append(line_id)
        if missing_minor <= 0:
            continue
        for asset_code, part_minor in not_taken(decided, decided.amount_minor + missing_minor):
            missing_minor -= part_minor
            spent[asset_code] = spent.get(asset_code, 0) + part_minor
        # What came last was lost first.
        for effect in reversed(decided.adjustments):
            part_minor = min(missing_minor, -effect.amount_minor)
            if part_minor:
                missing_minor -= part_minor
                key = effect.number, line_id
                discounts[key] = discounts.get(key, 0) + part_minor
    return Undelivered(
        discounts, {key: minor for key, minor in spent.items() if minor}, tuple(below)
    )


def delivered_wishes(
    wishes: Iterable[Wish], program: CompiledProgram, sale: Sale, sold: Evaluated, outcome: Outcome
) -> tuple[Wish, ...]:
    """What a till spent as a discount: as far as it sold below what promotions made of lines.

    Args:
        wishes: what its quote had said, tenders among them, which stand.
        program: its rules say what a step is worth.
        sale: as it was scanned.
        sold: as decided without anything spent.
        outcome: OTHER.
    """
    stated = dict(outcome.lines)
    room_minor = sum(
        [
            max(0, decided.price_minor - stated.get(line.line_id, line.amount_minor))
            for line, decided in zip(sale.lines, sold.outcomes, strict=True)
            if decided is not None and line.action != LineAction.RETURN
        ]
    )
    found = []
    for wish in wishes:
        if wish.tender_minor:
            found.append(wish)
            continue
        rules = [one.rule for one in program.spend_rules]
        rule = next((one for one in rules if one.asset_code == wish.asset_code), None)
        if rule is None:
            continue
        steps = min(
            floor_div(wish.amount_minor, rule.step_minor), floor_div(room_minor, rule.value_minor)
        )
        room_minor -= steps * rule.value_minor
        if steps:
            found.append(wish._replace(amount_minor=steps * rule.step_minor))
    return tuple(found)


def bought(
    rules: ProgramRules, sale: Sale, facts: Facts, sold: Evaluated, missing: Undelivered
) -> tuple[frozenset[int], tuple[tuple[int, bytes], ...]]:
    """Promotions whose price comes back because nothing of their discount was given.

    A cost or a coupon that comes back buys the discount another day: it is not given otherwise too,
    and what else the promotion gave is taken back.

    Returns:
        Their numbers; and of the coupons that come back (account, lot).
    """
    program, minors = rules.program, missing.by_promotion
    whole: dict[int, int] = {}
    for decided in sold.outcomes:
        for effect in decided.adjustments if decided is not None else ():
            whole[effect.number] = whole.get(effect.number, 0) - effect.amount_minor
    ungiven = {n for n, minor in whole.items() if minor and minors.get(n, 0) == minor}
    costly = {n for n in ungiven if program.promotions[n].cost is not None}
    coupons = []
    used = coupons_used(program, sale, facts, sold)
    fired = {entry.number for entry in sold.trace if entry.times}
    for coupon in used:
        series = series_token(series_of(coupon.asset_code))
        asking = {
            n for n in fired for gate in program.promotions[n].token_gates if series in gate.tokens
        }
        if asking & whole.keys() and (asking & whole.keys()) <= ungiven:
            coupons.append((coupon.account_id, coupon.lot_id))
            costly |= asking
    return frozenset(costly), tuple(coupons)


def without_price(
    rules: ProgramRules, sale: Sale, facts: Facts, sold: Evaluated, outcome: Outcome
) -> Facts | None:
    """Facts by which nothing is charged for discounts of which a till gave nothing.

    Args:
        rules: the chain's.
        sale: as it was scanned.
        facts: by which it was decided.
        sold: as it was decided.
        outcome: OTHER.

    Returns:
        The coupons that were used for them are not there any more, and nothing of the assets that
        they cost, unless another promotion that was given was paid in the same; None if nothing is
        charged for them.
    """
    undone, coupons = bought(rules, sale, facts, sold, undelivered(sale, sold, outcome))
    given = {one.asset_code for one in sold.spends if one.number not in undone}
    free = {one.asset_code for one in sold.spends if one.number in undone} - given
    if not free and not coupons:
        return None
    usable = {**dict(facts.customer.usable), **dict.fromkeys(free, 0)}
    left = [one for one in facts.coupons if (one.account_id, one.lot_id) not in coupons]
    customer = replace(facts.customer, usable=tuple(usable.items()))
    return replace(facts, coupons=tuple(left), customer=customer)


def instead_of(
    program: CompiledProgram,
    facts: Facts,
    discounts: Mapping[int, int],
    balances: Mapping[str, int],
) -> tuple[tuple[int, Instead], ...]:
    """What is given for discounts that were not, by number of the promotion.

    Args:
        program: with each promotion's policy.
        facts: of the sale; only a customer who earns gets anything.
        discounts: by promotion, minor units of money.
        balances: of the customer, minor units by asset: no bound of an asset is passed.
    """
    customer = facts.customer
    if not customer.account_id or customer.state not in EARNING_STATES:
        return ()
    found = []
    owned = dict(balances)
    assets = {policy: offline_asset(program, policy) for policy in _KINDS}
    for number in sorted(discounts):
        promotion = program.promotions[number]
        asset_code = assets.get(promotion.policy.offline, "")
        if not asset_code:
            continue
        amount_minor = worth_in(program, asset_code, discounts[number])
        most_minor = program.assets[asset_code].balance_max_minor
        if most_minor:
            amount_minor = min(amount_minor, max(0, most_minor - owned.get(asset_code, 0)))
        if amount_minor:
            owned[asset_code] = owned.get(asset_code, 0) + amount_minor
            found.append((number, Instead(promotion.promotion_id, asset_code, amount_minor)))
    return tuple(found)


def offline_asset(program: CompiledProgram, policy: str) -> str:
    """In what a policy gives: the program's first asset of its kind; empty is nothing."""
    kind = _KINDS.get(policy)
    codes = [asset.code for asset in program.assets.values() if asset.kind == kind]
    return codes[0] if codes else ""


def worth_in(program: CompiledProgram, asset_code: str, minor: int) -> int:
    """How much of an asset an amount of money is, rounded down; 0 if the asset has no value."""
    value_micros = value_micros_of(program, asset_code)
    if value_micros is None:
        return minor
    return floor_div(minor * _MICROS, value_micros) if value_micros else 0


def post_instead(
    journal: Journal,
    program: CompiledProgram,
    given: Iterable[tuple[int, Instead]],
    windows: Mapping[str, AssetWindow],
) -> None:
    """Grant what is given for discounts; whoever pays for the promotion pays for it.

    Args:
        journal: of the customer's account, after everything else that is granted there.
        program: the promotions that are numbered.
        given: 1 or more of each.
        windows: from when to when it counts, by asset.
    """
    for number, one in given:
        parts = funding_of(program.promotions[number].funding, one.amount_minor)
        journal.grant(
            one.promotion_id, one.asset_code, one.amount_minor, windows[one.asset_code], parts
        )


def instead_back(
    program: CompiledProgram,
    sale: Sale,
    missing: Undelivered,
    lots: Sequence[GrantedLot],
    given: Iterable[Instead],
    records: Iterable[ReturnRecord],
    before: Mapping[str, int],
    upto: Mapping[str, int],
) -> tuple[Claim, ...]:
    """What a refund takes back of what was given for discounts: their share of what came back.

    Args:
        program: the promotions that are numbered; one with the policy waive takes nothing back.
        sale: as it was scanned.
        missing: as it was settled.
        lots: of that; they follow what was given.
        given: in its order.
        records: of what was claimed of them before.
        before: what had come back when it was given, thousandths by line_id.
        upto: all that has come back with this refund, thousandths by line_id.
    """
    claimed = summed([one for record in records for one in record.claimed])
    numbers = {one.promotion_id: n for n, one in enumerate(program.promotions)}
    claims = []
    for one, granted in zip(given, lots, strict=True):
        number = numbers[one.promotion_id]
        if program.promotions[number].policy.refund == "waive":
            continue
        parts = {line: minor for (n, line), minor in missing.discounts.items() if n == number}
        gone_minor = _lost(sale, parts, before)
        lost_minor = _lost(sale, parts, upto) - gone_minor
        whole_minor = max(1, sum(parts.values()) - gone_minor)
        due_minor = floor_div(granted.granted_minor * lost_minor, whole_minor)
        before_minor = claimed.get(granted.place, 0)
        if due_minor > before_minor:
            claims.append(Claim(granted, due_minor - before_minor, before_minor))
    return tuple(claims)


def left_of(sale: Sale, missing: Undelivered, returned: Mapping[str, int]) -> dict[int, int]:
    """By promotion what was not given on what is left of a receipt, minor units of money."""
    found = {}
    for number, minor in missing.by_promotion.items():
        parts = {line: part for (n, line), part in missing.discounts.items() if n == number}
        left_minor = minor - _lost(sale, parts, returned)
        if left_minor:
            found[number] = left_minor
    return found


def _lost(sale: Sale, parts: Mapping[str, int], returned: Mapping[str, int]) -> int:
    """What of amounts on lines falls on what has come back, rounded down line by line."""
    whole = {line.line_id: line.quantity_milli for line in sale.lines}
    return sum(
        [floor_div(minor * returned.get(line, 0), whole[line]) for line, minor in parts.items()]
    )
