"""The course of one evaluation: what promotions find and leave while they run one after another.

The only mutable thing of the reference evaluation. `evaluate` leads it through the lanes.
"""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from rewards.basket import NOBODY, Allocate, Item
from rewards.benefit import (
    Benefit,
    BundlePrice,
    BuyGet,
    Gift,
    Message,
    PointsMultiplier,
    PriceBenefit,
)
from rewards.bundle_benefits import BUNDLE_BENEFITS
from rewards.deal import UNLIMITED, Deal, Offer, Proposal, cut_down, failed, together
from rewards.facts import CustomerState, Facts, Quota
from rewards.gate import AmountGate
from rewards.piece_benefits import PIECE_BENEFITS
from rewards.reading import (
    EARNING_STATES,
    Failure,
    amount_failure,
    coupon_tokens,
    number_failure,
    number_of,
    products_failure,
    token_failure,
    tokens_of,
)
from rewards.rewarding import (
    Earned,
    Grant,
    RewardScene,
    Share,
    amount_of,
    bases_of,
    grant_of,
    is_paid,
    needs_customer,
    payment_of,
)
from rewards.rounding import floor_div
from rewards.ruleset import EXCLUSIVE_LANE, REWARD_LANE, CompiledPromotion, ProgramRules
from rewards.sale import Sale
from rewards.set_benefits import SET_BENEFITS
from rewards.trace import Condition, TraceEntry, TraceOutcome

PRICE_BENEFITS = {**PIECE_BENEFITS, **SET_BENEFITS, **BUNDLE_BENEFITS}
"""What each benefit on prices proposes, by its type."""


class Spend(Struct, frozen=True):
    """What a promotion costs the customer: minor units of an asset."""

    number: int
    asset_code: str
    amount_minor: int


