"""One promotion of ours in the making: what a case's promotion becomes, one or several of them."""

from typing import Literal

from msgspec import Struct

from rewards.authored import ProductSet
from rewards.benefit import (
    ALL_PIECES,
    AmountOff,
    Benefit,
    FixedPrice,
    PercentOff,
    PriceBenefit,
)
from rewards.condition import Condition
from rewards.program import Cost, LaneName
from tests.peer_cases.products import EVERYTHING

Stage = Literal["earning", "multiplying", "counting", "price", "narrow_earning"]


class Untranslatable(Exception):
    """A case says what no program of ours can."""


class Plan(Struct, frozen=True):
    """What a promotion of ours says beyond what the whole case's promotion says.

    Attributes:
        conditions: besides those of the case's promotion.
        times: how often on a receipt; 0 is without limit.
        claims: pieces it took are not taken again by others that claim.
        is_taken_from_basket: the articles it frees are gifts out of the basket.
        group: ending of the name of its group, where a group is split.
    """

    gives: tuple[Benefit, ...]
    products: ProductSet = EVERYTHING
    conditions: tuple[Condition, ...] = ()
    lane: LaneName = "price"
    cost: Cost | None = None
    times: int = 0
    discount_max_minor: int = 0
    claims: bool = False
    stage: Stage = "price"
    is_taken_from_basket: bool = False
    group: str = ""

    @property
    def starts_at_lane(self) -> bool:
        """Whether it works on the prices at the start of its lane."""
        gives_price = any(isinstance(benefit, FixedPrice) for benefit in self.gives)
        return self.claims or self.cost is not None or gives_price

    @property
    def lowers_whole(self) -> bool:
        """Whether it lowers prices, and of an article all pieces."""
        return any(
            isinstance(benefit, PriceBenefit) and not _is_of_some_pieces(benefit)
            for benefit in self.gives
        )


def _is_of_some_pieces(benefit: PriceBenefit) -> bool:
    return isinstance(benefit, PercentOff | AmountOff | FixedPrice) and benefit.pieces != ALL_PIECES
