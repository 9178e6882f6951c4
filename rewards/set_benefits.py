"""Benefits on sets of pieces: N+M, nth item, cheapest free, buy and get, bundle price.

Sets are formed of runs of equal pieces, dearest first; nothing here counts pieces one by one. The
discount of a set is spread over all its pieces in proportion to their prices, so that a refund of
any of them pays its printed price (contract, section 5).
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from rewards.basket import Item
from rewards.benefit import BuyGet, CheapestFree, NPlusM, NthItem
from rewards.deal import Deal, Offer, Proposal, Taken, failed
from rewards.limits import MILLI
from rewards.rounding import RATE_BP_ONE, floor_div, share_bp
from rewards.trace import Condition


class Run(Struct, frozen=True):
    """Pieces of one item: how many, after how many others of it."""

    item: Item
    pieces: int
    skip: int = 0


def n_plus_m(deal: Deal, benefit: NPlusM) -> Proposal:
    """Of N+M pieces make the M cheapest free.

    Pieces beyond N are free as they are scanned; whoever stops at N is offered the missing M. The
    limit counts the sets of all articles together, in the order of their skus.
    """
    pay, free = benefit.pay_count, benefit.free_count
    runs = counted_runs(deal, deal.items)
    pieces = count_of(runs)
    if not pieces:
        return failed(Condition.NOT_COUNTED)
    left, times, capped, lacking = deal.count_max, 0, False, pay + free
    begun: list[tuple[Item, int]] = []
    taken: list[Taken] = []
    for group in groups_of(runs, benefit.per_article):
        full, rest = divmod(count_of(group), pay + free)
        sets = full + (1 if rest > pay and benefit.partly else 0)
        fired = min(sets, left)
        capped = capped or fired < sets
        lacking = min(lacking, _lacking(benefit, rest))
        if rest >= pay and fired == sets and _adds_for_nothing(deal, benefit, group[-1].item):
            begun.append((group[-1].item, rest))
        if fired:
            free_count = min(fired, full) * free + (rest - pay if fired > full else 0)
            used = first(group, fired * (pay + free))
            taken += _lower(deal, used, _last(used, free_count), spread=benefit.spread)
            times += fired
            left -= fired
    offers = _missing_pieces(benefit, begun, left)
    if times:
        return Proposal(times, tuple(taken), times, offers=offers, capped=capped)
    return failed(Condition.QUANTITY, lacking * MILLI, offers)


def nth_item(deal: Deal, benefit: NthItem) -> Proposal:
    """Of every n pieces take a percentage off one."""
    groups = groups_of(counted_runs(deal, deal.items), benefit.per_article)
    return _of_sets(deal, groups, benefit.n, 1, benefit)


def cheapest_free(deal: Deal, benefit: CheapestFree) -> Proposal:
    """Of every `set_count` pieces of the set make some free."""
    groups = groups_of(counted_runs(deal, deal.items), False)
    return _of_sets(deal, groups, benefit.set_count, benefit.free_count, benefit)


def buy_get(deal: Deal, benefit: BuyGet) -> Proposal:
    """For every `buy_count` dearest pieces of one set lower the cheapest ones of another."""
    buys, gets = counted_runs(deal, deal.parts[0]), counted_runs(deal, deal.parts[1])
    if not buys:
        return failed(Condition.QUANTITY, benefit.buy_count * MILLI)
    sets = _buy_get_sets(benefit, buys, gets)
    times = min(sets, deal.count_max)
    if not times:
        return failed(Condition.QUANTITY, _buy_get_lacking(benefit, buys, gets) * MILLI)
    bought = first(buys, times * benefit.buy_count)
    others = _without(gets, bought)
    given_count = min(times * benefit.get_count, count_of(others))
    given = first(others, given_count)
    if benefit.which == "cheapest":
        given = _last_runs(others, given_count)
    total_minor = share_bp(_worth(deal, given), benefit.rate_bp, "half_up")
    used = _joined(bought, given)
    taken = _shared(deal, used, used if benefit.spread else given, total_minor)
    return Proposal(times, taken, times, capped=times < sets)


def counted_runs(deal: Deal, items: Sequence[Item]) -> list[Run]:
    """Pieces of counted goods that cost something and may be worked on, dearest first."""
    runs = [
        Run(item, floor_div(deal.open_milli(item), MILLI))
        for item in items
        if item.counted and deal.open_milli(item) >= MILLI and deal.price_rank(item)
    ]
    return sorted(runs, key=lambda run: -deal.price_rank(run.item))


def count_of(runs: Sequence[Run]) -> int:
    """How many pieces there are."""
    return sum([run.pieces for run in runs])


def first(runs: Sequence[Run], count: int) -> list[Run]:
    """The first `count` pieces."""
    taken = []
    for run in runs:
        part = min(run.pieces, count)
        if part:
            taken.append(Run(run.item, part, run.skip))
        count -= part
    return taken


def _of_sets(
    deal: Deal,
    groups: Sequence[Sequence[Run]],
    set_count: int,
    free_count: int,
    benefit: NthItem | CheapestFree,
) -> Proposal:
    """Of every `set_count` pieces lower the last, or the first, `free_count`."""
    if not groups:
        return failed(Condition.NOT_COUNTED)
    left, times, capped, lacking = deal.count_max, 0, False, set_count
    taken: list[Taken] = []
    for group in groups:
        pieces = count_of(group)
        sets = floor_div(pieces, set_count)
        fired = min(sets, left)
        capped = capped or fired < sets
        lacking = min(lacking, set_count - pieces % set_count)
        if fired:
            used = first(group, fired * set_count)
            dearest = benefit.which == "dearest"
            skip = 0 if dearest else set_count - free_count
            lowered = _every(used, set_count, skip, free_count)
            taken += _lower(deal, used, lowered, benefit.rate_bp, dearest, benefit.spread)
            times += fired
            left -= fired
    if times:
        return Proposal(times, tuple(taken), times, capped=capped)
    return failed(Condition.QUANTITY, lacking * MILLI)


def groups_of(runs: Sequence[Run], per_article: bool) -> list[list[Run]]:
    """All runs together, or those of each article, by sku."""
    if not runs:
        return []
    if not per_article:
        return [list(runs)]
    articles: dict[str, list[Run]] = {}
    for run in runs:
        articles.setdefault(run.item.sku, []).append(run)
    return [articles[sku] for sku in sorted(articles)]


def _lacking(benefit: NPlusM, rest: int) -> int:
    """How many pieces the next set lacks until something of it is free."""
    whole = benefit.pay_count + benefit.free_count
    if benefit.as_quantity:
        return (benefit.pay_count if rest < benefit.pay_count else whole) - rest
    if benefit.partly and rest <= benefit.pay_count:
        return benefit.pay_count + 1 - rest
    return whole - rest


def _adds_for_nothing(deal: Deal, benefit: NPlusM, item: Item) -> bool:
    """Whether pieces may be added, and the item's floor lets those of a set be wholly free."""
    if not benefit.as_quantity:
        return False
    price_minor = deal.price_minor(item, deal.open_milli(item))
    room_minor = deal.room_minor(item, price_minor)
    set_count = benefit.pay_count + benefit.free_count
    return 0 < price_minor * benefit.free_count <= room_minor * set_count