class Course:
    """Items, claims, balances and what has been given, in one run over the promotions.

    Attributes:
        items: in canonical order.
        exclusive_by: promotion that beats all others on the receipt; NOBODY is none.
        winners: promotion that took effect, by exclusive group.
        withheld: promotions whose whole discount the till could not sell, as it splits no line.
    """

    def __init__(
        self,
        rules: ProgramRules,
        sale: Sale,
        facts: Facts,
        items: list[Item],
        allocate: Allocate,
        withheld: Collection[int] = (),
    ) -> None:
        """Start before the first lane."""
        self.program = rules.program
        self.sale = sale
        self.facts = facts
        self.items = items
        self.allocate = allocate
        self.withheld = withheld
        self.tokens = tokens_of(rules.program, sale, facts)
        self.scene = RewardScene(rules.program, sale, facts)
        self.quotas = {quota.promotion_id: quota for quota in facts.quotas}
        self.prices = {(one.list_code, one.sku): one.price_minor for one in facts.prices}
        self.balances = {**dict(facts.customer.balances), **dict(facts.customer.usable)}
        self.lane = EXCLUSIVE_LANE
        self.exclusive_by = NOBODY
        self.winners: dict[int, int] = {}
        self.decided: dict[int, TraceEntry] = {}
        """What became of members of a group that ran before their own place."""
        self.trace: list[TraceEntry] = []
        self.offers: list[tuple[int, Offer]] = []
        self.earned: list[Earned] = []
        self.messages: list[tuple[int, int]] = []
        self.spends: list[Spend] = []
        self._given: dict[int, int] = {}
        """By promotion: money off and worth of rewards so far, minor units."""
        self._claimed: dict[tuple[str, int], int] = {}
        """By asset and item: who earned on it in the reward lane."""

    def enter_lane(self, lane: int) -> None:
        """Open all items for the next lane."""
        self.lane = lane
        for item in self.items:
            item.enter_lane()

    # --- whether it may fire ---------------------------------------------------------------------

    def failure(self, promotion: CompiledPromotion) -> Failure | None:
        """The first condition that does not hold, and by how much."""
        is_known = bool(self.facts.customer.account_id)
        for number_gate in promotion.number_gates:
            number = number_of(number_gate.name, self.facts)
            failure = number_failure(number_gate, number, is_known)
            if failure:
                return failure
        for token_gate in promotion.token_gates:
            failure = token_failure(token_gate, self.tokens)
            if failure:
                return failure
        items = self.known_items(promotion)
        for gate in promotion.basket_gates:
            if isinstance(gate, AmountGate):
                failure = amount_failure(gate, items, self.facts)
            else:
                failure = products_failure(gate, items)
            if failure:
                return failure
        return self._cost_failure(promotion)

    def known_items(self, promotion: CompiledPromotion) -> list[Item]:
        """The items that exist for a promotion: those of some classes not for coupons."""
        if not promotion.uses_coupon:
            return self.items
        return [item for item in self.items if not item.no_coupon]

    def _cost_failure(self, promotion: CompiledPromotion) -> Failure | None:
        if promotion.cost is None:
            return None
        if self.facts.customer.state != CustomerState.ACTIVE:
            return Condition.CUSTOMER, 0
        if self.units_max(promotion):
            return None
        return Condition.BALANCE, promotion.cost.amount_minor - self._balance(promotion)

    def _balance(self, promotion: CompiledPromotion) -> int:
        """What the customer can spend on the promotion, minor units of the cost's asset."""
        cost = promotion.cost
        assert cost is not None
        own = self.balances.get(cost.asset_code, 0)
        if cost.with_earned:
            grants = [one.grant for one in self.earned]
            own += sum(g.amount_minor for g in grants if g.asset_code == cost.asset_code)
        return max(0, own)

    def units_max(self, promotion: CompiledPromotion) -> int:
        """How often the customer can pay the promotion's cost."""
        if promotion.cost is None:
            return UNLIMITED
        return floor_div(self._balance(promotion), promotion.cost.amount_minor)

    def limit(self, promotion: CompiledPromotion) -> Condition | None:
        """The limit over many receipts that is used up."""
        if not promotion.has_quota:
            return None
        quota = self._quota(promotion)
        if quota.customer_times == 0:
            return Condition.CUSTOMER_LIMIT
        if quota.total_times == 0:
            return Condition.TOTAL_LIMIT
        return Condition.BUDGET if quota.total_minor == 0 else None

    def _left_minor(self, promotion: CompiledPromotion, number: int = NOBODY) -> int:
        """What a promotion may still give, minor units of money; -1 is without limit."""
        total_minor = self._quota(promotion).total_minor
        if total_minor < 0:
            return total_minor
        return max(0, total_minor - self._given.get(number, 0))

    def _quota(self, promotion: CompiledPromotion) -> Quota:
        return self.quotas.get(promotion.promotion_id) or Quota(promotion.promotion_id, 0, 0, 0)

    # --- prices ----------------------------------------------------------------------------------

    def touched(self, promotion: CompiledPromotion, sets: Sequence[int]) -> list[Item]:
        """Items of any of the sets that the promotion may know of."""
        return [
            item
            for item in self.known_items(promotion)
            if any(number in item.sets for number in sets)
        ]

    def usable(self, promotion: CompiledPromotion, items: Sequence[Item]) -> tuple[Item, ...]:
        """Those of some items that the promotion may lower."""
        return tuple(
            item
            for item in items
            if item.discountable
            and (promotion.on_stickers or not item.sticker)
            and item.closed_by == NOBODY
            and (promotion.stackable or item.open_milli)
        )

    def propose(self, number: int) -> Proposal:
        """What all price benefits of a promotion would do now."""
        promotion = self.program.promotions[number]
        proposals = [
            self._propose(number, promotion, place)
            for place, benefit in enumerate(promotion.gives)
            if isinstance(benefit, PriceBenefit)
        ]
        proposal = proposals[0] if len(proposals) == 1 else together(proposals)
        return self._within_limits(promotion, proposal)

    def _propose(self, number: int, promotion: CompiledPromotion, place: int) -> Proposal:
        deal, benefit = self.deal(number, place), promotion.gives[place]
        works_on = deal.items
        if isinstance(benefit, BundlePrice | BuyGet):
            works_on = tuple(item for part in deal.parts for item in part)
        if not works_on:
            return failed(Condition.FLOOR)
        proposal = PRICE_BENEFITS[type(benefit)](deal, benefit)
        if proposal.times and not proposal.discount_minor and not isinstance(benefit, Gift):
            return failed(Condition.FLOOR, offers=proposal.offers)
        return proposal

    def deal(self, number: int, place: int) -> Deal:
        """A price benefit of a promotion with what it may work on now."""
        promotion = self.program.promotions[number]
        parts = tuple(
            self.usable(promotion, self.touched(promotion, (part,)))
            for part in promotion.part_sets[place]
        )
        if isinstance(promotion.gives[place], Gift):
            parts = (self.usable(promotion, self.items),)
        units_max = self.units_max(promotion)
        times_max = promotion.limits.times_per_receipt or UNLIMITED
        repeats = promotion.cost is not None and promotion.cost.each
        can = self.sale.header.capabilities
        return Deal(
            promotion,
            number,
            self.usable(promotion, self.touched(promotion, (promotion.target,))),
            parts,
            times_max,
            units_max,
            min(units_max, times_max) if repeats else 1,
            place,
            can.add_piece,
            can.zero_price,
            self.prices,
            self.allocate,
        )

    def _within_limits(self, promotion: CompiledPromotion, proposal: Proposal) -> Proposal:
        """Cut what a proposal takes off down to the promotion's limits in money."""
        discount_minor = proposal.discount_minor
        cap_minor = promotion.limits.discount_max_minor or UNLIMITED
        if promotion.limits.bounds_money:
            left_minor = self._left_minor(promotion)
            if left_minor >= 0:
                if left_minor < discount_minor and promotion.limits.on_shortage == "refuse":
                    return failed(Condition.BUDGET)
                cap_minor = min(cap_minor, left_minor)
        if discount_minor <= cap_minor:
            return proposal
        return cut_down(proposal, cap_minor, self.allocate)

    def apply(self, number: int, proposal: Proposal) -> None:
        """Lower prices, claim pieces, take the cost, remember the offers."""
        promotion = self.program.promotions[number]
        for one in proposal.taken:
            if not promotion.stackable:
                one.item.claim(number, one.quantity_milli)
            if one.discount_minor:
                claims = not promotion.stackable
                one.item.lower(number, one.discount_minor, one.quantity_milli, claims)
                self._given[number] = self._given.get(number, 0) + one.discount_minor
                if promotion.exclusive == "items":
                    one.item.closed_by = number
        self.offers += [(number, offer) for offer in proposal.offers]
        if promotion.cost is not None and proposal.units:
            self.spend(number, promotion, proposal.units)

    def spend(self, number: int, promotion: CompiledPromotion, units: int) -> None:
        """Take a promotion's cost."""
        cost = promotion.cost
        assert cost is not None
        amount_minor = cost.amount_minor * units
        self.spends.append(Spend(number, cost.asset_code, amount_minor))
        left = self.balances.get(cost.asset_code, 0) - amount_minor
        self.balances[cost.asset_code] = left

    def nothing_open(self, number: int) -> TraceEntry:
        """Why there was nothing to lower: all was claimed before, or nothing may be lowered."""
        promotion = self.program.promotions[number]
        sets = {promotion.target}.union(*promotion.part_sets)
        touched = self.touched(promotion, sorted(sets))
        if not touched:
            return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, Condition.PRODUCTS)
        rivals = [
            max(item.claimed_by, item.closed_by)
            for item in touched
            if item.discountable and (promotion.on_stickers or not item.sticker)
        ]
        rival = max(rivals, default=NOBODY)
        if rival == NOBODY:
            return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, Condition.FLOOR)
        return TraceEntry(number, TraceOutcome.LOST, 0, rival)

    # --- rewards ---------------------------------------------------------------------------------

    def reward(self, number: int, shares: Sequence[Share]) -> TraceEntry:
        """Give a promotion's rewards on some items; say whether there was anything to give."""
        promotion = self.program.promotions[number]
        given, nothing, rival = 0, Condition.NOTHING_EARNS, NOBODY
        for place, benefit in enumerate(promotion.gives):
            if isinstance(benefit, PriceBenefit):
                continue
            if isinstance(benefit, Message):
                self.messages.append((number, place))
                given += 1
            elif needs_customer(benefit) and not self.earns():
                nothing = Condition.CUSTOMER
            else:
                free, lost_to = self._unclaimed(promotion, benefit, shares)
                rival = max(rival, lost_to)
                grant = self._grant(number, place, benefit, free)
                if grant is not None and not grant.amount_minor:
                    nothing = Condition.BUDGET
                elif grant is not None:
                    given += 1
        if given:
            return TraceEntry(number, TraceOutcome.FIRED, 1)
        if rival != NOBODY:
            return TraceEntry(number, TraceOutcome.LOST, 0, rival)
        cut = nothing == Condition.BUDGET
        outcome = TraceOutcome.LIMIT_REACHED if cut else TraceOutcome.FAILED
        return TraceEntry(number, outcome, 0, NOBODY, nothing)

    def worth_minor(self, number: int, shares: Sequence[Share]) -> int:
        """What a promotion's rewards would be worth now, minor units of money."""
        promotion = self.program.promotions[number]
        payment = payment_of(self.items, self.sale)
        worth = 0
        for place, benefit in enumerate(promotion.gives):
            if isinstance(benefit, PriceBenefit | Message) or not is_paid(shares):
                continue
            if not needs_customer(benefit) or self.earns():
                amount_minor = amount_of(benefit, shares, self.earned, payment)
                worth += grant_of(self.scene, number, place, benefit, amount_minor).value_minor
        return worth

    def earns(self) -> bool:
        """Whether there is a customer who may be given what is posted."""
        customer = self.facts.customer
        return bool(customer.account_id) and customer.state in EARNING_STATES

    def _unclaimed(
        self, promotion: CompiledPromotion, benefit: Benefit, shares: Sequence[Share]
    ) -> tuple[list[Share], int]:
        """The shares on which nobody has earned the asset yet, and who did if none is left."""
        asset_code = getattr(benefit, "asset_code", "")
        adds_on = promotion.stackable or isinstance(benefit, PointsMultiplier)
        if self.lane != REWARD_LANE or adds_on or not asset_code:
            return list(shares), NOBODY
        owners = {id(s.item): self._claimed.get((asset_code, id(s.item)), NOBODY) for s in shares}
        free = [share for share in shares if owners[id(share.item)] == NOBODY]
        if is_paid(free):
            return free, NOBODY
        return free, max(owners.values(), default=NOBODY)

    def _grant(
        self, number: int, place: int, benefit: Benefit, shares: list[Share]
    ) -> Grant | None:
        """Give a reward; None if it comes to nothing, of amount 0 if the budget leaves nothing."""
        if not is_paid(shares):
            return None
        payment = payment_of(self.items, self.sale)
        amount_minor = amount_of(benefit, shares, self.earned, payment)
        if not amount_minor:
            return None
        grant = grant_of(self.scene, number, place, benefit, amount_minor)
        grant = self._within_budget(grant)
        if not grant.amount_minor:
            return grant
        self.earned.append(Earned(grant, bases_of(shares)))
        self._given[number] = self._given.get(number, 0) + grant.value_minor
        promotion = self.program.promotions[number]
        adds_on = promotion.stackable or isinstance(benefit, PointsMultiplier)
        if self.lane == REWARD_LANE and not adds_on and grant.asset_code:
            for share in shares:
                self._claimed[grant.asset_code, id(share.item)] = number
        return grant

    def _within_budget(self, grant: Grant) -> Grant:
        """Cut a grant down to what is left of the promotion's budget in money."""
        promotion = self.program.promotions[grant.number]
        if not promotion.limits.bounds_money:
            return grant
        left_minor = self._left_minor(promotion, grant.number)
        if left_minor < 0 or grant.value_minor <= left_minor:
            return grant
        part = 0
        if promotion.limits.on_shortage == "part":
            part = floor_div(grant.amount_minor * left_minor, grant.value_minor)
        return msgspec.structs.replace(
            grant, amount_minor=part, value_minor=left_minor if part else 0
        )

    # --- coupons ---------------------------------------------------------------------------------

    def coupon_place(self, promotion: CompiledPromotion) -> int:
        """When the last of the promotion's coupons was shown; -1 if none was."""
        shown = coupon_tokens(self.program, self.sale, self.facts)
        wanted = [g.tokens for g in promotion.token_gates if g.condition == Condition.COUPON]
        places = [n for n, code in enumerate(shown) for tokens in wanted if code in tokens]
        return max(places, default=-1)
