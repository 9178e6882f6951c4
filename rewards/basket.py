"""A receipt as promotions work on it: items, their claims, and the way back to lines.

Lines of the same article at the same price are one item, so that splitting a line in two changes
nothing. Quantities stay runs: nothing here counts pieces one by one.
"""

from collections.abc import Callable, Sequence

from rewards.authored import ProductSet
from rewards.facts import OwnOffer
from rewards.limits import MILLI
from rewards.product import Product, SetMemo, fits_rest
from rewards.rounding import floor_div, round_half_up, share_bp
from rewards.ruleset import CompiledClass
from rewards.sale import Line, LineAction, LineKind, PriceSource, Unit

Allocate = Callable[[int, Sequence[int]], list[int]]
"""Shares a total over weights exactly: `rewards.allocate.allocate` or its compiled twin."""

_ItemKey = tuple[str, int, int, int, int, bool, bool, bool, str]
NOBODY = -1
_FREE_OF_RULES = (LineKind.GIFT_CARD, LineKind.DEPOSIT)


class Item:
    """Pieces of one article at one price, on one or more lines.

    Attributes:
        lines: positions of its lines in the sale, by line_id.
        sets: numbers of the product sets that it is in.
        sent_minor: amount as sent.
        start_minor: amount at the start of the lane.
        amount_minor: running amount, after the discounts so far.
        has_floor: there may be one above zero.
        floor_minor: the amount never goes below it.
        open_milli: quantity that no promotion of this lane has claimed.
        open_minor: running amount of that quantity.
        effects: (promotion number, discount in minor units, quantity in thousandths).
        claimed_by: promotion that claimed last in this lane; NOBODY is none.
        closed_by: promotion after which no other may lower it; NOBODY is none.
    """

    __slots__ = (
        "_zero_price",
        "amount_minor",
        "claimed_by",
        "closed_by",
        "counted",
        "discountable",
        "earns",
        "effects",
        "floor_bp",
        "floor_minor",
        "goods",
        "has_floor",
        "lines",
        "no_coupon",
        "open_milli",
        "open_minor",
        "product",
        "quantity_milli",
        "sent_minor",
        "sets",
        "sku",
        "start_minor",
        "sticker",
    )

    def __init__(self, line: Line, product: Product | None, zero_price: bool) -> None:
        """Start an item at its first line.

        Args:
            line: the line.
            product: its article, if the feed knows it.
            zero_price: the till can sell a piece at price zero.
        """
        self.sku = line.sku
        self.product = product
        self.counted = line.unit == Unit.PIECE
        self.goods = line.kind not in _FREE_OF_RULES
        self.sticker = line.price_source == PriceSource.STICKER
        self.discountable = self.goods and not line.no_discount
        self.earns = self.goods and not line.no_earn
        self.no_coupon = False
        self.has_floor = line.minimum_amount_minor > 0 or not zero_price
        self.floor_bp = 0
        self._zero_price = zero_price
        if product is not None:
            if product.no_discount:
                self.discountable = False
            if product.no_earn:
                self.earns = False
            if product.minimum_price_minor:
                self.has_floor = True
        self.lines: list[int] = []
        self.sets: frozenset[int] = frozenset()
        self.quantity_milli = 0
        self.sent_minor = 0
        self.start_minor = 0
        self.amount_minor = 0
        self.floor_minor = 0
        self.open_milli = 0
        self.open_minor = 0
        self.effects: list[tuple[int, int, int]] = []
        self.claimed_by = NOBODY
        self.closed_by = NOBODY

    def add(self, position: int, line: Line) -> None:
        """Take a line in."""
        self.lines.append(position)
        self.quantity_milli += line.quantity_milli
        self.sent_minor += line.amount_minor
        self.amount_minor += line.amount_minor

    def set_floor(self, lines: Sequence[Line]) -> None:
        """Work out the floor: the feed's and the class's for the whole, or what its lines' come to.

        Rounded once, so that splitting a line does not raise it.
        """
        feed_minor = min(self._feed_floor_minor(self.quantity_milli), self.amount_minor)
        class_minor = share_bp(self.amount_minor, self.floor_bp, "up")
        own_minor = sum([self.line_floor_minor(lines[position]) for position in self.lines])
        self.floor_minor = max(feed_minor, class_minor, own_minor)

    def line_floor_minor(self, line: Line) -> int:
        """What one of its lines never goes below: its own minimum, the feed's, its class's.

        Where the till cannot sell at price zero also one minor unit a piece, or for what is
        weighed. Minor units; never more than was sent.
        """
        feed_minor = self._feed_floor_minor(line.quantity_milli)
        class_minor = share_bp(line.amount_minor, self.floor_bp, "down")
        floor_minor = max(line.minimum_amount_minor, feed_minor, class_minor)
        if not self._zero_price:
            pieces = floor_div(line.quantity_milli, MILLI) if self.counted else 1
            floor_minor = max(floor_minor, pieces)
        return min(floor_minor, line.amount_minor)

    def _feed_floor_minor(self, quantity_milli: int) -> int:
        if self.product is None:
            return 0
        return floor_div(self.product.minimum_price_minor * quantity_milli, MILLI)

    def enter_lane(self) -> None:
        """Open all pieces for the claims of the next lane, at the price they have now."""
        self.start_minor = self.amount_minor
        self.open_milli = self.quantity_milli
        self.open_minor = self.amount_minor
        self.claimed_by = NOBODY

    @property
    def room_minor(self) -> int:
        """How much the floor still lets it be lowered."""
        return max(0, self.amount_minor - self.floor_minor)

    def claim(self, number: int, quantity_milli: int) -> None:
        """Close pieces for the other promotions of the lane."""
        self.open_minor -= self.open_price_minor(quantity_milli)
        self.open_milli -= quantity_milli
        self.claimed_by = number

    def open_price_minor(self, quantity_milli: int, skip_milli: int = 0) -> int:
        """Running price of some of the open pieces, after others of them, minor units."""
        assert 0 <= skip_milli <= skip_milli + quantity_milli <= self.open_milli
        if not self.open_milli:
            return 0
        upto = floor_div(self.open_minor * (skip_milli + quantity_milli), self.open_milli)
        return upto - floor_div(self.open_minor * skip_milli, self.open_milli)

    def lower(self, number: int, discount_minor: int, quantity_milli: int, claims: bool) -> None:
        """Lower the amount; what is asked never goes below the floor.

        Args:
            number: the promotion.
            discount_minor: 1 to `room_minor`.
            quantity_milli: what it works on.
            claims: it claims that quantity; otherwise the open pieces get cheaper, too.
        """
        assert 0 < discount_minor <= self.room_minor
        if not claims:
            share_minor = floor_div(discount_minor * self.open_milli, self.quantity_milli)
            self.open_minor -= min(share_minor, self.open_minor)
        self.amount_minor -= discount_minor
        self.effects.append((number, discount_minor, quantity_milli))


