"""A promotion at work on a basket: the items and terms it works with, and what it proposes.

A benefit only proposes; `evaluate` caps, applies and claims, so that the worth of several
promotions can be compared before one of them takes effect.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from rewards.basket import Allocate, Item, share_capped
from rewards.gate import BASES, NUMBER_MAX
from rewards.limits import MILLI
from rewards.rounding import floor_div
from rewards.ruleset import CompiledPromotion
from rewards.trace import Condition

_AS_SENT = BASES["as_sent"]
_RUNNING = BASES["running"]
UNLIMITED = NUMBER_MAX


class Offer(Struct, frozen=True):
    """Pieces that may be added.

    Attributes:
        item: the same article on the receipt; None if there is none.
        quantity_milli: thousandths.
        amount_minor: what they cost, minor units.
        choice_group: the customer chooses one of the offers with the same number; 0 is no choice.
    """

    sku: str
    item: Item | None
    quantity_milli: int
    amount_minor: int = 0
    choice_group: int = 0


class Taken(Struct, frozen=True):
    """What a promotion takes of an item: thousandths, and minor units off them."""

    item: Item
    quantity_milli: int
    discount_minor: int


class Proposal(Struct, frozen=True):
    """What a benefit would do.

    Attributes:
        times: how often it fires; 0 is not at all.
        units: how often its cost is due.
        condition: what failed if it does not fire.
        missing: by how much, in the condition's unit.
        capped: a limit keeps it from firing more often.
    """

    times: int = 0
    taken: tuple[Taken, ...] = ()
    units: int = 0
    condition: Condition = Condition.NONE
    missing: int = 0
    offers: tuple[Offer, ...] = ()
    capped: bool = False

    @property
    def discount_minor(self) -> int:
        """Money off, minor units."""
        return sum(taken.discount_minor for taken in self.taken)


def failed(condition: Condition, missing: int = 0, offers: tuple[Offer, ...] = ()) -> Proposal:
    """Nothing, and why."""
    return Proposal(0, (), 0, condition, missing, offers)


class Deal(Struct, frozen=True):
    """One price benefit of a promotion with what it may work on.

    Attributes:
        items: those of the promotion's set that it may lower, in canonical order.
        parts: those of each other set that the benefit speaks of.
        times_max: how often it may fire.
        units_max: how often its cost can be paid.
        repeats_max: how often what is given once a receipt may be given.
        place: which of the promotion's benefits it is.
        can_add: the till can add a piece; `zero_price`: also for nothing.
        prices: prices of lists by (list code, sku), minor units a unit.
    """

    promotion: CompiledPromotion
    number: int
    items: tuple[Item, ...]
    parts: tuple[tuple[Item, ...], ...]
    times_max: int
    units_max: int
    repeats_max: int
    place: int
    can_add: bool
    zero_price: bool
    prices: Mapping[tuple[str, str], int]
    allocate: Allocate

    def open_milli(self, item: Item) -> int:
        """How much of an item it may work on."""
        return item.quantity_milli if self.promotion.stackable else item.open_milli

    def price_minor(self, item: Item, quantity_milli: int, skip_milli: int = 0) -> int:
        """Price of some of the pieces it may work on, minor units.

        Prices of pieces of one item differ by at most one unit and sum to the item's amount.

        Args:
            item: one that it may lower.
            quantity_milli: 0 to what it may work on.
            skip_milli: how much of that to pass over first.
        """
        total_minor = self._base_minor(item)
        if quantity_milli == item.quantity_milli:
            return total_minor
        if not self.promotion.stackable and self.promotion.base == _RUNNING:
            return item.open_price_minor(quantity_milli, skip_milli)
        before = item.quantity_milli - self.open_milli(item) + skip_milli
        price_before = floor_div(total_minor * before, item.quantity_milli)
        upto = floor_div(total_minor * (before + quantity_milli), item.quantity_milli)
        return upto - price_before

    def _base_minor(self, item: Item) -> int:
        if self.promotion.base == _AS_SENT:
            return item.sent_minor
        if self.promotion.base == _RUNNING:
            return item.amount_minor if self.promotion.stackable else item.open_minor
        return item.start_minor

    def price_rank(self, item: Item) -> int:
        """Price of a unit in thousandths of a minor unit, for comparing only."""
        milli = item.quantity_milli
        if not self.promotion.stackable and self.promotion.base == _RUNNING:
            milli = item.open_milli
        return floor_div(self._base_minor(item) * MILLI * MILLI, milli)

    def room_minor(self, item: Item, price_minor: int) -> int:
        """How much of a price the item's floor lets go, minor units."""
        return min(price_minor, item.room_minor)

    @property
    def count_max(self) -> int:
        """How often it may fire and be paid for."""
        return min(self.times_max, self.units_max)

    def share(
        self, total_minor: int, taken: Sequence[tuple[Item, int]], prices: Sequence[int]
    ) -> tuple[Taken, ...]:
        """Share a discount over quantities of items in proportion to their prices.

        What an item's floor holds back goes to the others; what none can take is not given.
        """
        items = [item for item, _ in taken]
        rooms = [self.room_minor(item, price) for item, price in zip(items, prices, strict=True)]
        total_minor = min(total_minor, sum(rooms))
        parts = share_capped(total_minor, prices, rooms, self.allocate)
        return tuple(
            Taken(item, milli, part) for (item, milli), part in zip(taken, parts, strict=True)
        )


def together(proposals: Sequence[Proposal]) -> Proposal:
    """Several benefits of one promotion at once: discounts of an item add up to its room."""
    offers = tuple(offer for proposal in proposals for offer in proposal.offers)
    fired = [proposal for proposal in proposals if proposal.times]
    if not fired:
        return failed(proposals[0].condition, proposals[0].missing, offers)
    taken: dict[int, Taken] = {}
    for proposal in fired:
        for one in proposal.taken:
            own = taken.get(id(one.item), Taken(one.item, 0, 0))
            discount_minor = min(one.item.room_minor, own.discount_minor + one.discount_minor)
            milli = max(own.quantity_milli, one.quantity_milli)
            taken[id(one.item)] = Taken(one.item, milli, discount_minor)
    return Proposal(
        max(proposal.times for proposal in fired),
        tuple(taken.values()),
        max(proposal.units for proposal in fired),
        offers=offers,
        capped=any(proposal.capped for proposal in fired),
    )


def cut_down(proposal: Proposal, cap_minor: int, allocate: Allocate) -> Proposal:
    """Cut what a proposal takes off down to a cap; its cost is due in proportion, rounded up.

    Args:
        proposal: one that takes off more than the cap.
        cap_minor: minor units, 0 or more.
        allocate: shares amounts exactly.
    """
    discounts = [one.discount_minor for one in proposal.taken]
    parts = share_capped(cap_minor, discounts, discounts, allocate)
    taken = tuple(
        Taken(one.item, one.quantity_milli, part)
        for one, part in zip(proposal.taken, parts, strict=True)
        if part or not one.discount_minor
    )
    units = -floor_div(-proposal.units * cap_minor, sum(discounts))
    return Proposal(proposal.times, taken, units, offers=proposal.offers, capped=True)
