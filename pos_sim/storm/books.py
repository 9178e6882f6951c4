"""The storm's own books: what every answer said, against what the servers say in the end.

Knows the wallet program from its file's words alone, and no code of the server.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from loyalty.v1.answer_pb2 import AssetBalance, CouponState
from loyalty.v1.receipt_pb2 import Sale
from loyalty.v1.till_service_pb2 import AssetChange, CheckoutResponse, RefundResponse
from pos_sim.storm.gift_cards import CardBook

POINTS = "points"
FIRST_ONES = "first-ones"
FIRST_ONES_MAX = 150
DAILY = "daily"


class Sold(Struct):
    """A receipt that is sold, and what came back of it.

    Attributes:
        paid_minor: by line, in money, as answered.
        by_points_minor: by line, the part that is paid with points.
        returned_milli: by line, over all refunds.
        returned_minor: by line, over all refunds, as printed.
        by_card_minor: what a gift card paid and has not come back to it.
    """

    name: str
    customer: str
    sale: Sale
    response: CheckoutResponse
    closed: bool
    paid_minor: dict[str, int]
    by_points_minor: dict[str, int]
    returned_milli: Counter[str] = field(default_factory=Counter)
    returned_minor: Counter[str] = field(default_factory=Counter)
    paid_back_minor: int = 0
    voided: bool = False
    card_code: str = ""
    by_card_minor: int = 0

    @property
    def sold_milli(self) -> dict[str, int]:
        """By line, thousandths."""
        return {line.line_id: line.quantity_milli for line in self.sale.lines}

    def fired(self, promotion_id: str) -> bool:
        """Whether a promotion gave something."""
        rewards = self.response.answer.rewards.rewards
        return any(reward.promotion_id == promotion_id for reward in rewards)


class Books:
    """Adds up what was answered, by whoever owns it in the end."""

    def __init__(self) -> None:
        """Begin empty; `customers` are the cards that may be shown."""
        self.sold: dict[str, Sold] = {}
        self.changes: dict[str, Counter[str]] = defaultdict(Counter)
        self.merged: dict[str, str] = {}
        self.problems: list[str] = []
        self.customers: list[str] = []
        self.owned: dict[str, Counter[str]] = {}
        self.count: Counter[str] = Counter()
        self.cards = CardBook()

    def note_sold(self, receipt: Sold) -> None:
        """A receipt is committed; a repeat must say the same."""
        known = self.sold.get(receipt.name)
        if known is not None:
            self._hold(known.response == receipt.response, f"{receipt.name}: another answer")
            return
        self.sold[receipt.name] = receipt
        answer = receipt.response.answer
        for reward in answer.rewards.rewards:
            if reward.asset_code:
                self.changes[receipt.customer][reward.asset_code] += reward.amount_minor
        for spent in answer.spent:
            self.changes[receipt.customer][spent.asset_code] -= spent.amount_minor
            self.count["spent on"] += 1
        receipt.card_code, receipt.by_card_minor, problem = self.cards.note_paid(
            receipt.sale, receipt.response
        )
        self._hold(not problem, f"{receipt.name}: {problem}")
        self.count["paid with a card"] += receipt.by_card_minor > 0
        self._check_lines(receipt)

    def note_voided(self, receipt: Sold, changes: Iterable[AssetChange]) -> None:
        """A receipt is undone; once only."""
        if receipt.voided:
            return
        receipt.voided = True
        self.count["voided"] += 1
        self.cards.note_back(receipt.card_code, receipt.by_card_minor)
        receipt.by_card_minor = 0
        self._note(receipt.customer, changes)

    def note_refunded(
        self, receipt: Sold, lines: Mapping[str, int], response: RefundResponse
    ) -> None:
        """Goods came back."""
        self.count["refunded"] += 1
        self._note(receipt.customer, response.changes)
        for line in response.lines:
            receipt.returned_milli[line.line_id] += lines[line.line_id]
            receipt.returned_minor[line.line_id] += line.amount_minor
        for card in response.gift_cards:
            self.cards.note_back(card.gift_card_id, card.amount_minor)
            receipt.by_card_minor -= card.amount_minor
        self._hold(receipt.by_card_minor >= 0, f"{receipt.name}: more back on a card than it paid")
        receipt.paid_back_minor += response.amount_minor
        paid_minor = sum(receipt.paid_minor.values())
        text = f"{receipt.name}: {receipt.paid_back_minor} paid back of {paid_minor}"
        self._hold(receipt.paid_back_minor <= paid_minor, text)
        for line_id, milli in receipt.returned_milli.items():
            sold_milli = receipt.sold_milli[line_id]
            paid_minor = receipt.paid_minor[line_id] + receipt.by_points_minor[line_id]
            back_minor = receipt.returned_minor[line_id]
            self._hold(milli <= sold_milli, f"{receipt.name}/{line_id}: more back than sold")
            whole = milli == sold_milli
            exact = back_minor == paid_minor if whole else back_minor <= paid_minor
            self._hold(exact, f"{receipt.name}/{line_id}: {back_minor} back of {paid_minor}")

    def note_merged(self, loser: str, winner: str) -> None:
        """All that one customer has is another's now."""
        self.count["merged"] += 1
        self.merged[loser] = winner

    def owner_of(self, customer: str) -> str:
        """Who owns now what a customer once owned."""
        while customer in self.merged:
            customer = self.merged[customer]
        return customer

    def expected(self) -> dict[str, Counter[str]]:
        """By owner and asset what the answers come to, minor units."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for customer, changes in self.changes.items():
            found[self.owner_of(customer)].update(changes)
        return found

    def check_balance(
        self, customer: str, balances: Iterable[AssetBalance], expired: Counter[str]
    ) -> None:
        """Hold what a customer owns in the end to the answers and to what has expired.

        Of whoever was merged only the sum of all is checked: what had expired before stands in the
        statement of an account that is no more.
        """
        owner = self.owner_of(customer)
        expected = self.expected()[owner]
        owned = Counter({one.asset_code: one.amount_minor for one in balances})
        known = self.owned.setdefault(owner, owned)
        self._hold(known == owned, f"customer {customer}: another balance than {owner}")
        if owner in self.merged.values():
            return
        for asset_code in expected.keys() | owned.keys():
            due_minor = expected[asset_code] - expired[asset_code]
            text = (
                f"customer {customer}: answers come to {expected[asset_code]} {asset_code}, "
                f"{expired[asset_code]} expired, the server says {owned[asset_code]}"
            )
            self._hold(due_minor == owned[asset_code], text)

    def check_total(self, breakage: Counter[str]) -> None:
        """Hold what all own together to all answers and to all that has expired."""
        given, owned = Counter[str](), Counter[str]()
        for changes in self.changes.values():
            given.update(changes)
        for balances in self.owned.values():
            owned.update(balances)
        for asset_code in given.keys() | owned.keys():
            left_minor = given[asset_code] - breakage[asset_code]
            text = (
                f"answers come to {given[asset_code]} {asset_code}, {breakage[asset_code]} "
                f"expired, all customers own {owned[asset_code]}"
            )
            self._hold(left_minor == owned[asset_code], text)

    def check_limits(self) -> None:
        """Hold what was given to the program's limits: only facts go beyond them."""
        standing = [one for one in self.sold.values() if not one.voided]
        by_request = [one for one in standing if one.fired(FIRST_ONES) and not one.closed]
        self.count[FIRST_ONES] = len([one for one in standing if one.fired(FIRST_ONES)])
        text = f"{len(by_request)} requests got {FIRST_ONES}, {FIRST_ONES_MAX} may"
        self._hold(len(by_request) <= FIRST_ONES_MAX, text)

        coupons: Counter[str] = Counter()
        for one in standing:
            for shown in one.response.answer.coupons:
                coupons[shown.code] += shown.state == CouponState.COUPON_STATE_APPLIED
        self.count["coupons used"] = coupons.total()
        twice = [code for code, times in coupons.items() if times > 1]
        self._hold(not twice, f"coupons used twice: {', '.join(twice)}")

    def _note(self, customer: str, changes: Iterable[AssetChange]) -> None:
        for change in changes:
            self.changes[customer][change.asset_code] += change.amount_minor

    def _check_lines(self, receipt: Sold) -> None:
        """Points are earned on what is paid, and no line costs more than was sent."""
        for line in receipt.sale.lines:
            paid_minor = receipt.paid_minor[line.line_id]
            fits = 0 <= paid_minor <= line.amount_minor
            self._hold(fits, f"{receipt.name}/{line.line_id}: {paid_minor} of {line.amount_minor}")
        if not receipt.customer:
            given = [one for one in receipt.response.answer.rewards.rewards if one.asset_code]
            self._hold(not given, f"{receipt.name}: points for nobody")

    def _hold(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)