def build_items(
    lines: Sequence[Line], products: dict[str, Product], zero_price: bool
) -> list[Item]:
    """Group the lines that are sold into items, in an order that no line order changes.

    Args:
        lines: lines of the sale; cancelled and RETURN lines are left out.
        products: attributes by sku of the articles that the feed knows.
        zero_price: the till can sell a piece at price zero.

    Returns:
        Items without sets and floors: `enter_sets` adds them.
    """
    items: dict[_ItemKey, Item] = {}
    for position, line in enumerate(lines):
        if line.cancelled or line.action == LineAction.RETURN:
            continue
        key = (
            line.sku,
            line.unit_price_scaled,
            line.unit_price_scale,
            line.unit,
            line.kind,
            line.price_source == PriceSource.STICKER,
            line.no_discount,
            line.no_earn,
            line.line_id if line.minimum_amount_minor else "",
        )
        item = items.get(key)
        if item is None:
            item = items[key] = Item(line, products.get(line.sku), zero_price)
        item.add(position, line)
    for item in items.values():
        if len(item.lines) > 1:
            item.lines.sort(key=lambda position: lines[position].line_id)
    return [items[key] for key in sorted(items)]


def enter_sets(
    items: Sequence[Item],
    lines: Sequence[Line],
    sets: SetMemo,
    classes: Sequence[CompiledClass],
    offers: Sequence[OwnOffer],
) -> None:
    """Say which product sets each item is in, apply its product classes, work out its floor.

    Args:
        items: what `build_items` gave.
        lines: lines of the sale.
        sets: all product sets of the program.
        classes: rules of the chain above all promotions.
        offers: the customer's own.
    """
    for item in items:
        if item.goods:
            item.sets = _sets_of(item, sets, offers)
            for one in classes:
                if one.set_number in item.sets:
                    _apply_class(item, one)
        if item.has_floor:
            item.set_floor(lines)


