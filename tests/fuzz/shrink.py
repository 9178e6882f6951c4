"""Makes a case that goes wrong smaller, as long as it goes wrong in the same way."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tests.fuzz.case import sale_of
from tests.strategies import Case

Complaint = Callable[[Case], str]
"""What is wrong with a case, in a word; empty if nothing is."""


def shrink(case: Case, complaint: Complaint) -> Case:
    """Leave out promotions, lines and tenders, one at a time, until all that is left matters."""
    wrong = complaint(case)
    found: Case | None = case
    while found is not None:
        case = found
        found = next((less for less in _smaller(case) if complaint(less) == wrong), None)
    return case


def _smaller(case: Case) -> Iterator[Case]:
    promotions, sale = case.program.promotions, case.sale
    for place in range(len(promotions)):
        less = promotions[:place] + promotions[place + 1 :]
        yield case._replace(program=replace(case.program, promotions=less))
    if len(sale.lines) > 1:
        for place in range(len(sale.lines)):
            lines = [*sale.lines[:place], *sale.lines[place + 1 :]]
            yield case._replace(sale=sale_of(sale, lines))
    if sale.tenders:
        yield case._replace(sale=replace(sale, tenders=()))
    if case.program.product_classes:
        yield case._replace(program=replace(case.program, product_classes=()))
