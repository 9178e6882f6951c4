"""The storm's own books: what every answer said, against what the servers say in the end.

Knows the wallet program from its file's words alone, and no code of the server.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from loyalty.v1.answer_pb2 import CouponState
from loyalty.v1.back_office_service_pb2 import Budget
from loyalty.v1.receipt_pb2 import ReceiptKey
from loyalty.v1.till_service_pb2 import (
    AssetChange,
    CheckoutResponse,
    ExceptionKind,
    GetReceiptResponse,
    RefundResponse,
    SettledAsset,
    VoidResponse,
)
from pos_sim.storm.counts import MOONS, NEXT, day_of, fired, left_of
from pos_sim.storm.gift_cards import card_codes, given_on, put_on
from pos_sim.storm.rules import BY_LINES, OWN_COUPONS, SHOWN_COUPONS, instead_of
from pos_sim.storm.sold import UNKNOWN, Closed, Sold, changes_of, close, origin_of, paid_by_cards

FIRST_ONES = "first-ones"
FIRST_ONES_MAX = 150
LATER = "later"


class Forwarded(NamedTuple):
    """A refund or void that was forwarded, and of what."""

    key: ReceiptKey
    sold: Sold
    is_void: bool


class Books:
    """Adds up what was answered, by whoever owns it in the end."""

    def __init__(self) -> None:
        """Begin empty; `cards` are the gift cards that are known to be sold."""
        self.sold: dict[str, Sold] = {}
        self.forwarded: list[Forwarded] = []
        self.problems: list[str] = []
        self.count: Counter[str] = Counter()
        self.cards = card_codes()

    def note_sold(self, receipt: Sold, response: CheckoutResponse) -> None:
        """A receipt is committed; a repeat must say the same."""
        known = self.sold.get(receipt.name)
        if known is not None and known.response is not None:
            self.hold(known.response == response, f"{receipt.name}: another answer")
            return
        receipt.response = response
        receipt.note_customer(response)
        self.sold.setdefault(receipt.name, receipt)
        self.count["sold"] += 1
        self.count["spent on"] += len(response.answer.spent)
        self.note_cards(receipt, response)
        self._check_lines(receipt, response)
        self.note_exchanged(receipt, response)

    def note_cards(self, receipt: Sold, checkout: CheckoutResponse) -> None:
        """The cards that are sold and the certificates that are given on it can be paid with."""
        codes = [*put_on(receipt.sale), *given_on(checkout.answer)]
        self.cards += [code for code, _ in codes if code not in self.cards]

    def note_exchanged(self, receipt: Sold, response: CheckoutResponse) -> None:
        """What came of RETURN lines; once, however often the receipt is stated."""
        if receipt.is_settled:
            return
        for answer in response.returns:
            receipt.is_settled = True
            self.count["exchanged"] += 1
            self.note_refunded(origin_of(receipt.originals, answer), answer)

    def note_voided(self, receipt: Sold, response: VoidResponse) -> None:
        """A receipt is undone; once only."""
        self.count["voided"] += not receipt.voided
        receipt.voided = True
        self._check_changes(receipt, response.changes, response.assets)

    def note_refunded(self, receipt: Sold, response: RefundResponse) -> None:
        """Goods came back, by a Refund or on RETURN lines."""
        self.count["refunded"] += 1
        receipt.refunds.append(response)
        for line in response.lines:
            receipt.returned_milli[line.line_id] += line.quantity_milli
            receipt.returned_minor[line.line_id] += line.amount_minor
        receipt.paid_back_minor += response.amount_minor
        if response.changes:
            self._check_changes(receipt, response.changes, response.assets)
        printed_minor = sum(line.amount_minor for line in response.lines)
        parts_minor = response.amount_minor + response.by_points_minor
        parts_minor += response.by_gift_cards_minor + response.kept_back_minor
        is_whole = parts_minor == printed_minor or response.short_minor
        self.hold(bool(is_whole), f"{receipt.name}: {parts_minor} back of {printed_minor}")
        for line_id, milli in receipt.returned_milli.items():
            sold_milli = receipt.sold_milli[line_id]
            self.hold(milli <= sold_milli, f"{receipt.name}/{line_id}: more back than sold")

    def _check_changes(
        self, receipt: Sold, changes: Iterable[AssetChange], assets: Iterable[SettledAsset]
    ) -> None:
        """What is said to change is what comes back less what is taken back and owed."""
        changed = {one.asset_code: one.amount_minor for one in changes if one.amount_minor}
        settled = {key: minor for key, minor in changes_of(assets, receipt.earns).items() if minor}
        settled = settled if receipt.customer else {}
        self.hold(changed == settled, f"{receipt.name}: changes {changed}, settled {settled}")

    def close(self, receipt: Sold, final: GetReceiptResponse, now_us: int) -> Closed:
        """Hold what the server says of a receipt in the end to what the till knows of it."""
        closed, name = close(receipt, final), receipt.name
        if final.HasField("checkout"):
            receipt.take(final.checkout, closed.outcome)
        if receipt.response is not None and not closed.final.statements:
            self.hold(final.checkout == receipt.response, f"{name}: another answer in the end")
        # What the till does not know hides no lower number that comes behind it.
        known = [one.outcome for one in final.statements if one.outcome.kind != UNKNOWN]
        numbers = [one.number for one in known]
        self.hold(numbers == sorted(numbers), f"{name}: stated {numbers}")
        returned = Counter[str]()
        for one in final.returns:
            returned.update({line.line_id: line.quantity_milli for line in one.lines})
        is_same = +returned == +receipt.returned_milli or not closed.counts
        self.hold(is_same, f"{name}: {returned} back, the till knows of {receipt.returned_milli}")
        self._check_money(closed)
        self._check_end(closed, now_us)
        return closed

    def _check_money(self, closed: Closed) -> None:
        """Never more is paid back than was paid; all of it if all has come back."""
        sold = closed.sold
        stated = (closed.outcome.kind, sold.request.outcome.kind)
        if not closed.counts or closed.after_returns or BY_LINES.intersection(stated):
            return
        for line_id, milli in sold.returned_milli.items():
            paid_minor = sold.paid_minor[line_id] + sold.by_points_minor.get(line_id, 0)
            back_minor = sold.returned_minor[line_id]
            whole = milli == sold.sold_milli[line_id]
            exact = back_minor == paid_minor if whole else back_minor <= paid_minor
            self.hold(exact, f"{sold.name}/{line_id}: {back_minor} back of {paid_minor}")

    def _check_end(self, closed: Closed, now_us: int) -> None:
        """What was undone, or came back as a whole, leaves nothing; nor what was not given more."""
        name = closed.sold.name
        if closed.counts and not closed.after_returns:
            told, due = +closed.instead(), +instead_of(closed.missed, closed.answer)
            self.hold(told == due, f"{name}: {told} in the stead of discounts, due are {due}")
        if not closed.stands:
            slack = closed.slack(now_us)
            for asset_code, minor in closed.due().items():
                fits = asset_code in OWN_COUPONS.values() or 0 <= minor <= slack[asset_code]
                self.hold(fits, f"{name}: undone, and leaves {minor} {asset_code}")

    def check_limits(
        self, closed: list[Closed], budgets: Mapping[tuple[str, str, str], Budget]
    ) -> None:
        """Hold what was given to the program's limits: only facts go beyond them.

        Args:
            closed: all receipts.
            budgets: by promotion, store and period, as the server counts it.
        """
        first_ones = [one for one in closed if one.stands and fired(one, FIRST_ONES)]
        by_request = [one for one in first_ones if one.is_request]
        self.count[FIRST_ONES] = len(first_ones)
        self.hold(len(by_request) <= FIRST_ONES_MAX, f"{len(by_request)} requests got {FIRST_ONES}")
        used, _ = _used(budgets.get((FIRST_ONES, "", ""), Budget()))
        text = f"{FIRST_ONES}: {len(first_ones)} receipts stand, {used} are used"
        self.hold(len(first_ones) == used, text)
        later_minor = sum(left_of(one, NEXT) for one in closed)
        _, used_minor = _used(budgets.get((LATER, "", ""), Budget()))
        self.hold(later_minor == used_minor, f"{LATER}: {later_minor} stand, {used_minor} are used")

        self._check_store_days(closed, budgets)

    def _check_store_days(
        self, closed: list[Closed], budgets: Mapping[tuple[str, str, str], Budget]
    ) -> None:
        due: Counter[tuple[str, str, str]] = Counter()
        for one in closed:
            if one.counts:
                day = date.fromordinal(day_of(one)).isoformat()
                due[MOONS, one.sold.key.store_id, day] += left_of(one, MOONS)
        keys = due.keys() | {key for key in budgets if key[0] == MOONS}
        for key in sorted(keys):
            _, used_minor = _used(budgets.get(key, Budget()))
            self.hold(due[key] == used_minor, f"{key}: {due[key]} stand, {used_minor} are used")

    def check_coupons(self, closed: Iterable[Closed]) -> None:
        """A coupon is used once."""
        coupons: Counter[str] = Counter()
        for one in closed:
            if one.stands and not SHOWN_COUPONS & one.missed.undone:
                coupons.update(_coupons(one))
        self.count["coupons used"] = coupons.total()
        twice = [code for code, times in coupons.items() if times > 1]
        self.hold(not twice, f"coupons used twice: {', '.join(twice)}")

    def _check_lines(self, receipt: Sold, response: CheckoutResponse) -> None:
        """Points are earned by somebody, no line costs more than was sent, cards pay what is on."""
        paid = {one.line_id: one.amount_minor for one in response.answer.lines.lines}
        for line in receipt.sale.lines:
            if line.line_id in receipt.sold_milli:
                paid_minor, name = paid[line.line_id], f"{receipt.name}/{line.line_id}"
                fits = 0 <= paid_minor <= line.amount_minor
                self.hold(fits, f"{name}: {paid_minor} of {line.amount_minor}")
        if not receipt.customer:
            given = [one for one in response.answer.rewards.rewards if one.asset_code]
            self.hold(not given, f"{receipt.name}: points for nobody")
        taken = sum(minor for _, minor in paid_by_cards(receipt.sale, response.answer))
        asked = sum(one.amount_minor for one in receipt.sale.tenders if one.gift_card_id)
        self.count["paid with a card"] += taken > 0
        kinds = {one.kind for one in response.exceptions}
        is_marked = ExceptionKind.EXCEPTION_KIND_GIFT_CARD in kinds
        is_right = is_marked == (taken < asked) or bool(put_on(receipt.sale))
        self.hold(is_right, f"{receipt.name}: {taken} of {asked} off a card")

    def hold(self, holds: bool, problem: str) -> None:
        """Keep a problem, unless something holds."""
        if not holds:
            self.problems.append(problem)


def _used(budget: Budget) -> tuple[int, int]:
    """What is used of a limit and beyond it: receipts, money."""
    parts = (budget.used, budget.overrun)
    return sum(one.times for one in parts), sum(one.amount_minor for one in parts)


def _coupons(closed: Closed) -> list[str]:
    applied = CouponState.COUPON_STATE_APPLIED
    return [one.code for one in closed.answer.coupons if one.state == applied]
