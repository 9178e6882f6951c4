"""One receipt of a storm: what the till sent, what was answered, and what it must come to."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from loyalty.v1.answer_pb2 import Answer, CustomerState, LineResult
from loyalty.v1.receipt_pb2 import LineAction, Outcome, OutcomeKind, ReceiptKey, Sale
from loyalty.v1.till_service_pb2 import (
    CheckoutRequest,
    CheckoutResponse,
    ForwardState,
    GetReceiptResponse,
    ReceiptState,
    RefundResponse,
    SettledAsset,
)
from pos_sim.storm.gift_cards import given_on, put_on
from pos_sim.storm.rules import (
    BY_LINES,
    OWN_COUPONS,
    POINTS,
    SPENT,
    Missed,
    effects_of,
    given_by,
    instead_of,
    made_good,
    may_earn,
    missed_by,
    paid_by,
    prices_back,
    taken_of,
)

NOT_SOLD = OutcomeKind.OUTCOME_KIND_NOT_SOLD
UNKNOWN = OutcomeKind.OUTCOME_KIND_UNKNOWN
PLAIN = OutcomeKind.OUTCOME_KIND_PLAIN
AS_ANSWERED = OutcomeKind.OUTCOME_KIND_AS_ANSWERED
SUPERSEDED = ForwardState.FORWARD_STATE_SUPERSEDED
VOIDED = ReceiptState.RECEIPT_STATE_VOIDED
ANSWERED = Outcome(kind=AS_ANSWERED)
NOTHING = Outcome(kind=NOT_SOLD)
NOBODYS = frozenset(
    {CustomerState.CUSTOMER_STATE_UNSPECIFIED, CustomerState.CUSTOMER_STATE_UNKNOWN}
)
NEVER_US = 1 << 62
CARD_MONEY = "gift"
OF_BEARERS = frozenset({CARD_MONEY, "coupon.welcome"})
OF_WHO_EARNS = frozenset(OWN_COUPONS.values())
"""What is theirs; given on the receipt of a customer who may not earn it is a bearer's."""


class Sold(Struct):
    """A receipt that is sold, or of which a till has stated something.

    Attributes:
        card: of whom, as it was shown.
        customer: whose it is: who had the card when it was decided last; empty is nobody.
        request: the live Checkout, if there was one; without an answer nothing is known of it.
        originals: whose goods came back on it.
        shown_minor: by line, what it costs as it was quoted.
        shown_spent: by asset, what its last quote has shown as spent.
        earns: that customer does.
        response: its first answer.
        number: of the last statement that the till has made.
        paid_minor: by line, in money, as answered.
        by_points_minor: by line, the part that is paid with points.
        returned_milli: by line, over all refunds.
        returned_minor: by line, over all refunds, as printed.
        refunds: what came back, as answered.
        is_settled: what came back on it is settled with its original.
        bases: what was decided of it, each time that it was sold, as far as the till has seen it.
    """

    name: str
    card: str
    key: ReceiptKey
    sale: Sale
    request: CheckoutRequest
    originals: "list[Sold]" = field(default_factory=list)
    shown_minor: dict[str, int] = {}
    shown_spent: dict[str, int] = {}
    earns: bool = False
    response: CheckoutResponse | None = None
    number: int = 0
    paid_minor: dict[str, int] = {}
    by_points_minor: dict[str, int] = {}
    returned_milli: Counter[str] = field(default_factory=Counter)
    returned_minor: Counter[str] = field(default_factory=Counter)
    refunds: list[RefundResponse] = field(default_factory=list)
    bases: dict[bytes, CheckoutResponse] = field(default_factory=dict)
    paid_back_minor: int = 0
    voided: bool = False
    customer: str = ""
    is_settled: bool = False

    @property
    def sold_milli(self) -> dict[str, int]:
        """By line, thousandths; without what came back on it."""
        sold = LineAction.LINE_ACTION_SALE
        return {one.line_id: one.quantity_milli for one in self.sale.lines if one.action == sold}

    @property
    def receipt_ids(self) -> set[bytes]:
        """What the server calls it, as far as the till knows."""
        live = [self.response] if self.response is not None else []
        return {one.receipt_id for one in (*live, *self.bases.values())}

    @property
    def is_exchange(self) -> bool:
        """Whether goods came back on it."""
        return any(one.action == LineAction.LINE_ACTION_RETURN for one in self.sale.lines)

    @property
    def is_there(self) -> bool:
        """Whether the till knows that something was decided of it."""
        return self.response is not None or bool(self.bases)

    @property
    def is_all_back(self) -> bool:
        """Whether all that was sold has come back."""
        return all(self.returned_milli[one] == milli for one, milli in self.sold_milli.items())

    def note_customer(self, checkout: CheckoutResponse) -> None:
        """Whose it is, by what was decided last."""
        is_known = checkout.answer.customer_state not in NOBODYS
        self.customer = self.card if is_known else ""
        self.earns = may_earn(checkout.answer)

    def take(self, checkout: CheckoutResponse, outcome: Outcome) -> None:
        """What was decided of it, and what the till did with that."""
        self.bases[checkout.SerializeToString()] = checkout
        self.note_customer(checkout)
        lines = [one for one in checkout.answer.lines.lines if one.line_id in self.sold_milli]
        missed = missed_by(checkout.answer, self.sale, outcome)
        by_lines = outcome.kind in BY_LINES
        self.paid_minor = {one.line_id: one.amount_minor for one in lines}
        if by_lines:
            self.paid_minor = paid_by(self.sale, outcome)
        is_less = by_lines and missed.spent
        self.by_points_minor = {} if is_less else {one.line_id: _by_points(one) for one in lines}


