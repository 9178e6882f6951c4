"""What customers should own after a run, from the answers alone, against what Identify says.

Knows no rule of any program: it adds up what the server said it posted and took back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec import Struct

from loyalty.v1.answer_pb2 import AssetBalance, RewardKind
from loyalty.v1.till_service_pb2 import CheckoutResponse, VoidResponse

POSTED_KINDS = frozenset({RewardKind.REWARD_KIND_POINTS, RewardKind.REWARD_KIND_DEFERRED_DISCOUNT})


class Mismatch(Struct, frozen=True):
    """A balance that did not grow by what was posted; amounts in the asset's minor unit."""

    customer_number: str
    asset_code: str
    posted_minor: int
    grown_minor: int


class Auditor:
    """Keeps books of its own, by customer and asset."""

    def __init__(self, since_us: int = 0) -> None:
        """Begin empty books.

        Args:
            since_us: The server's clock before the run, UTC microseconds. What was decided earlier
                is the answer to an earlier run's call, sent again: balances hold it already.
        """
        self._since_us = since_us
        self._before: dict[str, Counter[str]] = {}
        self._posted: dict[str, Counter[str]] = defaultdict(Counter)
        self._uncertain: set[str] = set()
        self.posted: Counter[str] = Counter()
        """Posted by all answers together, by asset, minor units."""
        self.voided: Counter[str] = Counter()
        """Taken back by voids, by asset, minor units; negative."""
        self.decimals: dict[str, int] = {}
        """Decimals of each asset that was seen."""

    def open(self, customer_number: str, balances: Iterable[AssetBalance]) -> None:
        """Note what a customer owns before the run."""
        self._before[customer_number] = self._read(balances)

    def note_sold(self, customer_number: str, response: CheckoutResponse) -> bool:
        """Note what a committed receipt posted; false if an earlier run did that."""
        self._note_decimals(response.answer.rewards.balances)
        if response.decided_at_us < self._since_us:
            return False
        for reward in response.answer.rewards.rewards:
            if reward.kind in POSTED_KINDS:
                self._posted[customer_number][reward.asset_code] += reward.amount_minor
                self.posted[reward.asset_code] += reward.amount_minor
        return True

    def note_voided(self, customer_number: str, response: VoidResponse) -> None:
        """Note what a void took back, unless an earlier run did that."""
        if response.decided_at_us < self._since_us:
            return
        for change in response.changes:
            self._posted[customer_number][change.asset_code] += change.amount_minor
            self.voided[change.asset_code] += change.amount_minor

    def note_uncertain(self, customer_number: str) -> None:
        """Note that a call ended without an answer: this customer cannot be checked."""
        self._uncertain.add(customer_number)

    @property
    def customers(self) -> list[str]:
        """The customers that can be checked."""
        return sorted(self._before.keys() - self._uncertain)

    @property
    def uncertain_count(self) -> int:
        """Known customers that cannot be checked."""
        return len(self._uncertain - {""})

    def check(self, customer_number: str, balances: Iterable[AssetBalance]) -> list[Mismatch]:
        """Compare what a customer owns after the run with the books."""
        grown = self._read(balances)
        grown.subtract(self._before[customer_number])
        posted = self._posted[customer_number]
        return [
            Mismatch(customer_number, asset, posted[asset], grown[asset])
            for asset in sorted(posted.keys() | grown.keys())
            if posted[asset] != grown[asset]
        ]

    def _read(self, balances: Iterable[AssetBalance]) -> Counter[str]:
        listed = list(balances)
        self._note_decimals(listed)
        return Counter({balance.asset_code: balance.amount_minor for balance in listed})

    def _note_decimals(self, balances: Iterable[AssetBalance]) -> None:
        for balance in balances:
            self.decimals[balance.asset_code] = balance.decimals