def _missing_pieces(
    benefit: NPlusM, begun: Sequence[tuple[Item, int]], times_left: int
) -> tuple[Offer, ...]:
    """What is missing of the sets begun.

    Args:
        benefit: the N and the M.
        begun: items with their pieces beyond the complete sets, N or more. Of more than N the
            set has fired already; at N it would be one more.
        times_left: how often the promotion may still fire.
    """
    offers = []
    for item, rest in begun:
        if rest == benefit.pay_count or not benefit.partly:
            if not times_left:
                continue
            times_left -= 1
        missing = benefit.pay_count + benefit.free_count - rest
        offers.append(Offer(item.sku, item, missing * MILLI))
    return tuple(offers)


def _last(runs: Sequence[Run], count: int) -> list[int]:
    """How many of the last `count` pieces stand in each run."""
    counts = [0] * len(runs)
    for n in range(len(runs) - 1, -1, -1):
        counts[n] = min(runs[n].pieces, count)
        count -= counts[n]
    return counts


def _last_runs(runs: Sequence[Run], count: int) -> list[Run]:
    """The last `count` pieces, dearest first."""
    return [
        Run(run.item, pieces, run.skip + run.pieces - pieces)
        for run, pieces in zip(runs, _last(runs, count), strict=True)
        if pieces
    ]


