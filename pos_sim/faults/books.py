"""What tills did in a fault run, how long they waited, and what the ledger must say in the end.

Knows the field program from its file's words alone, and no code of the server.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from loyalty.v1.answer_pb2 import AssetBalance
from loyalty.v1.receipt_pb2 import OutcomeKind, ReceiptKey
from loyalty.v1.till_service_pb2 import CheckoutResponse, GetReceiptResponse, ReceiptState
from pos_sim.faults.world import POINTS_PERCENT, discount_minor, percent_of, price_minor
from pos_sim.tally import Latency
from pos_sim.workload import Basket

POINTS = "points"
LATE_S = 2.30
"""The service level of 2.25 s, counting what a busy machine takes to run a till."""
LIVE_SHARE = 0.999
LIVE_CALLS = frozenset({"quote", "checkout"})
"""A void or refund is a fact: behind others of its till the spool takes it, and that is well."""
PROBLEMS_SHOWN = 20
PLAIN = OutcomeKind.OUTCOME_KIND_PLAIN
NOT_SOLD = OutcomeKind.OUTCOME_KIND_NOT_SOLD
AS_ANSWERED = OutcomeKind.OUTCOME_KIND_AS_ANSWERED
SOLD_STATES = frozenset(
    {
        ReceiptState.RECEIPT_STATE_COMMITTED,
        ReceiptState.RECEIPT_STATE_PARTLY_REFUNDED,
        ReceiptState.RECEIPT_STATE_REFUNDED,
    }
)


class Sold(Struct):
    """A receipt and how it ended, as the till knows it.

    Attributes:
        outcome: What the till did: AS_ANSWERED, PLAIN or NOT_SOLD.
        answer: If it was answered live.
        is_taken: The cash server has what the till stated, or the till stated nothing.
        refunded_minor: What came back of it, minor units of money as it was sold.
    """

    name: str
    key: ReceiptKey
    basket: Basket
    outcome: OutcomeKind.ValueType = AS_ANSWERED
    answer: CheckoutResponse | None = None
    is_taken: bool = True
    is_voided: bool = False
    refunded_minor: int = 0

    @property
    def points_minor(self) -> int:
        """What the customer must have of it in the end.

        A tenth of what it costs with its discount; and at the plain price the discount besides,
        by the offline policy of its promotion.
        """
        if not self.basket.customer_number or self.outcome == NOT_SOLD or self.is_voided:
            return 0
        off_minor = discount_minor(self.basket)
        kept_minor = price_minor(self.basket) - off_minor - self.refunded_minor
        instead_minor = off_minor if self.outcome == PLAIN else 0
        return percent_of(kept_minor, POINTS_PERCENT) + instead_minor


class Books:
    """Of one scenario."""

    def __init__(self) -> None:
        """Begin empty."""
        self.receipts: dict[str, Sold] = {}
        self.count: Counter[str] = Counter()
        self.latency = Latency()
        self.slowest_s = 0.0
        self.good_calls = 0
        self.good_misses: Counter[str] = Counter()
        self.problems: list[str] = []

    def note_call(
        self, call: str, seconds: float, ended: str, is_good: bool, lag_s: float = 0.0
    ) -> None:
        """A till has waited for a call.

        Args:
            call: Which.
            seconds: How long, by the till's own clock.
            ended: "answered", or how it was broken off.
            is_good: The link was good all the time.
            lag_s: How long this process, in which all tills live, stood still meanwhile.
        """
        self.count[f"{call} {ended}"] += 1
        self.latency.record(seconds)
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds - lag_s > LATE_S:
            self.problem(f"{call} {ended} after {seconds:.2f} s")
        if is_good and call in LIVE_CALLS:
            self.good_calls += 1
            if ended != "answered":
                self.good_misses[f"{call} {ended}"] += 1

    def problem(self, what: str) -> None:
        """Something is wrong; a few are told, all are counted."""
        self.count["problems"] += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(what)

    def hold(self, holds: bool, what: str) -> None:
        """Something must be so."""
        if not holds:
            self.problem(what)

    def check_answer(self, sold: Sold) -> None:
        """What was answered live is what the program says."""
        assert sold.answer is not None, "it was answered"
        given = sum(
            reward.amount_minor
            for reward in sold.answer.answer.rewards.rewards
            if reward.asset_code == POINTS
        )
        whole = Sold(sold.name, sold.key, sold.basket)
        self.hold(given == whole.points_minor, f"{sold.name}: {given} points were answered")

    def check_waits(self) -> None:
        """With a good link nearly all is answered live."""
        allowed = int(self.good_calls * (1 - LIVE_SHARE))
        missed = ", ".join(f"{what} {times}" for what, times in self.good_misses.items())
        text = f"of {self.good_calls} calls over a good link were not answered live: {missed}"
        self.hold(self.good_misses.total() <= allowed, text)
        waiting = [one.name for one in self.receipts.values() if not one.is_taken]
        self.hold(not waiting, f"never taken: {', '.join(waiting[:5])}")

    def check_receipt(self, sold: Sold, found: GetReceiptResponse | None) -> None:
        """Every receipt sold is in the ledger, and what was not sold is not.

        Args:
            sold: As the till knows it.
            found: As the server knows it; None if it does not.
        """
        state = found.state if found is not None else ReceiptState.RECEIPT_STATE_UNSPECIFIED
        text = f"{sold.name} is {ReceiptState.Name(state)}, sold {OutcomeKind.Name(sold.outcome)}"
        if sold.is_voided:
            self.hold(state == ReceiptState.RECEIPT_STATE_VOIDED, text)
        elif sold.outcome == NOT_SOLD:
            self.hold(state not in SOLD_STATES, text)
        else:
            self.hold(state in SOLD_STATES, text)
        if sold.answer is not None and found is not None:
            self.hold(found.checkout == sold.answer, f"{sold.name}: another answer than the first")

    def check_customer(
        self, customer: str, balances: Iterable[AssetBalance], by_receipt: Mapping[bytes, int]
    ) -> None:
        """Nobody was paid twice, nor too little: by receipt, and together.

        Args:
            customer: Whose.
            balances: What they own.
            by_receipt: What their statement says came of each receipt, by receipt id.
        """
        own = [one for one in self.receipts.values() if one.basket.customer_number == customer]
        expected = sum(one.points_minor for one in own)
        owned = sum(one.amount_minor for one in balances if one.asset_code == POINTS)
        self.hold(owned == expected, f"customer {customer} owns {owned} points, not {expected}")
        self.count["points"] += owned
        self.hold(
            sum(by_receipt.values()) == owned,
            f"customer {customer}: the statement comes to {sum(by_receipt.values())}, not {owned}",
        )

    def check_forwarded(self, points: Mapping[str, int]) -> None:
        """What the statements say of each receipt by itself.

        Args:
            points: By the name of the receipt.
        """
        for name, found in points.items():
            sold = self.receipts[name]
            if not sold.is_voided and not sold.refunded_minor:
                expected = sold.points_minor
                self.hold(found == expected, f"{name}: {found} points, not {expected}")


class Verdict(Struct, frozen=True):
    """How a scenario ended."""

    scenario: str
    books: Books
    seconds: float
    drained_s: float
    spool: dict[str, int] = field(default_factory=dict)


def by_outcome(books: Books) -> Counter[str]:
    """How many receipts ended in which way."""
    found: Counter[str] = Counter()
    for sold in books.receipts.values():
        if sold.answer is not None:
            found["live"] += 1
        else:
            found[OutcomeKind.Name(sold.outcome).removeprefix("OUTCOME_KIND_").lower()] += 1
    return found


def sums_by_key(entries: Iterable[tuple[bytes, int]]) -> dict[bytes, int]:
    """Sum amounts by receipt id."""
    found: dict[bytes, int] = defaultdict(int)
    for key_id, amount_minor in entries:
        found[key_id] += amount_minor
    return dict(found)
