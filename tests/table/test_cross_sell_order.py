"""Which line leads to an article that is shown, past lines that lead to nothing."""

from rewards.authored import ProductSet
from rewards.cross_sell import choose_items
from rewards.sale import Line, LineAction
from tests import make

SHOES = ProductSet(skus=("shoes", "boots"))
RULES = make.rules(cross_sell_links=(make.link(basket=SHOES),))


def position(*lines: Line) -> list[int]:
    """The line that led to the one article there is to show."""
    sale = make.sale(*lines)
    items = choose_items(RULES, sale, {}, frozenset(), lambda _: ("spray",), 3)
    return [item.position for item in items]


def test_the_first_line_by_its_id_leads() -> None:
    lines = [make.line(sku, line_id=name) for sku, name in (("shoes", "2"), ("boots", "1"))]
    assert position(*lines) == [1]
    assert position(*lines, make.line("shoes", line_id="3")) == [1]
    assert position(*reversed(lines)) == [0]


def test_lines_that_are_gone_lead_nowhere_and_hide_none() -> None:
    gone = make.line("shoes", line_id="1", cancelled=True)
    back = make.line("shoes", line_id="2", action=LineAction.RETURN)
    assert position(gone, back) == []
    assert position(gone, back, make.line("boots", line_id="3")) == [2]
