"""Which pieces, rounded how, and who gets the rest: small settings that several benefits share."""

from rewards.benefit import ALL_PIECES, Pick, Pieces, Remainder, RoundedOn, Share
from rewards.rounding import Rounding
from tests.peer_cases.case import Params

DEAREST = frozenset(
    {"most_expensive", "dearest", "expensive", "highest", "highest_price", "most_expensive_first"}
)
_PER_PIECE = ("_per_unit", "_per_piece")
_PER_ITEM = ("_per_line", "_per_item")
_ON_TOTAL = ("_total", "_per_total", "_on_total", "_per_receipt", "_per_order")
_ROUNDINGS: tuple[tuple[str, Rounding], ...] = (
    ("down", "down"),
    ("floor", "down"),
    ("truncate", "down"),
    ("half_down", "half_down"),
    ("up", "up"),
    ("ceil", "up"),
)


def pick_of(params: Params) -> Pick:
    """Which pieces, if not all."""
    target = params.target
    return (
        "dearest" if params.pick in DEAREST or (target and target.type in DEAREST) else "cheapest"
    )


def pieces_of(params: Params) -> Pieces:
    """How many pieces of the target, and which.

    A number of units that says nothing of which ones counts on each article by itself.
    """
    groups = params.group_size or params.qty_step or 0
    count = _count_of(params)
    if not count and not groups:
        return ALL_PIECES
    by_itself = bool(params.qty_step or (params.max_units and not params.pick))
    return Pieces(count, pick_of(params), groups, by_itself)


def _count_of(params: Params) -> int:
    if params.target is not None and params.target.type in DEAREST | {"cheapest"}:
        return params.max_units or 1
    return params.max_units or params.max_affected_units or 0


def rounding_of(params: Params) -> Rounding:
    """The rule for a part of a minor unit.

    Where nothing is said it is what is left to pay whose halves go up, so the discount's go down.
    """
    for sign, rounding in _ROUNDINGS:
        if params.rounding.startswith(sign):
            return rounding
    return "half_up" if params.rounding else "half_down"


def rounded_on(params: Params) -> RoundedOn:
    """What is rounded; each article where nothing is said."""
    if params.rounding.endswith(_PER_PIECE):
        return "piece"
    if "carry" in params.rounding:
        return "carried"
    return "total" if params.rounding.endswith(_ON_TOTAL) else "item"


def is_rounded_on_total(params: Params) -> bool:
    """Whether a percentage of the receipt is rounded once."""
    return (
        not params.rounding.endswith((*_PER_PIECE, *_PER_ITEM)) and "carry" not in params.rounding
    )


def share_of(params: Params) -> Share:
    """How an amount on many articles is shared; where nothing is said, by price."""
    if "even" in params.distribution:
        return "even"
    return "cheapest" if "cheapest" in params.distribution else "proportional"


def remainder_of(params: Params, kind: str = "") -> Remainder:
    """Who gets the minor units that are left over; of a whole receipt's bound, the first."""
    if "last" in params.distribution:
        return "last"
    is_bound = kind == "percent_off_receipt" and bool(params.max_discount_minor)
    if is_bound and not params.distribution:
        return "first"
    handed_out = "first" in params.distribution or "even" in params.distribution
    return "first" if handed_out else "largest"
