"""Set 4: the few products to show this customer for this basket."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from rewards.product import Catalogue, Product
from rewards.ruleset import CHANNEL_NUMBERS, CompiledLink, CompiledProgram, ProgramRules
from rewards.sale import Header, Line, LineAction, Sale

ARTICLES_A_LINK_MAX = 50
"""Articles of a link that are looked at: enough to pass over what is in the basket."""

SHELVES_KEPT_MAX = 100_000
_RETURN = LineAction.RETURN.value

ArticlesOf = Callable[[CompiledLink], tuple[str, ...]]
"""Lists the articles that a link shows, at most ARTICLES_A_LINK_MAX, in a fixed order."""


class CrossSellItem(Struct, frozen=True):
    """An article to show, the link that led to it, and the position of the line that did."""

    link: CompiledLink
    sku: str
    position: int


def items_max(program: CompiledProgram, header: Header) -> int:
    """How many items the till's group may show; 0 is off, also where no group fits."""
    for group in program.till_groups:
        types = [CHANNEL_NUMBERS[name] for name in group.till_types]
        if types and header.till_type not in types:
            continue
        if group.stores and header.store_id not in group.stores:
            continue
        return group.cross_sell_max
    return 0


def articles_shown(
    catalogue: Catalogue, rules: ProgramRules, link: CompiledLink
) -> tuple[str, ...]:
    """What a link shows of a catalogue; worked out once for it and a version of the rules."""
    shelves, key = catalogue.shelves, (rules.version, link.tag)
    found = shelves.get(key)
    if found is None:
        if len(shelves) >= SHELVES_KEPT_MAX:
            shelves.clear()
        found = catalogue.articles_of(link.link.show, ARTICLES_A_LINK_MAX, rules.may_show)
        shelves[key] = found
    return found


def choose_items(
    rules: ProgramRules,
    sale: Sale,
    products: Mapping[str, Product],
    segments: frozenset[str],
    articles_of: ArticlesOf,
    count_max: int,
) -> tuple[CrossSellItem, ...]:
    """Choose what to show, best link first, one article a link before a second of any.

    Args:
        rules: the chain's rules; links stand by weight.
        sale: what was scanned.
        products: attributes by sku of the articles on the receipt that the feed knows.
        segments: the customer's.
        articles_of: what a link shows.
        count_max: how many, 0 or more.

    Returns:
        At most `count_max` different articles, none of them in the basket.
    """
    if not count_max:
        return ()
    reached = _reached(rules, sale, products)
    taken = set(sale.columns.skus)
    chosen: list[CrossSellItem] = []
    left = sorted(reached)
    while left:
        numbers, left = left, []
        for number in numbers:
            link = rules.program.links[number]
            if link.segments and link.segments.isdisjoint(segments):
                continue
            sku = _next_free(articles_of(link), taken)
            if sku is not None:
                left.append(number)
                taken.add(sku)
                chosen.append(CrossSellItem(link, sku, reached[number]))
                if len(chosen) == count_max:
                    return tuple(chosen)
    return tuple(chosen)


def _reached(rules: ProgramRules, sale: Sale, products: Mapping[str, Product]) -> dict[int, int]:
    """Numbers of the links that the basket leads to, each with the line_id-first line that does."""
    columns = sale.columns
    sets = rules.link_sets.of_each(columns.skus, products)
    positions: Sequence[int] = range(len(sets))
    if sale.has_returns or True in columns.cancelled:
        positions = [n for n, line in enumerate(sale.lines) if _is_sold(line)]
    position_by_link: dict[int, int] = {}
    # The first by line_id comes last and stays.
    for position in sorted(positions, key=columns.line_ids.__getitem__, reverse=True):
        for number in sets[position]:
            position_by_link[number] = position
    return position_by_link


def _is_sold(line: Line) -> bool:
    return not line.cancelled and line.action != _RETURN


def _next_free(skus: tuple[str, ...], taken: set[str]) -> str | None:
    for sku in skus:
        if sku not in taken:
            return sku
    return None
