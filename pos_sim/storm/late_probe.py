"""The last of a storm: sales of days gone by, which tell what limits of those days have left."""

from collections import Counter
from datetime import UTC, date, datetime, time

from loyalty.v1.answer_pb2 import Answer
from loyalty.v1.receipt_pb2 import Outcome, OutcomeKind
from loyalty.v1.till_service_pb2 import ForwardRequest, ForwardState, GetReceiptRequest
from pos_sim.run import Run
from pos_sim.storm.counts import DAILY, SUNS, SUNS_MOST_MINOR, ZONES, day_of, fired, left_of
from pos_sim.storm.probing import Probe
from pos_sim.storm.sold import Closed

LATE_DAYS_MAX = 20
"""A program takes what is 30 days late."""
DAYS_MAX = 3
"""So many days of a customer are asked for, the last ones first."""


class LateProbe:
    """Holds what days had left to what receipts of them come to."""

    def __init__(self, probe: Probe, run: Run) -> None:
        """Get ready, after everything else: what it sells counts."""
        self._probe = probe
        self._run = run

    async def check(self, closed: list[Closed], now_us: int) -> None:
        """Ask for the last days of everybody.

        Args:
            closed: all receipts.
            now_us: the servers' clock, UTC microseconds.
        """
        suns: Counter[tuple[str, int]] = Counter()
        times: Counter[tuple[str, int]] = Counter()
        first_of = {one: all_[0] for all_ in self._probe.owners.groups() for one in all_}
        for one in closed:
            if one.counts and one.sold.customer:
                key = first_of[one.sold.customer], day_of(one)
                suns[key] += left_of(one, SUNS)
                times[key] += one.stands and fired(one, DAILY)
        today = datetime.fromtimestamp(now_us / 1_000_000, UTC).date().toordinal()
        asked: Counter[str] = Counter()
        for number, (customer, day) in enumerate(sorted(suns, key=lambda key: -key[1])):
            if today - LATE_DAYS_MAX <= day < today - 1 and asked[customer] < DAYS_MAX:
                asked[customer] += 1
                due_minor = max(0, SUNS_MOST_MINOR - suns[customer, day])
                answer = await self._sell(customer, day, number)
                self._hold(answer, customer, day, due_minor, not times[customer, day])
        self._probe.books.count["days gone by that were asked for"] = asked.total()

    def _hold(
        self, answer: Answer, customer: str, day: int, due_minor: int, is_first: bool
    ) -> None:
        rewards = answer.rewards.rewards
        there_minor = sum(one.amount_minor for one in rewards if one.asset_code == SUNS)
        is_given = any(one.promotion_id == DAILY for one in rewards)
        name = f"{customer} on {date.fromordinal(day)}"
        text = f"{name}: {due_minor} suns are due, the server says {there_minor}"
        self._probe.books.hold(there_minor == due_minor, text)
        text = f"{name}: the first receipt of the day {is_first}, the server says {is_given}"
        self._probe.books.hold(is_given == is_first, text)

    async def _sell(self, customer: str, day: int, number: int) -> Answer:
        """Sell a large basket in the evening of a day; give what was decided."""
        place, client = self._probe.asking.place, self._probe.asking.client
        till = place.till
        key = self._run.receipt_key(place.chain_id, till.store_id, till.till_id, "late", number + 1)
        evening = datetime.combine(date.fromordinal(day), time(23, 59), ZONES[till.store_id])
        request = ForwardRequest(
            receipt_key=key,
            sale=self._probe.much(customer),
            outcome=Outcome(kind=OutcomeKind.OUTCOME_KIND_AS_ANSWERED, number=1),
            sold_at_us=round(evening.timestamp() * 1_000_000),
        )
        answer = await client.forward(request)
        is_taken = answer.state == ForwardState.FORWARD_STATE_RECORDED
        self._probe.books.hold(is_taken, f"a late sale to {customer}: {answer}")
        final = await client.get_receipt(GetReceiptRequest(receipt_key=key))
        return final.checkout.answer
