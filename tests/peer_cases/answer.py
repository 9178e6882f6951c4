"""What an evaluation says, in the words of a case: by the ids of its promotions and lines."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from rewards.benefit import CouponReward
from rewards.evaluate import CouponState, Evaluated
from rewards.ruleset import ProgramRules
from rewards.runs import LineOutcome
from rewards.sale import LineAction, Sale
from rewards.trace import TraceOutcome
from tests.peer_cases.amounts import MILLI
from tests.peer_cases.case import Case
from tests.peer_cases.naming import plain
from tests.peer_cases.points import LATER, POINTS, point_decimals
from tests.peer_cases.program import Translation
from tests.peer_cases.receipt import lines_of
from tests.peer_cases.refunds import Returned

_TOOK_EFFECT = (TraceOutcome.FIRED, TraceOutcome.LIMIT_REACHED)


class Given(Struct, frozen=True):
    """A discount of a promotion on a line."""

    promotion_id: str
    line_id: str
    sku: str
    amount_minor: int
    quantity: Decimal
    is_freed: bool


class Gifted(Struct, frozen=True):
    """An article to be added; `choice` is not 0 where the customer chooses one of several."""

    promotion_id: str
    sku: str
    quantity: Decimal
    choice: int = 0


class Answer(Struct, frozen=True):
    """The outcome of a case.

    Attributes:
        sent_minor: by line.
        left_minor: by line, after promotions.
        prices_minor: by line, of a unit as sent.
        unit_prices_minor: by line, of every whole piece after promotions.
        fired: ids with how often they fired, in running order.
        coupons: (code, took effect).
        points: earned, by asset.
    """

    sent_minor: dict[str, int]
    left_minor: dict[str, int]
    prices_minor: dict[str, int]
    unit_prices_minor: dict[str, list[int]]
    given: tuple[Given, ...]
    gifts: tuple[Gifted, ...]
    fired: dict[str, int]
    coupons: tuple[tuple[str, bool], ...]
    points: dict[str, Decimal]
    spent: Decimal
    coupons_issued: int
    returned: Returned | None


def read_answer(
    case: Case,
    translation: Translation,
    rules: ProgramRules,
    sale: Sale,
    said: Evaluated,
    returned: Returned | None,
) -> Answer:
    """Bring an evaluation back to the case's own ids."""
    ids = [one.promotion_id for one in rules.program.promotions]
    sources = [translation.sources[promotion_id] for promotion_id in ids]
    freed = [promotion_id in translation.freed for promotion_id in ids]
    lines = [line.line_id for line in lines_of(case)]
    skus = {line.line_id: plain(line.sku) for line in lines_of(case)}
    signs = [-1 if line.action == LineAction.RETURN else 1 for line in sale.lines]
    outcomes = list(zip(lines, said.outcomes, strict=True))
    none = {line.line_id: 0 for line in case.lines if not line.qty}
    return Answer(
        sent_minor=none | _signed(lines, signs, [line.amount_minor for line in sale.lines]),
        left_minor=none
        | _signed(lines, signs, [one.amount_minor if one else 0 for one in said.outcomes]),
        prices_minor=dict(zip(lines, [one.unit_price_scaled for one in sale.lines], strict=True)),
        unit_prices_minor={line_id: _unit_prices(one) for line_id, one in outcomes if one},
        given=tuple(_given(outcomes, skus, sources, freed)),
        gifts=tuple(_gifts(said, sources)),
        fired=_fired(said, sources),
        coupons=tuple((one.code, one.state == CouponState.APPLIED) for one in said.coupons),
        points=_points(case, said),
        spent=sum((_points_of(case, one.amount_minor) for one in said.spends), Decimal(0)),
        coupons_issued=_coupons_issued(rules, said),
        returned=returned,
    )


def _signed(lines: Sequence[str], signs: Sequence[int], amounts: Sequence[int]) -> dict[str, int]:
    return {
        line_id: sign * amount for line_id, sign, amount in zip(lines, signs, amounts, strict=True)
    }


def _unit_prices(outcome: LineOutcome) -> list[int]:
    """Price of each whole piece."""
    return [
        run.unit_price_minor for run in outcome.runs for _ in range(run.quantity_milli // MILLI)
    ]


def _given(
    outcomes: Sequence[tuple[str, LineOutcome | None]],
    skus: Mapping[str, str],
    sources: Sequence[str],
    freed: Sequence[bool],
) -> Iterator[Given]:
    for line_id, outcome in outcomes:
        for one in outcome.adjustments if outcome else ():
            quantity = Decimal(one.quantity_milli) / MILLI
            number = one.number
            sku, amount_minor = skus[line_id], -one.amount_minor
            yield Given(sources[number], line_id, sku, amount_minor, quantity, freed[number])


def _gifts(said: Evaluated, sources: Sequence[str]) -> Iterator[Gifted]:
    for one in said.offers:
        quantity = Decimal(one.quantity_milli) / MILLI
        yield Gifted(sources[one.number], plain(one.sku), quantity, one.choice_group)


def _fired(said: Evaluated, sources: Sequence[str]) -> dict[str, int]:
    fired: dict[str, int] = {}
    for entry in said.trace:
        if entry.outcome in _TOOK_EFFECT and entry.times:
            source = sources[entry.number]
            fired[source] = max(fired.get(source, 0), entry.times)
    return fired


def _points_of(case: Case, amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-point_decimals(case))


def _points(case: Case, said: Evaluated) -> dict[str, Decimal]:
    points: dict[str, Decimal] = defaultdict(Decimal)
    for grant in said.grants:
        if grant.asset_code in (POINTS, LATER):
            points[grant.asset_code] += _points_of(case, grant.amount_minor)
    return points


def _coupons_issued(rules: ProgramRules, said: Evaluated) -> int:
    promotions = rules.program.promotions
    return sum(
        grant.amount_minor
        for grant in said.grants
        if isinstance(promotions[grant.number].gives[grant.place], CouponReward)
    )
