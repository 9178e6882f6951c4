"""What a customer may do by their state, held to every answer: who spends, who earns, how much."""

from collections import Counter
from collections.abc import Mapping

from loyalty.v1.answer_pb2 import Answer, CustomerState, RewardKind, SetCompleteness
from loyalty.v1.receipt_pb2 import LineKind
from loyalty.v1.till_service_pb2 import CheckoutResponse
from pos_sim.storm.books import Books
from pos_sim.storm.register import ACTIVE, Register
from pos_sim.storm.rules import COSTS, OWN_COUPONS, discounts_of, may_earn
from pos_sim.storm.sold import Sold
from pos_sim.storm.world import ARTICLES

ANYBODYS = frozenset({RewardKind.REWARD_KIND_COUPON, RewardKind.REWARD_KIND_GIFT_CERTIFICATE})
NO_EARN = frozenset(sku for sku, _, category, _, _ in ARTICLES if category == "tobacco")
RATES_BP = {"chips": 800, "cents": 100}
"""What is given of all that is paid, without any bound."""


class Rights:
    """Holds answers to what customers were when they were decided."""

    def __init__(self, books: Books, register: Register) -> None:
        """Get ready; problems are added to the books."""
        self._books = books
        self._register = register

    def check_quote(self, answer: Answer, customer: str, since_us: int, until_us: int) -> None:
        """A Quote shows nothing of their own to whoever may not spend.

        Args:
            answer: of the Quote.
            customer: whose card was shown; empty is nobody's.
            since_us: when it was asked, UTC microseconds.
            until_us: when it was answered.
        """
        if answer.lines.status.completeness != SetCompleteness.SET_COMPLETENESS_COMPLETE:
            return  # the customer could not be looked up in time
        self._hold("a quote", answer, customer, since_us, until_us, {})
        is_shown = bool(answer.spendable) and answer.customer_state != ACTIVE
        self._books.hold(not is_shown, f"{customer}: shown what may not be spent")

    def check_sold(self, sold: Sold) -> None:
        """Nobody spends who may not, but for what was shown before and is paid already."""
        live = [sold.response] if sold.response is not None else []
        decided = [one for one in (*sold.bases.values(), *live) if one.HasField("answer")]
        known = {one.SerializeToString(): one for one in decided}
        for one in known.values():
            is_request = one == sold.response and not sold.request.closed
            self._check_checkout(sold, one, {} if is_request else sold.shown_spent)

    def _check_checkout(
        self, sold: Sold, checkout: CheckoutResponse, most: Mapping[str, int]
    ) -> None:
        at_us, answer = checkout.decided_at_us, checkout.answer
        self._hold(sold.name, answer, sold.card, at_us, at_us, most)
        self._books.count[f"sold to {_name(answer)}"] += 1
        spent_minor = sum(one.value_minor for one in answer.spent)
        if may_earn(answer) and not (sold.is_exchange and spent_minor):
            there = _given(answer)
            for asset_code, rate_bp in RATES_BP.items():
                due_minor = _earned(sold, answer, spent_minor, rate_bp)
                given_minor = there[asset_code]
                text = f"{sold.name}: {due_minor} {asset_code} are earned, {given_minor} given"
                self._books.hold(given_minor == due_minor, text)

    def _hold(
        self,
        name: str,
        answer: Answer,
        customer: str,
        since_us: int,
        until_us: int,
        most: Mapping[str, int],
    ) -> None:
        state = answer.customer_state
        possible = frozenset({CustomerState.CUSTOMER_STATE_UNSPECIFIED})
        if customer:
            possible = self._register.states_of(customer, since_us, until_us)
        who = f"{name}, {customer or 'nobody'}, {_name(answer)}"
        self._books.hold(state in possible, f"{who}: may have been {sorted(possible)}")
        if state != ACTIVE:
            for spent in answer.spent:
                fits = spent.amount_minor <= most.get(spent.asset_code, 0)
                self._books.hold(fits, f"{who}: spends {spent.amount_minor} {spent.asset_code}")
            off = discounts_of(answer.lines.lines)
            used = [one for one in (*COSTS, *OWN_COUPONS) if off[one]]
            self._books.hold(not used, f"{who}: pays for {used}")
        if not may_earn(answer):
            kinds = [one.kind for one in answer.rewards.rewards if one.kind not in ANYBODYS]
            self._books.hold(not kinds, f"{who}: is given rewards {kinds}")


def _name(answer: Answer) -> str:
    return CustomerState.Name(answer.customer_state).removeprefix("CUSTOMER_STATE_").lower()


def _given(answer: Answer) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in answer.rewards.rewards:
        if one.asset_code:
            found[one.asset_code] += one.amount_minor
    return found


def _earned(sold: Sold, answer: Answer, spent_minor: int, rate_bp: int) -> int:
    """What a rate of all that is paid otherwise than with points comes to, rounded down."""
    sent = {line.line_id: line for line in sold.sale.lines if line.line_id in sold.sold_milli}
    all_minor = earning_minor = 0
    for line in answer.lines.lines:
        if line.line_id in sent:
            one = sent[line.line_id]
            price_minor = one.amount_minor + sum(
                part.amount_minor for part in line.adjustments if part.promotion_id
            )
            all_minor += price_minor
            earns = one.kind == LineKind.LINE_KIND_GOODS and one.sku not in NO_EARN
            earning_minor += price_minor if earns else 0
    base_minor = 0
    if all_minor:
        base_minor, _ = divmod(earning_minor * (all_minor - spent_minor), all_minor)
    given_minor, _ = divmod(base_minor * rate_bp, 10_000)
    return given_minor