def _sets_of(item: Item, sets: SetMemo, offers: Sequence[OwnOffer]) -> frozenset[int]:
    found = set(sets.of(item.sku, item.product))
    index = sets.index
    for number in index.offered:
        if _is_offered(index.sets[number], item, offers):
            found.add(number)
    return frozenset(
        number
        for number in found
        if number not in index.priced or _is_priced(index.sets[number], item)
    )


def _is_offered(chosen: ProductSet, item: Item, offers: Sequence[OwnOffer]) -> bool:
    """Whether the customer's own offer names a category of the item."""
    if item.product is None or not fits_rest(chosen, item.sku, item.product):
        return False
    named = {
        c for offer in offers if offer.offer_code == chosen.own_offer for c in offer.categories
    }
    return any(category in named for category in item.product.categories)


def _is_priced(chosen: ProductSet, item: Item) -> bool:
    """Whether the price of a unit as sent, rounded half up, lies in the set's range."""
    unit_minor = round_half_up(item.sent_minor * MILLI, item.quantity_milli)
    high = chosen.unit_price_to_minor
    return chosen.unit_price_from_minor <= unit_minor and (not high or unit_minor <= high)


def _apply_class(item: Item, one: CompiledClass) -> None:
    item.discountable = item.discountable and not one.no_discount
    item.earns = item.earns and not one.no_earn
    item.no_coupon = item.no_coupon or one.no_coupon
    if one.floor_bp:
        item.has_floor = True
        item.floor_bp = max(item.floor_bp, one.floor_bp)


def line_effects(
    item: Item, lines: Sequence[Line], allocate: Allocate
) -> list[list[tuple[int, int, int]]]:
    """Share an item's effects over its lines: a list of effects for each position of `item.lines`.

    Every effect's parts sum to it; no line goes below its floor or zero.
    """
    if len(item.lines) == 1:
        return [item.effects]
    own = [lines[position] for position in item.lines]
    left = [line.amount_minor for line in own]
    floors = [item.line_floor_minor(line) for line in own] if item.has_floor else []
    quantities = [line.quantity_milli for line in own]
    shared: list[list[tuple[int, int, int]]] = [[] for _ in left]
    for number, discount_minor, quantity_milli in item.effects:
        if floors:
            rooms = [minor - floor for minor, floor in zip(left, floors, strict=True)]
            parts = share_capped(discount_minor, left, rooms, allocate)
        else:
            parts = allocate(discount_minor, left)
        amounts = allocate(quantity_milli, quantities)
        for n, part_minor in enumerate(parts):
            left[n] -= part_minor
            if part_minor:
                shared[n].append((number, part_minor, amounts[n]))
    assert min(left) >= 0, "a line went below zero"
    return shared


def share_capped(
    total: int, weights: Sequence[int], rooms: Sequence[int], allocate: Allocate
) -> list[int]:
    """Share a total over weights, no part above its room; what does not fit goes to the others.

    Args:
        total: 0 to the sum of `rooms`.
        weights: 0 or more each; a weight of 0 comes with a room of 0.
        rooms: 0 to the weight each.
        allocate: shares a total over weights exactly.

    Returns:
        Parts that sum to the total, each 0 to its room.
    """
    parts = allocate(total, weights) if total else [0] * len(weights)
    if all(part <= room for part, room in zip(parts, rooms, strict=True)):
        return parts
    parts = [0] * len(weights)
    left = total
    while left:
        open_weights = [
            weight if room > part else 0
            for weight, room, part in zip(weights, rooms, parts, strict=True)
        ]
        for n, more in enumerate(allocate(left, open_weights)):
            taken = min(more, rooms[n] - parts[n])
            parts[n] += taken
            left -= taken
    return parts
