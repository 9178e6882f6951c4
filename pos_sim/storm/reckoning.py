"""The end of a storm: what the servers say of every receipt, customer, card and budget."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping

from loyalty.v1.back_office_service_pb2 import MoneyTransfer
from loyalty.v1.ledger_pb2 import AssetReport
from loyalty.v1.receipt_pb2 import ReceiptKey
from loyalty.v1.till_service_pb2 import (
    GetReceiptRequest,
    GetReceiptResponse,
    QuoteRequest,
    ReceiptState,
)
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, write_sale
from pos_sim.storm.books import Books, Forwarded
from pos_sim.storm.counts import CENTS, MOONS, STARS, SUNS, by_customer, given_most, left_of
from pos_sim.storm.gift_cards import (
    ASKED_MAX,
    CARD_MINOR,
    card_codes,
    write_balance_request,
)
from pos_sim.storm.office import Office
from pos_sim.storm.owners import Owners
from pos_sim.storm.payouts import CANCELLED, REQUESTED
from pos_sim.storm.rights import Rights
from pos_sim.storm.sold import VOIDED, Closed
from pos_sim.storm.world import draw_basket
from pos_sim.till_client import TillClient

PARKED = ReceiptState.RECEIPT_STATE_PARKED
PARKED_LOOKS_MAX = 20
PAUSE_S = 0.5


class Reckoning:
    """Holds what the servers say in the end to the books."""

    def __init__(
        self, books: Books, owners: Owners, office: Office, clients: list[TillClient], now_us: int
    ) -> None:
        """Get ready.

        Args:
            books: of all tills; problems are added to them.
            owners: who shares an account.
            office: asks of customers.
            clients: ask of receipts.
            now_us: the servers' clock, UTC microseconds.
        """
        self._books = books
        self._owners = owners
        self._office = office
        self._clients = clients
        self._now_us = now_us

    async def reckon(self, place: Place, run: Run) -> list[Closed]:
        """Ask for everything, and hold it to the books.

        Args:
            place: a till.
            run: names its question.

        Returns:
            All receipts, as they stand in the end.
        """
        await self._note_forwarded()
        finals = await self._receipts([one.key for one in self._books.sold.values()])
        closed = [
            self._books.close(sold, final or GetReceiptResponse(), self._now_us)
            for sold, final in zip(self._books.sold.values(), finals, strict=True)
        ]
        rights = Rights(self._books, self._office.register)
        for one in closed:
            rights.check_sold(one.sold)
        await self._check_customers(closed)
        for first, *others in self._owners.groups():
            if not others:
                self._office.gestures.check_bound(first)
        self._books.problems += self._office.gestures.problems
        self._books.check_limits(closed, await self._office.budgets())
        self._books.check_coupons(closed)
        self._check_transfers(closed, await self._office.payouts.all())
        await self._check_cards(closed, place, run)
        return closed

    async def _note_forwarded(self) -> None:
        """What came of refunds and voids that were forwarded; some waited for their sale."""
        forwarded = self._books.forwarded
        for _ in range(PARKED_LOOKS_MAX):
            finals = await self._receipts([one.key for one in forwarded])
            waiting = [
                one.sold.name
                for one, final in zip(forwarded, finals, strict=True)
                if one.sold.is_there and not _is_settled(one, final)
            ]
            if not waiting:
                break
            await asyncio.sleep(PAUSE_S)
        self._books.hold(not waiting, f"what came before its sale still waits: {waiting}")
        for one, final in zip(forwarded, finals, strict=True):
            if final is not None and final.HasField("refund"):
                self._books.note_refunded(one.sold, final.refund)

    async def _receipts(self, keys: list[ReceiptKey]) -> list[GetReceiptResponse | None]:
        found: list[GetReceiptResponse | None] = []
        step = len(self._clients)
        for start in range(0, len(keys), step):
            some = zip(self._clients, keys[start : start + step], strict=False)
            found += await asyncio.gather(*[_receipt(client, key) for client, key in some])
        return found

    async def _check_customers(self, closed: list[Closed]) -> None:
        """Hold everybody's balances to what receipts come to, and to what has expired."""
        due: dict[str, Counter[str]] = defaultdict(Counter)
        slack: dict[str, Counter[str]] = defaultdict(Counter)
        for one in closed:
            due[one.sold.customer].update(one.due())
            slack[one.sold.customer].update(one.slack(self._now_us))
        given = self._office.gestures.given
        for customer, amounts in given.items():
            due[customer].update(amounts)
        customers = self._owners.customers
        found = await asyncio.gather(*[self._office.owned_by(one) for one in customers])
        owned = dict(zip(customers, found, strict=True))
        self._books.problems += self._owners.differences(due, slack, given, owned)
        there = Counter[str]()
        for amounts in self._owners.by_account(owned):
            there.update(amounts)
        self._check_report(closed, there, await self._office.report())

    def _check_report(
        self, closed: list[Closed], there: Counter[str], report: Mapping[str, AssetReport]
    ) -> None:
        """What the chain reports adds up, and is what customers have and were given."""
        for code, one in report.items():
            costs_minor = sum(cost.amount_minor for cost in one.costs) + one.overrun_minor
            sum_minor = one.change_minor + one.redeemed_minor + one.breakage_minor
            self._books.hold(costs_minor == sum_minor, f"{code}: the report does not add up")
            if code in there and not code.startswith("coupon."):  # some are bearers'
                net_minor = one.liability_minor - one.debt_minor
                text = f"{code}: {there[code]} owned, {net_minor} reported"
                self._books.hold(net_minor == there[code], text)
            if code in (STARS, SUNS, MOONS, CENTS):
                given_minor = sum(left_of(two, code) for two in closed)
                given_minor += sum(two[code] for two in self._office.gestures.given.values())
                text = f"{code}: {given_minor} given, {costs_minor} paid for"
                self._books.hold(given_minor == costs_minor, text)

    def _check_transfers(self, closed: list[Closed], transfers: list[MoneyTransfer]) -> None:
        """Whoever has been given cents is sent as much money; what was sent is not called back.

        Of a receipt never more than was ever decided of it, however often it was sold anew.
        """
        due = by_customer(closed, lambda one: left_of(one, CENTS))
        most = by_customer(closed, lambda one: given_most(one, CENTS))
        there, sent = Counter[str](), Counter[str]()
        for one in transfers:
            customer = self._office.register.customer_of(one.customer_number)
            there[customer] += one.amount_minor if one.state != CANCELLED else 0
            is_sent = one.state not in (CANCELLED, REQUESTED)
            sent[customer] += one.amount_minor if is_sent else 0
        for customer in due.keys() | there.keys():
            most_minor = min(most[customer], due[customer] + sent[customer])
            text = (
                f"{customer}: {due[customer]} to {most_minor} are due, {there[customer]} are sent"
            )
            self._books.hold(due[customer] <= there[customer] <= most_minor, text)

    async def _check_cards(self, closed: list[Closed], place: Place, run: Run) -> None:
        """Ask what is on gift cards, and hold it to what was put on them and paid with them."""
        due, most = Counter(dict.fromkeys(card_codes(), CARD_MINOR)), Counter[str]()
        lapsed: set[str] = set()
        for one in closed:
            lapsed |= one.lapsed_codes(self._now_us)
            due.update(one.on_cards())
            most.update(one.slack_on_cards())
        codes = sorted(due)
        there = Counter[str]()
        for start in range(0, len(codes), ASKED_MAX):
            some = codes[start : start + ASKED_MAX]
            basket = draw_basket(run.chance("cards"), run, start)
            sale = write_balance_request(write_sale(place, basket), some)
            # No till's basket: it holds nothing.
            request = QuoteRequest(basket_id=bytes(16), sale=sale)
            answer = (await self._clients[0].quote(request)).answer
            there.update({one.gift_card_id: one.available_minor for one in answer.gift_cards})
            held = [one.gift_card_id for one in answer.gift_cards if one.held_by_others_minor]
            self._books.hold(not held, f"cards {held} are held in the end")
        for code in codes:
            text = f"card {code}: {due[code]} are due, the server says {there[code]}"
            least = 0 if code in lapsed else due[code]
            self._books.hold(max(0, least) <= there[code] <= due[code] + most[code], text)
        self._books.count["certificates expired"] = len(lapsed)


def _is_settled(forwarded: Forwarded, final: GetReceiptResponse | None) -> bool:
    """Whether what was forwarded waits no more for a sale that is there."""
    if final is None:
        return False
    return final.state == VOIDED if forwarded.is_void else final.state != PARKED


async def _receipt(client: TillClient, key: ReceiptKey) -> GetReceiptResponse | None:
    try:
        return await client.get_receipt(GetReceiptRequest(receipt_key=key))
    except RefusedError as error:
        if error.refusal.reason != "RECEIPT_NOT_FOUND":
            raise
        return None