def _every(runs: Sequence[Run], set_count: int, skip: int, count: int) -> list[int]:
    """Of every `set_count` pieces those from `skip` on, `count` of them: how many in each run."""
    counts, before = [], 0
    for run in runs:
        after = before + run.pieces
        counts.append(
            _reached(after, set_count, skip, count) - _reached(before, set_count, skip, count)
        )
        before = after
    return counts


def _reached(pieces: int, set_count: int, skip: int, count: int) -> int:
    """How many of the chosen pieces of each set are among the first `pieces`."""
    full, rest = divmod(pieces, set_count)
    return full * count + min(max(0, rest - skip), count)


def _lower(
    deal: Deal,
    used: Sequence[Run],
    counts: Sequence[int],
    rate_bp: int = RATE_BP_ONE,
    from_start: bool = False,
    spread: bool = True,
) -> tuple[Taken, ...]:
    """Lower some pieces of each run, the last or the first ones; claim all used ones."""
    lowered = [
        Run(run.item, count, run.skip + (0 if from_start else run.pieces - count))
        for run, count in zip(used, counts, strict=True)
    ]
    total_minor = share_bp(_worth(deal, lowered), rate_bp, "half_up")
    return _shared(deal, used, used if spread else lowered, total_minor)


def _worth(deal: Deal, runs: Sequence[Run]) -> int:
    return sum([_price_minor(deal, run) for run in runs])


def _price_minor(deal: Deal, run: Run) -> int:
    return deal.price_minor(run.item, run.pieces * MILLI, run.skip * MILLI)


def _shared(
    deal: Deal, used: Sequence[Run], bearing: Sequence[Run], total_minor: int
) -> tuple[Taken, ...]:
    """Share a discount over the pieces that bear it; all used ones are taken, one a run."""
    taken = [(run.item, run.pieces * MILLI) for run in bearing]
    shared = deal.share(total_minor, taken, [_price_minor(deal, run) for run in bearing])
    parts: dict[int, int] = {}
    for one in shared:
        parts[id(one.item)] = parts.get(id(one.item), 0) + one.discount_minor
    return tuple(Taken(r.item, r.pieces * MILLI, parts.get(id(r.item), 0)) for r in used)


def _buy_get_sets(benefit: BuyGet, buys: Sequence[Run], gets: Sequence[Run]) -> int:
    """The largest number of sets: bought pieces are the dearest, what is given is what is left."""
    low, high = 0, floor_div(count_of(buys), benefit.buy_count)
    while low < high:
        middle = floor_div(low + high + 1, 2)
        left = count_of(_without(gets, first(buys, middle * benefit.buy_count)))
        needed = (
            (middle - 1) * benefit.get_count + 1 if benefit.partly else (middle * benefit.get_count)
        )
        if left >= needed:
            low = middle
        else:
            high = middle - 1
    return low


def _buy_get_lacking(benefit: BuyGet, buys: Sequence[Run], gets: Sequence[Run]) -> int:
    """How many pieces the first set lacks."""
    bought = count_of(buys)
    if bought < benefit.buy_count:
        return benefit.buy_count - bought
    left = count_of(_without(gets, first(buys, benefit.buy_count)))
    return max(1, (1 if benefit.partly else benefit.get_count) - left)


def _without(runs: Sequence[Run], used: Sequence[Run]) -> list[Run]:
    """What is left of runs when the first pieces of some items are used."""
    gone = {id(run.item): run.pieces for run in used}
    left = []
    for run in runs:
        skip = gone.get(id(run.item), 0)
        if run.pieces > skip:
            left.append(Run(run.item, run.pieces - skip, run.skip + skip))
    return left


def _joined(bought: Sequence[Run], given: Sequence[Run]) -> list[Run]:
    """Bought and given pieces, those of one item as one run."""
    joined: dict[int, Run] = {id(run.item): run for run in bought}
    for run in given:
        own = joined.get(id(run.item))
        pieces = run.pieces + (own.pieces if own else 0)
        joined[id(run.item)] = Run(run.item, pieces, own.skip if own else 0)
    return list(joined.values())


SET_BENEFITS: dict[type, Callable[..., Proposal]] = {
    NPlusM: n_plus_m,
    NthItem: nth_item,
    CheapestFree: cheapest_free,
    BuyGet: buy_get,
}
