"""What a customer spends of their own assets on a receipt: how much may be, and what it pays.

A pure function of rules, sale, facts and what the account holds. What is decided stands in the
facts of the sale (`Facts.spends`), and `as_sold` gives the same evaluation from them again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from rewards.basket import Item
from rewards.earn_bound import trimmed
from rewards.evaluate import Evaluated
from rewards.facts import CustomerState, Facts, Spent
from rewards.ledger import NO_HOLDINGS, Holdings
from rewards.payable import Outcomes, Room, items_of, place, rooms_of
from rewards.picking import usable_minor
from rewards.quota import period_name
from rewards.rounding import floor_div, share_bp
from rewards.ruleset import CompiledProgram, CompiledSpendRule, ProgramRules
from rewards.runs import less_spent
from rewards.sale import LineAction, Sale, Tender, TenderKind

Evaluator = Callable[[ProgramRules, Sale, Facts], Evaluated]
"""Says what the rules make of a receipt: the kernel, or its reference twin."""
ROUNDS_MAX = 8
"""Evaluations until what is spent fits what is evaluated with it."""
PLACINGS_MAX = 64
"""Attempts to place an amount on lines that cannot be split."""
_PLANNED = 1


class Purse(Struct, frozen=True):
    """What an account can pay with, as read at one version of it.

    Attributes:
        used: by (what is counted, period) how much of it, minor units of the asset.
        at_us: the instant, UTC microseconds.
        hold_id: of the basket: what it holds is free for it.
    """

    holdings: Holdings = NO_HOLDINGS
    used: Mapping[tuple[str, str], int] = {}
    at_us: int = 0
    hold_id: bytes = b""

    def usable_minor(self, asset_code: str) -> int:
        """What is active, not expired and not held by others, minor units."""
        return usable_minor(self.holdings, asset_code, self.at_us, self.hold_id)


EMPTY_PURSE = Purse()


class Wish(NamedTuple):
    """What is to be spent of an asset.

    Attributes:
        amount_minor: minor units of the asset.
        is_automatic: nobody asked for it: less is no shortfall.
        tender_minor: what of it stands among the tenders of the sale, minor units of money.
    """

    asset_code: str
    amount_minor: int
    is_automatic: bool = False
    tender_minor: int = 0


class Offer(NamedTuple):
    """What may be spent of an asset on a receipt, minor units of it.

    Attributes:
        most_minor: 0 if nothing may.
        most_value_minor: what that pays, minor units of money.
        least_minor: at least this, if anything.
    """

    chosen: CompiledSpendRule
    usable_minor: int
    most_minor: int
    most_value_minor: int
    least_minor: int


class Shortfall(NamedTuple):
    """A wish that the rules, or what is there, do not cover; minor units of the asset.

    Attributes:
        asked_minor: without a rule what was tendered, minor units of money.
        no_rule: it is a tender, and the program has no rule by which the asset is one.
    """

    asset_code: str
    asked_minor: int
    most_minor: int
    no_rule: bool = False


class SpendDecision(NamedTuple):
    """A receipt with what is spent on it.

    Attributes:
        evaluation: with what is spent taken off its lines, and rewards for the rest alone.
        facts: with what is spent.
        offers: what may be spent, whether it is or not.
        short: wishes that are not covered; of a fact they are spent all the same.
    """

    evaluation: Evaluated
    facts: Facts
    offers: tuple[Offer, ...] = ()
    short: tuple[Shortfall, ...] = ()


def spend_use_id(asset_code: str) -> str:
    """Under what an account counts what it spends of an asset; no promotion is called so."""
    return f"spend:{asset_code}"


def fitting_rules(program: CompiledProgram, facts: Facts) -> tuple[CompiledSpendRule, ...]:
    """Of each asset the first rule that fits store and customer; none for who may not spend."""
    if not program.spend_rules or facts.customer.state != CustomerState.ACTIVE:
        return ()
    found: dict[str, CompiledSpendRule] = {}
    for one in program.spend_rules:
        if _fits(one, facts):
            found.setdefault(one.rule.asset_code, one)
    return tuple(found.values())


def _fits(one: CompiledSpendRule, facts: Facts) -> bool:
    in_zone = not one.zones or bool(one.zones & facts.store.zones)
    return in_zone and (not one.segments or bool(one.segments & facts.customer.segments))


def automatic_wishes(program: CompiledProgram, facts: Facts) -> tuple[Wish, ...]:
    """What is spent without being asked for: all that is there, where a rule says so."""
    return tuple(
        [
            Wish(one.rule.asset_code, 10**18, is_automatic=True)
            for one in fitting_rules(program, facts)
            if one.rule.automatic
        ]
    )


def tender_wishes(program: CompiledProgram, sale: Sale) -> tuple[Wish, ...]:
    """What the POINTS tenders of a sale ask for; of an asset without a tender rule 0 of it."""
    if not sale.tenders:
        return ()
    asked: dict[str, int] = {}
    for tender in sale.tenders:
        if tender.kind == TenderKind.POINTS and tender.amount_minor:
            code = tender.asset_code or _default_asset(program)
            asked[code] = asked.get(code, 0) + tender.amount_minor
    return tuple([_tender_wish(program, code, minor) for code, minor in sorted(asked.items())])


def _default_asset(program: CompiledProgram) -> str:
    codes = [one.rule.asset_code for one in program.spend_rules if one.rule.mode == "tender"]
    return codes[0] if codes else ""


def _tender_wish(program: CompiledProgram, asset_code: str, tender_minor: int) -> Wish:
    found = _rules_of(program, asset_code, "tender")
    if not found:
        return Wish(asset_code, 0, tender_minor=tender_minor)
    rule = found[0].rule
    steps = -floor_div(-tender_minor, rule.value_minor)
    return Wish(asset_code, steps * rule.step_minor, tender_minor=tender_minor)


def _rules_of(program: CompiledProgram, asset_code: str, mode: str) -> list[CompiledSpendRule]:
    rules = program.spend_rules
    return [one for one in rules if (one.rule.asset_code, one.rule.mode) == (asset_code, mode)]


def decide_spending(
    rules: ProgramRules,
    sale: Sale,
    facts: Facts,
    wishes: Sequence[Wish],
    purse: Purse,
    evaluate: Evaluator,
    is_fact: bool = False,
) -> SpendDecision:
    """Decide a receipt with what is spent on it.

    Args:
        rules: the chain's rules.
        sale: what was scanned.
        facts: everything else, nothing spent yet.
        wishes: at most one an asset.
        purse: what the account holds.
        evaluate: the kernel or the reference.
        is_fact: it is paid: what was asked for is spent as far as lines can take it, whatever the
            rules say.

    Returns:
        The evaluation, what may be spent, and what of the wishes is not covered.
    """
    plain = evaluate(rules, sale, facts)
    fitting = fitting_rules(rules.program, facts)
    if not fitting and not wishes:
        return SpendDecision(bounded(plain, facts), facts)
    till = _Till(rules, sale, facts, purse, items_of(rules, sale, facts))
    offers = tuple([till.offer(one, plain) for one in fitting])
    spends = _settled(till, fitting, wishes, plain, evaluate) if wishes else ()
    short = _shortfalls(wishes, spends, offers)
    if is_fact and short:
        spends = till.forced(_asked_for(wishes, spends), plain)
    if not spends:
        return SpendDecision(bounded(plain, facts), facts, offers, short)
    facts = replace(facts, spends=spends)
    return SpendDecision(as_sold(rules, sale, facts, evaluate), facts, offers, short)


def as_sold(rules: ProgramRules, sale: Sale, facts: Facts, evaluate: Evaluator) -> Evaluated:
    """Evaluate a receipt with what its facts say was spent on it.

    Args:
        rules: the chain's rules at the version of the sale.
        sale: what was scanned.
        facts: with spends and bounds, as stored.
        evaluate: the kernel or the reference.
    """
    evaluation = evaluate(rules, paid_with(sale, facts.spends), facts)
    discounts = [one for one in facts.spends if not one.is_tender]
    if discounts:
        items = items_of(rules, sale, facts)
        outcomes: Outcomes = evaluation.outcomes
        for spent in discounts:
            chosen = rules.program.spend_rules[spent.rule]
            rooms = rooms_of(rules, chosen, sale, items, outcomes)
            outcomes = _lowered(sale, outcomes, spent, rooms)
        evaluation = replace(evaluation.raised(), outcomes=tuple(outcomes))
    return bounded(evaluation, facts)


def paid_with(sale: Sale, spends: Sequence[Spent]) -> Sale:
    """The sale with a tender for all that is spent and has none: rewards are for the rest."""
    has_own = any(tender.kind == TenderKind.POINTS for tender in sale.tenders)
    added = tuple(
        [
            Tender(TenderKind.POINTS, _PLANNED, one.value_minor, "", "", 0, one.asset_code)
            for one in spends
            if not (one.is_tender and has_own)
        ]
    )
    return replace(sale, tenders=(*sale.tenders, *added)) if added else sale


def bounded(evaluation: Evaluated, facts: Facts) -> Evaluated:
    """An evaluation with no more earned than the facts leave."""
    return trimmed(evaluation, facts) if facts.earn_left else evaluation


def _lowered(sale: Sale, outcomes: Outcomes, spent: Spent, rooms: Sequence[Room]) -> Outcomes:
    after = list(outcomes)
    for room, part in zip(rooms, place(spent.value_minor, rooms), strict=True):
        outcome = after[room.position]
        if part and outcome is not None:
            line = sale.lines[room.position]
            after[room.position] = less_spent(line, outcome, spent.asset_code, part)
    return after


def _settled(
    till: "_Till",
    fitting: Sequence[CompiledSpendRule],
    wishes: Sequence[Wish],
    plain: Evaluated,
    evaluate: Evaluator,
) -> tuple[Spent, ...]:
    """What is spent so that it also fits the receipt as it is evaluated with it."""
    spends = till.choose(fitting, wishes, plain)
    for _ in range(ROUNDS_MAX):
        if not spends:
            return ()
        again = evaluate(till.rules, paid_with(till.sale, spends), till.facts)
        upto = {one.asset_code: one.amount_minor for one in spends}
        fewer = [
            wish._replace(amount_minor=min(wish.amount_minor, upto.get(wish.asset_code, 0)))
            for wish in wishes
        ]
        fitted = till.choose(fitting, fewer, again)
        if fitted == spends:
            return spends
        spends = fitted
    return ()


def _asked_for(wishes: Sequence[Wish], spends: Sequence[Spent]) -> list[Wish]:
    """Wishes as a fact has spent them: nobody asked for what goes by itself, so it owes nothing."""
    amounts = {one.asset_code: one.amount_minor for one in spends}
    return [
        wish._replace(amount_minor=amounts.get(wish.asset_code, 0)) if wish.is_automatic else wish
        for wish in wishes
    ]


def _shortfalls(
    wishes: Sequence[Wish], spends: Sequence[Spent], offers: Sequence[Offer]
) -> tuple[Shortfall, ...]:
    amounts = {one.asset_code: (one.amount_minor, one.value_minor) for one in spends}
    most = {one.chosen.rule.asset_code: one.most_minor for one in offers}
    found = []
    for wish in wishes:
        amount_minor, value_minor = amounts.get(wish.asset_code, (0, 0))
        is_whole = not wish.tender_minor or value_minor == wish.tender_minor
        if not wish.is_automatic and (amount_minor < wish.amount_minor or not is_whole):
            no_rule = bool(wish.tender_minor) and not wish.amount_minor
            asked_minor = wish.tender_minor if no_rule else wish.amount_minor
            most_minor = 0 if no_rule else most.get(wish.asset_code, 0)
            found.append(Shortfall(wish.asset_code, asked_minor, most_minor, no_rule))
    return tuple(found)


class _Till(NamedTuple):
    """A receipt at which something may be spent."""

    rules: ProgramRules
    sale: Sale
    facts: Facts
    purse: Purse
    items: list[Item]

    def offer(self, chosen: CompiledSpendRule, plain: Evaluated) -> Offer:
        """What may be spent by a rule if nothing else is."""
        rule = chosen.rule
        rooms = self._rooms(chosen, plain.outcomes)
        steps = self._steps(
            chosen, self._free_minor(chosen, plain), rooms, self._to_pay(plain.outcomes)
        )
        usable = self.purse.usable_minor(rule.asset_code)
        least = _least_minor(chosen)
        return Offer(chosen, usable, steps * rule.step_minor, steps * rule.value_minor, least)

    def choose(
        self, fitting: Sequence[CompiledSpendRule], wishes: Sequence[Wish], evaluation: Evaluated
    ) -> tuple[Spent, ...]:
        """What of the wishes may be spent: discounts first, each on what those before it leave."""
        asked = {wish.asset_code: wish for wish in wishes}
        outcomes: Outcomes = evaluation.outcomes
        found: list[Spent] = []
        tendered_minor = 0
        for chosen in sorted(fitting, key=lambda one: one.rule.mode == "tender"):
            wish = asked.get(chosen.rule.asset_code)
            if wish is None or bool(wish.tender_minor) > (chosen.rule.mode == "tender"):
                continue
            upto_minor = min(wish.amount_minor, self._free_minor(chosen, evaluation))
            rooms = self._rooms(chosen, outcomes)
            left_minor = self._to_pay(outcomes) - tendered_minor
            steps = self._steps(chosen, upto_minor, rooms, left_minor)
            if not steps:
                continue
            spent = self._spent(chosen, steps)
            found.append(spent)
            if spent.is_tender:
                tendered_minor += spent.value_minor
            else:
                outcomes = _lowered(self.sale, outcomes, spent, rooms)
        return tuple(found)

    def forced(self, wishes: Sequence[Wish], plain: Evaluated) -> tuple[Spent, ...]:
        """What was spent of the wishes, whatever the rules say; a discount as lines take it."""
        outcomes: Outcomes = plain.outcomes
        found: list[Spent] = []
        for wish in sorted(wishes, key=lambda wish: bool(wish.tender_minor)):
            chosen = self._any_rule(wish)
            if chosen is None:
                continue
            rule = chosen.rule
            if wish.tender_minor:
                spent = self._spent(chosen, floor_div(wish.amount_minor, rule.step_minor))
                found.append(replace(spent, value_minor=wish.tender_minor))
                continue
            rooms = self._rooms(chosen, outcomes)
            steps = self._placed(chosen, floor_div(wish.amount_minor, rule.step_minor), rooms)
            if steps:
                spent = self._spent(chosen, steps)
                found.append(spent)
                outcomes = _lowered(self.sale, outcomes, spent, rooms)
        return tuple(found)

    def _any_rule(self, wish: Wish) -> CompiledSpendRule | None:
        """The rule by which a fact was spent: one that fits, or else any of its kind."""
        mode = "tender" if wish.tender_minor else "discount"
        found = _rules_of(self.rules.program, wish.asset_code, mode)
        fitting = [one for one in found if _fits(one, self.facts)]
        return next(iter([*fitting, *found]), None)

    def _spent(self, chosen: CompiledSpendRule, steps: int) -> Spent:
        rule = chosen.rule
        return Spent(
            rule.asset_code,
            steps * rule.step_minor,
            steps * rule.value_minor,
            rule.mode == "tender",
            self.rules.program.spend_rules.index(chosen),
        )

    def _rooms(self, chosen: CompiledSpendRule, outcomes: Outcomes) -> list[Room]:
        return rooms_of(self.rules, chosen, self.sale, self.items, outcomes)

    def _free_minor(self, chosen: CompiledSpendRule, evaluation: Evaluated) -> int:
        """What of the asset is free for it: without costs of promotions, within its period."""
        code = chosen.rule.asset_code
        free_minor = self.purse.usable_minor(code) - self._costs_minor(code, evaluation)
        most_minor = chosen.rule.customer_max_minor
        if most_minor:
            period = period_name(chosen.rule.customer_period, self.facts.store.local_day)
            used_minor = self.purse.used.get((spend_use_id(code), period), 0)
            free_minor = min(free_minor, most_minor - used_minor)
        return max(0, free_minor)

    def _costs_minor(self, asset_code: str, evaluation: Evaluated) -> int:
        """What promotions take of what the account has; some may take what they give first."""
        own_minor = early_minor = 0
        for spend in evaluation.spends:
            if spend.asset_code == asset_code:
                cost = self.rules.program.promotions[spend.number].cost
                if cost is not None and cost.with_earned:
                    early_minor += spend.amount_minor
                else:
                    own_minor += spend.amount_minor
        earned = [g.amount_minor for g in evaluation.grants if g.asset_code == asset_code]
        return own_minor + max(0, early_minor - sum(earned))

    def _steps(
        self, chosen: CompiledSpendRule, upto_minor: int, rooms: Sequence[Room], left_minor: int
    ) -> int:
        """How many steps may be spent of an amount, where so much money is left to pay."""
        rule = chosen.rule
        price_minor = sum([room.price_minor for room in rooms])
        cap_minor = min(share_bp(price_minor, rule.share_max_bp, "down"), max(0, left_minor))
        steps = min(floor_div(upto_minor, rule.step_minor), floor_div(cap_minor, rule.value_minor))
        steps = self._placed(chosen, steps, rooms)
        return steps if steps * rule.step_minor >= _least_minor(chosen) else 0

    def _to_pay(self, outcomes: Outcomes) -> int:
        """What is to be paid for the receipt; what comes back on it counts against it."""
        pairs = zip(self.sale.lines, outcomes, strict=True)
        return sum(
            [
                -one.amount_minor if line.action == LineAction.RETURN else one.amount_minor
                for line, one in pairs
                if one is not None
            ]
        )

    def _placed(self, chosen: CompiledSpendRule, steps: int, rooms: Sequence[Room]) -> int:
        """The most steps up to a number that lines take exactly."""
        value_minor = chosen.rule.value_minor
        for _ in range(PLACINGS_MAX):
            placed_minor = sum(place(steps * value_minor, rooms))
            if placed_minor == steps * value_minor:
                return steps
            steps = floor_div(placed_minor, value_minor)
        return 0


def _least_minor(chosen: CompiledSpendRule) -> int:
    rule = chosen.rule
    return max(1, -floor_div(-rule.minimum_minor, rule.step_minor)) * rule.step_minor
