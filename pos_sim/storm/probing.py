"""The very end of a storm: what accounts count, found out by asking a till for a large basket."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from loyalty.v1.answer_pb2 import Answer
from loyalty.v1.receipt_pb2 import LineKind, QuantityUnit, Sale
from loyalty.v1.till_service_pb2 import QuoteRequest
from pos_sim.back_office import wait_until_loaded
from pos_sim.demo import LOADED_S_MAX
from pos_sim.sale import Place, write_sale
from pos_sim.server_process import publish
from pos_sim.storm.books import Books
from pos_sim.storm.counts import (
    MOST_MINOR,
    NEXT,
    RARE,
    RARE_MOST_TIMES,
    SALT,
    SALT_MOST_MINOR,
    SEEDS,
    STARS,
    ZONES,
    by_customer,
    day_of,
    is_counted,
    is_off,
    left_of,
    salt_of,
    spent_of,
    turnover_within,
)
from pos_sim.storm.ladder import AMOUNT, RECEIPTS, draw_of, write_ladder
from pos_sim.storm.office import Office
from pos_sim.storm.owners import Owners
from pos_sim.storm.rights import Rights
from pos_sim.storm.rules import discounts_of
from pos_sim.storm.sold import Closed
from pos_sim.storm.world import card_of
from pos_sim.till_client import TillClient
from pos_sim.workload import Basket, Item

WINDOWS_DAYS = (3, 1_100)
"""Local days, today included, over which turnover is asked for; the last has all of the storm."""
MUCH = (
    ("cheese", 50_000, 89_990, QuantityUnit.QUANTITY_UNIT_KILOGRAM),
    ("salt", 100_000, 4_120, QuantityUnit.QUANTITY_UNIT_PIECE),
)
"""Sku, thousandths, price of a unit in minor units, unit."""


class Asking(Struct, frozen=True):
    """Where to ask: a till, the servers as host:port, and where a program may be written."""

    place: Place
    client: TillClient
    targets: tuple[str, ...]
    folder: Path


class Probe:
    """Holds what accounts count to what receipts come to; merges accounts that ever were one."""

    def __init__(self, books: Books, owners: Owners, office: Office, asking: Asking) -> None:
        """Get ready; problems are added to the books."""
        self.books = books
        self.owners = owners
        self._office = office
        self.asking = asking

    async def check(self, closed: list[Closed], now_us: int) -> None:
        """Ask for purchases, limits and turnover of everybody.

        Args:
            closed: all receipts.
            now_us: the servers' clock, UTC microseconds.
        """
        await self._check_restrained(now_us)
        groups = self.owners.groups()
        for first, *others in groups:
            for other in others:
                if not self.owners.share(other, first):
                    await self._office.merge(other, first)
        due = {one[0]: one for one in groups}
        await self._check_purchases(closed, due)
        await self._check_limits(closed, due)
        today = datetime.fromtimestamp(now_us / 1_000_000, UTC)
        zone = ZONES[self.asking.place.till.store_id]
        day = today.astimezone(zone).date().toordinal()
        for days in WINDOWS_DAYS:
            amounts = by_customer(closed, turnover_within(day - days + 1, day))
            await self._check_turnover(_by_group(amounts, due), AMOUNT, days)
        receipts = _by_group(
            by_customer(closed, lambda one: is_counted(one) and day_of(one) <= day), due
        )
        await self._check_turnover(receipts, RECEIPTS, WINDOWS_DAYS[-1])

    async def _check_restrained(self, now_us: int) -> None:
        """Whoever may not spend is shown nothing; then everybody may again."""
        register = self._office.register
        rights = Rights(self.books, register)
        for customer in register.restrained:
            rights.check_quote(await self._ask(customer), customer, now_us, now_us)
        await register.restore()

    async def _check_purchases(self, closed: list[Closed], groups: dict[str, list[str]]) -> None:
        counted = _by_group(by_customer(closed, is_counted), groups)
        for customer, due in counted.items():
            there = await self._office.purchases_of(customer)
            self._hold(there == due, customer, "purchases", due, there)

    async def _check_limits(self, closed: list[Closed], groups: dict[str, list[str]]) -> None:
        used = {
            asset_code: _by_group(by_customer(closed, _left(asset_code)), groups)
            for asset_code in (STARS, SEEDS)
        }
        spent = _by_group(by_customer(closed, lambda one: spent_of(one, NEXT)), groups)
        least = _by_group(by_customer(closed, lambda one: salt_of(one)[0]), groups)
        most = _by_group(by_customer(closed, lambda one: salt_of(one)[1]), groups)
        rare = _by_group(by_customer(closed, lambda one: is_off(one, RARE)), groups)
        for customer in groups:
            answer = await self._ask(customer)
            for asset_code, used_by in used.items():
                due = max(0, MOST_MINOR[asset_code] - used_by[customer])
                there = sum(
                    one.amount_minor
                    for one in answer.rewards.rewards
                    if one.asset_code == asset_code
                )
                self._hold(there == due, customer, asset_code, due, there)
            due = max(0, MOST_MINOR[NEXT] - spent[customer])
            for one in answer.spendable:
                if one.asset_code == NEXT:
                    is_due = one.most_minor == min(due, one.usable_minor)
                    self._hold(is_due, customer, NEXT, due, one.most_minor)
            off = discounts_of(answer.lines.lines)
            is_first = rare[customer] < RARE_MOST_TIMES
            self._hold(is_first == (off[RARE] > 0), customer, RARE, is_first, off[RARE])
            there = off[SALT]
            lows = max(0, SALT_MOST_MINOR - most[customer])
            highs = max(0, SALT_MOST_MINOR - least[customer])
            self._hold(lows <= there <= highs, customer, SALT, lows, there)

    async def _check_turnover(self, due: Counter[str], asked: str, days: int) -> None:
        path = self.asking.folder.with_name(f"{self.asking.folder.name}.ladder.toml")
        path.write_text(write_ladder(due.values(), asked, days))
        await publish(path, self.asking.targets[0])
        for target in self.asking.targets:
            self.books.hold(await wait_until_loaded(target, LOADED_S_MAX), "no ladder in force")
        for customer, step in due.items():
            answer = await self._ask(customer)
            found = [one.detail_code for one in answer.rewards.rewards]
            steps = [one for one in found if one.startswith(draw_of(0)[:-1])]
            wanted = [draw_of(step)] if step > 0 else []
            self._hold(steps == wanted, customer, f"{asked} of {days} days", wanted, steps)

    def _hold(self, holds: bool, customer: str, what: str, due: object, there: object) -> None:
        self.books.hold(holds, f"{customer}: {due} of {what} are due, the server says {there}")

    async def _ask(self, customer: str) -> Answer:
        """What a large basket would get; nothing is held."""
        request = QuoteRequest(basket_id=bytes(16), sale=self.much(customer))
        return (await self.asking.client.quote(request)).answer

    def much(self, customer: str) -> Sale:
        """A sale that is so large that every limit cuts."""
        goods = LineKind.LINE_KIND_GOODS
        basket = Basket(
            index=0,
            items=tuple(Item(sku, milli, minor, unit, goods) for sku, milli, minor, unit in MUCH),
            opened_at_us=1,
            utc_offset_minutes=0,
            business_date="end",
            customer_number=customer,
            given=card_of(self._office.register.cards_of(customer)[-1]),
        )
        return write_sale(self.asking.place, basket)


def _left(asset_code: str) -> Callable[[Closed], int]:
    return lambda one: left_of(one, asset_code)


def _by_group(amounts: Counter[str], groups: dict[str, list[str]]) -> Counter[str]:
    """Add up what customers have whose account is one now, under the first of them."""
    return Counter({first: sum(amounts[one] for one in all_) for first, all_ in groups.items()})