def origin_of(originals: list[Sold], answer: RefundResponse) -> Sold:
    """Of which of several receipts something came back on another one."""
    if len(originals) == 1:
        return originals[0]
    return next(one for one in originals if answer.receipt_id in one.receipt_ids)


class Closed(Struct):
    """A receipt at the end of a storm.

    Attributes:
        sold: what the till knows of it.
        final: what the server says of it.
        outcome: what counts of it; NOT_SOLD is nothing.
        after_returns: that was stated after goods had come back.
        stated_at_us: when; 0 is a live call.
        is_anew: it was sold so, and not lowered from what had been sold as answered.
        took: at what the till sold it: `outcome`, or what a live Checkout said, which settles
            nothing.
    """

    sold: Sold
    final: GetReceiptResponse
    outcome: Outcome
    after_returns: bool = False
    stated_at_us: int = 0
    is_anew: bool = False
    took: Outcome = ANSWERED

    @property
    def answer(self) -> Answer:
        """What was decided last."""
        return self.final.checkout.answer

    @property
    def counts(self) -> bool:
        """Whether anything of it counts."""
        return self.outcome.kind != NOT_SOLD and self.final.HasField("checkout")

    @property
    def stands(self) -> bool:
        """Whether it counts, and was not undone, nor came back as a whole."""
        return self.counts and self.final.state != VOIDED and not self.sold.is_all_back

    @property
    def missed(self) -> Missed:
        """What the till did not give; who sells so takes of its own what the rest was worth."""
        missed = missed_by(self.answer, self.sold.sale, self.outcome)
        return Missed(discounts=missed.discounts) if self.is_anew else missed

    def due(self) -> Counter[str]:
        """What its customer owns more by it, by asset; see `slack`."""
        sold, found = self.sold, Counter[str]()
        if not self.counts:
            return found
        found.update(effects_of(self.answer, sold.customer))
        found.update(self.stated())
        if sold.customer:
            for refund in sold.refunds:
                found.update(changes_of(refund.assets, sold.earns))
            found.update(changes_of(self.final.void_receipt.assets, sold.earns))
        return found

    def stated(self) -> Counter[str]:
        """What its customer owns more because the till did something else than was answered."""
        found = made_good(self.missed, self.answer, self.sold.customer)
        if self.after_returns and self.sold.customer:
            # What had come back before is not to be made good: the server says how much is.
            found.subtract(instead_of(self.missed, self.answer))
            found.update(self.instead())
            found.subtract(self.back_already())
        return found

    def back_already(self) -> Counter[str]:
        """What would come back by the statement, and had come back with goods before it."""
        found, taken = prices_back(self.missed), taken_of(self.answer)
        for refund in self.sold.refunds:
            if refund.decided_at_us <= self.stated_at_us:
                taken.subtract({one.asset_code: one.given_back_minor for one in refund.assets})
        return Counter({code: max(0, found[code] - taken[code]) for code in found})

    def instead(self) -> Counter[str]:
        """What was given in the stead of discounts, as the server says."""
        found: Counter[str] = Counter()
        for one in self.final.statements:
            if one.recorded_at_us == self.stated_at_us:
                for given in one.instead:
                    found[given.asset_code] += given.amount_minor
        return found

    def slack(self, now_us: int) -> Counter[str]:
        """How much more than is due may be left of it, minor units by asset.

        Nothing is owed for points that have expired unspent, nor for a coupon that is used: which
        those are, and where a statement undoes a receipt, only the server knows.
        """
        found: Counter[str] = Counter()
        for base in self.sold.bases.values():
            for reward in base.answer.rewards.rewards:
                is_lapsed = reward.asset_code == POINTS and reward.expires_at_us < now_us
                if is_lapsed or (reward.detail_code and self.final.statements):
                    found.update(given_by(reward, base.answer))
        for one in self.final.statements:
            for given in one.instead:
                found[POINTS] += given.amount_minor if given.asset_code == POINTS else 0
        return found if self.sold.customer else Counter()

    @property
    def is_stated(self) -> bool:
        """Whether the till has said at what it sold."""
        return bool(self.final.statements) or self.sold.request.outcome.kind in BY_LINES

    @property
    def is_request(self) -> bool:
        """Whether a live call asked for it before it was paid."""
        return self.sold.response is not None and not self.sold.request.closed

    @property
    def settled(self) -> list[SettledAsset]:
        """What refunds and a void have settled, by asset."""
        back = [refund.assets for refund in self.sold.refunds] + [self.final.void_receipt.assets]
        return [one for assets in back for one in assets]

    def on_cards(self) -> Counter[str]:
        """What it puts on gift cards, less what they paid of it, minor units by card."""
        found: Counter[str] = Counter()
        if not self.counts:
            return found
        taken_minor = sum(one.taken_back_minor for one in card_money(self.settled))
        for code, minor in (*put_on(self.sold.sale), *given_on(self.answer)):
            found[code] += minor - taken_minor
        if self.final.state != VOIDED and self.outcome.kind != PLAIN:
            found.subtract(dict(paid_by_cards(self.sold.sale, self.answer)))
            for refund in self.sold.refunds:
                found.update({one.gift_card_id: one.amount_minor for one in refund.gift_cards})
        return found

    def slack_on_cards(self) -> dict[str, int]:
        """What may be left on cards of what a statement undid: what was spent is not taken back."""
        if not self.final.statements:
            return {}
        given = [one for base in self.sold.bases.values() for one in given_on(base.answer)]
        return dict((*put_on(self.sold.sale), *given))

    def lapsed_codes(self, now_us: int) -> set[str]:
        """The certificates of it that have expired."""
        rewards = [r for base in self.sold.bases.values() for r in base.answer.rewards.rewards]
        lapsed = [one for one in rewards if 0 < one.expires_at_us < now_us]
        return {code for one in lapsed for code in one.codes}


