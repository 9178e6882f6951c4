"""The programs and receipts of a seed: one program, sold to in several ways, up to the limits.

What is made stays within the contract: receipts as a till may send them, programs that the check
lets pass (but for multipliers of nothing, which do no harm). All of it follows from the seed, so
that a seed is all one needs to see it again.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import replace

from rewards import limits
from rewards.facts import ANONYMOUS, Facts
from rewards.limits import MILLI
from rewards.program import Program, Promotion
from rewards.program_check import check_program
from rewards.rounding import floor_div, round_half_up
from rewards.sale import Capabilities, Line, Sale, Unit
from tests import make
from tests.strategies import Case, Shape, seeded_case

PROMOTIONS_MAX = (2, 6, 6, 12, 12, 30)
LINES_MAX = (1, 6, 6, 12, 12, 40)
LONG_ONCE_IN = 300
LONG_LINES_MAX = 400
STRETCHED_ONCE_IN = 4
_RICH = 10**15
_ROOM = limits.AMOUNT_MINOR_MAX


def cases_of(seed: int) -> Iterator[tuple[str, Case]]:
    """Make what a seed stands for.

    Yields:
        What was done to the receipt, and the case; all of them have one program.
    """
    random = Random(f"shape {seed}")
    case = _first(seed, random)
    yield "as made", case
    for name, change in CHANGES.items():
        if random.random() < 0.5:
            sale, facts = change(random, case.sale, case.facts)
            yield name, Case(case.program, sale, facts)


def _first(seed: int, random: Random) -> Case:
    lines_max = random.choice(LINES_MAX)
    if random.randrange(LONG_ONCE_IN) == 0:
        lines_max = LONG_LINES_MAX
    best = random.random() < 0.5
    promotions_max = random.choice(PROMOTIONS_MAX)
    case = seeded_case(seed, promotions_max, lines_max, Shape(best=best))
    if random.randrange(STRETCHED_ONCE_IN):
        return case
    program = _stretched_program(random, case.program)
    stretched = Case(program, case.sale, case.facts)
    return stretched._replace(
        facts=_with_day_ends(case.facts, stretched.rules().program.valid_days)
    )


def _with_day_ends(facts: Facts, valid_days: Iterable[int]) -> Facts:
    """The facts with the ends of all the days that the program asks for."""
    day_ends = tuple((days, make.NOON_US + days * make.DAY_US) for days in valid_days)
    return replace(facts, store=replace(facts.store, day_ends=day_ends))


# --- receipts -----------------------------------------------------------------------------------


def _shuffled(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    lines = list(sale.lines)
    random.shuffle(lines)
    return sale_of(sale, lines), facts


def _dearer(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    factor = 10 ** random.randrange(1, 13)
    return sale_of(sale, [_line_dearer(line, factor) for line in sale.lines]), facts


def _line_dearer(line: Line, factor: int) -> Line:
    factor = min(factor, floor_div(_ROOM, max(line.amount_minor, line.unit_price_scaled, 1)))
    if factor < 1:
        return line
    return replace(
        line,
        unit_price_scaled=line.unit_price_scaled * factor,
        amount_minor=line.amount_minor * factor,
        minimum_amount_minor=line.minimum_amount_minor * factor,
    )


def _more(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    """More pieces of each line, up to the most that a receipt may hold."""
    factor = random.choice((2, 7, 10, 100, 1_000))
    left_milli = limits.PIECES_MAX * MILLI
    lines: list[Line] = []
    for line in sale.lines:
        milli = min(line.quantity_milli * factor, floor_div(left_milli, len(sale.lines)))
        lines.append(_line_of(line, milli) if milli >= MILLI else line)
    return sale_of(sale, lines), facts


def _line_of(line: Line, milli: int) -> Line:
    """The line with another quantity."""
    if line.unit == Unit.PIECE:
        milli -= milli % MILLI
    whole_minor = round_half_up(line.unit_price_scaled * milli, MILLI)
    lowest_minor = min(line.minimum_amount_minor, whole_minor)
    return replace(
        line, quantity_milli=milli, amount_minor=whole_minor, minimum_amount_minor=lowest_minor
    )


def _one_article(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    """Every line is of one of two articles, at its own price."""
    skus = [random.choice(sale.lines).sku for _ in range(2)]
    return sale_of(sale, [replace(line, sku=random.choice(skus)) for line in sale.lines]), facts


def _other_till(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    flags = [random.random() < 0.5 for _ in range(5)]
    header = replace(sale.header, capabilities=Capabilities(*flags))
    return replace(sale, header=header), facts


def _anonymous(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    return sale, replace(facts, customer=ANONYMOUS)


def _rich(random: Random, sale: Sale, facts: Facts) -> tuple[Sale, Facts]:
    """Much to spend, and much left of every budget."""
    balances = tuple((code, random.choice((_RICH, 10**9))) for code, _ in facts.customer.balances)
    customer = replace(facts.customer, balances=balances)
    quotas = tuple(replace(q, total_minor=_RICH, total_times=10**12) for q in facts.quotas)
    return sale, replace(facts, customer=customer, quotas=quotas)


CHANGES = {
    "lines shuffled": _shuffled,
    "dearer": _dearer,
    "more pieces": _more,
    "two articles": _one_article,
    "another till": _other_till,
    "no customer": _anonymous,
    "rich customer": _rich,
}


def sale_of(sale: Sale, lines: list[Line]) -> Sale:
    """The sale with other lines; its control totals are theirs."""
    totals = make.sale(*lines).header
    header = replace(sale.header, line_count=totals.line_count, amount_minor=totals.amount_minor)
    return replace(sale, header=header, lines=tuple(lines))


# --- programs -----------------------------------------------------------------------------------


def _stretched_program(random: Random, program: Program) -> Program:
    """The program with figures at their bounds, as far as the check lets it pass."""
    problems = check_program(program)
    for number, promotion in enumerate(program.promotions):
        stretched: Promotion = _stretched(random, promotion)
        changed = list(program.promotions)
        changed[number] = replace(stretched, promotion_id=promotion.promotion_id)
        other = replace(program, promotions=tuple(changed))
        if check_program(other) == problems:
            program = other
    value_micros = random.choice((program.point_value_micros, 1, 10**9))
    return replace(program, point_value_micros=value_micros)


def _stretched(random: Random, value: Any) -> Any:
    """A struct in which some bounded figures are at one of their bounds, its parts too."""
    changes = {}
    for field in msgspec.structs.fields(type(value)):
        found = getattr(value, field.name)
        if isinstance(found, Struct):
            changes[field.name] = _stretched(random, found)
        elif isinstance(found, tuple) and found and isinstance(found[0], Struct):
            changes[field.name] = tuple(_stretched(random, part) for part in found)
        elif type(found) is int and random.random() < 0.2:
            changes[field.name] = random.choice(_bounds(field.type, found))
    return replace(value, **changes)


def _bounds(kind: Any, found: int) -> tuple[int, ...]:
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.IntType) or info.ge is None or info.le is None:
        return (found,)
    return (info.ge, info.ge + 1, info.le, info.le - 1)
