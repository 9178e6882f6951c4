"""What of a receipt a customer's asset may pay, line by line, and how an amount is placed there.

A discount keeps the floors of lines; where the till sells all pieces of a line at one price it
takes only what divides evenly over them. The order of lines changes nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rewards.allocate import allocate
from rewards.basket import Item, build_items, enter_sets, share_capped
from rewards.facts import Facts
from rewards.limits import MILLI
from rewards.rounding import floor_div, share_bp
from rewards.ruleset import CompiledSpendRule, ProgramRules
from rewards.runs import LineOutcome
from rewards.sale import Line, Sale

Outcomes = Sequence[LineOutcome | None]


class Room(NamedTuple):
    """A line that may be paid so.

    Attributes:
        position: of the line in the sale.
        price_minor: what it costs by promotions.
        left_minor: what is still to be paid of it.
        room_minor: what may be taken off that, down to its floor.
        pieces: so many pieces must have one price; 1 where it can be split, or is weighed.
    """

    position: int
    price_minor: int
    left_minor: int
    room_minor: int
    pieces: int


def items_of(rules: ProgramRules, sale: Sale, facts: Facts) -> list[Item]:
    """The items of a receipt with their sets and floors, as an evaluation has them."""
    products = facts.products_by_sku
    items = build_items(sale.lines, products, sale.header.capabilities.zero_price)
    enter_sets(items, sale.lines, rules.sets, rules.program.classes, facts.customer.offers)
    return items


def rooms_of(
    rules: ProgramRules,
    chosen: CompiledSpendRule,
    sale: Sale,
    items: Sequence[Item],
    outcomes: Outcomes,
) -> list[Room]:
    """The lines that a rule lets be paid, by line_id.

    Args:
        rules: the chain's rules.
        chosen: the rule.
        sale: what was scanned.
        items: `items_of` the sale.
        outcomes: the lines as far as they are decided.
    """
    banned = {one.set_number for one in rules.program.classes if one.no_discount}
    found: list[Room] = []
    for item in items:
        if chosen.set_number in item.sets and banned.isdisjoint(item.sets):
            if chosen.rule.mode == "tender":
                found += _tender_rooms(item, sale, outcomes)
            elif item.discountable:
                found += _discount_rooms(item, sale, outcomes)
    return sorted(found, key=lambda room: sale.lines[room.position].line_id)


def _tender_rooms(item: Item, sale: Sale, outcomes: Outcomes) -> list[Room]:
    """A tender changes no price: only the share that a class keeps is not paid so."""
    found = []
    for position in item.lines:
        line, outcome = sale.lines[position], outcomes[position]
        if outcome is not None and not line.no_spend:
            kept_minor = share_bp(line.amount_minor, item.floor_bp, "up")
            left_minor = outcome.amount_minor
            room_minor = max(0, left_minor - kept_minor)
            found.append(Room(position, outcome.price_minor, left_minor, room_minor, 1))
    return found


def _discount_rooms(item: Item, sale: Sale, outcomes: Outcomes) -> list[Room]:
    found = []
    item_minor = 0
    for position in item.lines:
        line, outcome = sale.lines[position], outcomes[position]
        if outcome is None:
            continue
        left_minor = outcome.amount_minor
        item_minor += left_minor
        if not line.no_spend:
            room_minor = max(0, left_minor - item.line_floor_minor(line))
            pieces = _pieces(item, line, sale)
            found.append(Room(position, outcome.price_minor, left_minor, room_minor, pieces))
    over_minor = sum([room.room_minor for room in found]) - max(0, item_minor - item.floor_minor)
    # The floor of the whole is rounded once, up; those of its lines down.
    for n, room in enumerate(found):
        cut_minor = min(room.room_minor, max(0, over_minor))
        over_minor -= cut_minor
        found[n] = room._replace(room_minor=room.room_minor - cut_minor)
    return found


def _pieces(item: Item, line: Line, sale: Sale) -> int:
    if sale.header.capabilities.split_line or not item.counted:
        return 1
    return floor_div(line.quantity_milli, MILLI)


def place(total_minor: int, rooms: Sequence[Room]) -> list[int]:
    """Share an amount over lines by what is left to pay of them.

    Args:
        total_minor: 0 or more.
        rooms: `rooms_of` a rule.

    Returns:
        A part for each room, 0 to its room. They sum to the total, or to less where rooms, or
        pieces that need one price, do not take all of it.
    """
    total_minor = min(total_minor, sum([room.room_minor for room in rooms]))
    if not total_minor:
        return [0] * len(rooms)
    weights = [room.left_minor for room in rooms]
    parts = share_capped(total_minor, weights, [room.room_minor for room in rooms], allocate)
    if all(room.pieces == 1 for room in rooms):
        return parts
    parts = [_even(room, part) for room, part in zip(rooms, parts, strict=True)]
    left_minor = total_minor - sum(parts)
    # What needs large steps goes first, so that small ones make up the rest.
    for n in sorted(range(len(rooms)), key=lambda n: -rooms[n].pieces):
        part = _even(rooms[n], min(rooms[n].room_minor, parts[n] + left_minor))
        left_minor -= part - parts[n]
        parts[n] = part
    return parts


def _even(room: Room, part_minor: int) -> int:
    """The most up to a part that leaves one price for all pieces."""
    odd_minor = room.left_minor % room.pieces
    if part_minor < odd_minor:
        return 0
    return part_minor - (part_minor - odd_minor) % room.pieces
