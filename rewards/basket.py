"""A receipt as promotions work on it: items, their claims, and the way back to lines.

Lines of the same article at the same price are one item, so that splitting a line in two changes
nothing. Quantities stay runs: nothing here counts pieces one by one.
"""

from collections.abc import Callable, Sequence

from rewards.limits import MILLI
from rewards.product import Product
from rewards.rounding import floor_div
from rewards.sale import Line, LineAction, LineKind, PriceSource, Unit

Allocate = Callable[[int, Sequence[int]], list[int]]
"""Shares a total over weights exactly: `rewards.allocate.allocate` or its compiled twin."""

_ItemKey = tuple[str, int, int, int, int, bool, bool, bool, str]
_FREE_OF_RULES = (LineKind.GIFT_CARD, LineKind.DEPOSIT)


class Item:
    """Pieces of one article at one price, on one or more lines.

    Attributes:
        lines: positions of its lines in the sale, by line_id.
        amount_minor: running amount, after the discounts so far.
        has_floor: there may be one above zero.
        floor_minor: the amount never goes below it.
        open_milli: quantity that no promotion of this lane has claimed.
        effects: (promotion number, discount in minor units, quantity in thousandths).
        claimed_by: promotion that claimed last in this lane; -1 is none.
    """

    __slots__ = (
        "_base_minor",
        "_zero_price",
        "amount_minor",
        "claimed_by",
        "counted",
        "discountable",
        "earns",
        "effects",
        "floor_minor",
        "goods",
        "has_floor",
        "lines",
        "open_milli",
        "product",
        "quantity_milli",
        "sku",
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
        full_price = self.goods and line.price_source != PriceSource.STICKER
        self.discountable = full_price and not line.no_discount
        self.earns = full_price and not line.no_earn
        self.has_floor = line.minimum_amount_minor > 0 or not zero_price
        self._zero_price = zero_price
        if product is not None:
            if product.no_discount:
                self.discountable = False
            if product.no_earn:
                self.earns = False
            if product.minimum_price_minor:
                self.has_floor = True
        self.lines: list[int] = []
        self.quantity_milli = 0
        self.amount_minor = 0
        self.floor_minor = 0
        self.open_milli = 0
        self._base_minor = 0
        self.effects: list[tuple[int, int, int]] = []
        self.claimed_by = -1

    def add(self, position: int, line: Line) -> None:
        """Take a line in."""
        self.lines.append(position)
        self.quantity_milli += line.quantity_milli
        self.amount_minor += line.amount_minor

    def set_floor(self, lines: Sequence[Line]) -> None:
        """Work out the floor: the feed's for the whole quantity, or what its lines' come to."""
        feed_minor = min(self._feed_floor_minor(self.quantity_milli), self.amount_minor)
        own_minor = sum([self.line_floor_minor(lines[position]) for position in self.lines])
        self.floor_minor = max(feed_minor, own_minor)

    def line_floor_minor(self, line: Line) -> int:
        """What one of its lines never goes below: its own minimum and the feed's, minor units.

        Where the till cannot sell at price zero also one minor unit a piece, or for what is
        weighed. Never more than was sent.
        """
        feed_minor = self._feed_floor_minor(line.quantity_milli)
        floor_minor = max(line.minimum_amount_minor, feed_minor)
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
        self._base_minor = self.amount_minor
        self.open_milli = self.quantity_milli
        self.claimed_by = -1

    def portion_minor(self, quantity_milli: int, skip_milli: int = 0) -> int:
        """Price of the next open pieces at the price of the lane's start, minor units.

        Args:
            quantity_milli: 0 to what is open.
            skip_milli: open quantity to pass over first.
        """
        if quantity_milli == self.quantity_milli:
            return self._base_minor
        before = self.quantity_milli - self.open_milli + skip_milli
        upto = self._base_minor * (before + quantity_milli)
        price_before = floor_div(self._base_minor * before, self.quantity_milli)
        return floor_div(upto, self.quantity_milli) - price_before

    def claim(self, number: int, quantity_milli: int) -> None:
        """Close pieces for the other promotions of the lane."""
        assert 0 <= quantity_milli <= self.open_milli
        self.open_milli -= quantity_milli
        self.claimed_by = number

    def lower(self, number: int, discount_minor: int, quantity_milli: int) -> int:
        """Lower the amount, not below the floor; say by how much it went down, minor units."""
        room_minor = self.amount_minor - self.floor_minor
        given_minor = discount_minor if discount_minor < room_minor else room_minor
        if given_minor <= 0:
            return 0
        self.amount_minor -= given_minor
        self.effects.append((number, given_minor, quantity_milli))
        return given_minor

    def price_rank(self) -> int:
        """Price of a piece at the lane's start, in millionths, for comparing only."""
        return floor_div(self._base_minor * 1_000_000, self.quantity_milli)


def build_items(
    lines: Sequence[Line], products: dict[str, Product], zero_price: bool
) -> list[Item]:
    """Group the lines that are sold into items, in an order that no line order changes.

    Args:
        lines: lines of the sale; cancelled and RETURN lines are left out.
        products: attributes by sku of the articles that the feed knows.
        zero_price: the till can sell a piece at price zero.
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
        if item.has_floor:
            item.set_floor(lines)
    return [items[key] for key in sorted(items)]


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