def close(sold: Sold, final: GetReceiptResponse) -> Closed:
    """Work out what counts of a receipt by the contract: the last that was stated of it.

    UNKNOWN supersedes nothing; what was settled by lines, or undone, stays so once goods have come
    back, but NOT_SOLD undoes it.
    """
    came_back_us = min([one.decided_at_us for one in sold.refunds if one.lines], default=NEVER_US)
    states = [one.state for one in final.statements]
    was_sold = sold.response is not None or states[:1] == [SUPERSEDED]
    closed, number = Closed(sold, final, ANSWERED if was_sold else NOTHING), 0
    said = sold.request.outcome
    took = said if sold.response is not None and said.kind in BY_LINES else closed.outcome
    for one in final.statements:
        has_returns = came_back_us <= one.recorded_at_us
        if one.outcome.number == number:
            # Undone, to be sold anew; if a void comes in between, that is all.
            closed = Closed(sold, final, NOTHING, has_returns, one.recorded_at_us)
        elif _supersedes(closed.outcome, one.outcome, has_returns):
            is_anew = closed.outcome.kind != AS_ANSWERED
            at_us = one.recorded_at_us
            closed = Closed(sold, final, one.outcome, has_returns, at_us, is_anew)
        took = _taken(took, one.outcome, number, has_returns)
        number = one.outcome.number
    closed.took = took
    return closed


def _taken(took: Outcome, outcome: Outcome, number: int, has_returns: bool) -> Outcome:
    """At what a till says that it sold: also where goods have come back, and nothing is settled."""
    if outcome.number == number:
        return NOTHING
    is_undone = took is not NOTHING and took.kind == NOT_SOLD
    if outcome.kind == UNKNOWN or (outcome.kind != NOT_SOLD and is_undone and has_returns):
        return took
    return outcome


def _supersedes(known: Outcome, outcome: Outcome, has_returns: bool) -> bool:
    if outcome.kind == UNKNOWN or (known.kind, known.lines) == (outcome.kind, outcome.lines):
        return False
    is_undone = known is not NOTHING and known.kind == NOT_SOLD
    is_fixed = has_returns and (known.kind in BY_LINES or is_undone)
    return outcome.kind == NOT_SOLD or not is_fixed


def paid_by_cards(sale: Sale, answer: Answer) -> Iterator[tuple[str, int]]:
    """What a receipt took off gift cards: a fact takes what others hold, but not more than is."""
    there = {
        one.gift_card_id: one.available_minor + one.held_by_others_minor
        for one in answer.gift_cards
    }
    for tender in sale.tenders:
        if tender.gift_card_id:
            yield tender.gift_card_id, min(tender.amount_minor, there.get(tender.gift_card_id, 0))


def card_money(assets: Iterable[SettledAsset]) -> list[SettledAsset]:
    """What a refund or void moved on gift cards."""
    return [one for one in assets if one.asset_code == CARD_MONEY]


def changes_of(assets: Iterable[SettledAsset], earns: bool) -> Mapping[str, int]:
    """What a refund or void changes of what a customer, who earns or not, owns, by asset."""
    of_others = OF_BEARERS if earns else OF_BEARERS | OF_WHO_EARNS
    return {
        one.asset_code: one.given_back_minor - one.taken_back_minor - one.owed_minor
        for one in assets
        if one.asset_code not in of_others
    }


def _by_points(line: LineResult) -> int:
    """What of a line is paid with what the customer owned, minor units."""
    return -sum(one.amount_minor for one in line.adjustments if one.kind == SPENT)
