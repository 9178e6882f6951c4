"""What the back office can have done: data imported, the ledger audited, programs published.

Fetches and writes through `server.store`; knows neither gRPC nor messages.
"""

from collections.abc import Sequence

from msgspec import Struct

from rewards.list_price import FoundPrice, PricePlace, Scope
from rewards.product import Product
from rewards.program import ProfileField
from rewards.refusal import Reason, Refusal
from server.authoring.process import Workshop
from server.clock import Clock
from server.codec.back_office_pb import ImportedCustomer
from server.codec.coupon_pb import ImportedCoupon
from server.codec.price_pb import ImportedPrice
from server.codec.sale_pb import HashIdentifier
from server.coupon_series import import_coupons
from server.customer_id import customer_id_of
from server.payouts import Payouts
from server.profile_answer import KEPT_CHECKS, YES_NO
from server.publishing import Publishing
from server.reference import Reference
from server.ruleset_history import RulesetHistory
from server.store import audit, imports, leases, rulesets
from server.store.customer_imports import (
    AnswerRow,
    CustomerRow,
    IdentifierRow,
    import_customers,
)
from server.store.database import Database
from server.store.feeds import StoreRecord
from server.store.price_imports import import_prices
from server.store.rejections import CustomerNumberError, IdentifierTakenError
from server.store.rulesets import VersionHead


class KnownVersion(Struct, frozen=True):
    """A version in force or to come; `is_loaded`: this server has it in memory."""

    head: VersionHead
    is_loaded: bool


class BackOffice:
    """The back office of one database, seen from one server.

    Attributes:
        publishing: what it does with programs.
        history: all versions of the ruleset.
        payouts: transfers of money to accounts of customers.
    """

    def __init__(
        self,
        database: Database,
        reference: Reference,
        clock: Clock,
        hash_identifier: HashIdentifier,
    ) -> None:
        """Work on a database.

        Args:
            database: open.
            reference: what this server has in memory.
            clock: the server's clock.
            hash_identifier: as tills' identifiers are hashed.
        """
        self._database = database
        self._reference = reference
        self._hash_identifier = hash_identifier
        self.clock = clock
        workshop = Workshop()
        self.publishing = Publishing(database, reference, clock, workshop)
        self.history = RulesetHistory(database, clock, workshop)
        self.payouts = Payouts(database, clock)

    async def versions(self, now_us: int) -> list[KnownVersion]:
        """List the version in force at an instant and those to come."""
        loaded = {version for version, _ in self._reference.versions()}
        heads = await rulesets.versions_from_now(self._database, now_us)
        return [KnownVersion(head, head.version in loaded) for head in heads]

    async def import_stores(self, stores: Sequence[StoreRecord]) -> None:
        """Insert or replace stores."""
        await imports.import_stores(self._database, stores)

    async def import_products(self, chain_id: str, products: Sequence[Product]) -> None:
        """Insert or replace articles of a chain."""
        await imports.import_products(self._database, chain_id, products)

    async def import_customers(self, chain_id: str, customers: Sequence[ImportedCustomer]) -> None:
        """Insert or replace customers of a chain; balances stay.

        Raises:
            Refusal: INCONSISTENT for an identifier or number of another customer,
                ANSWER_REJECTED for an answer that its field does not offer.
        """
        fields = await self._closed_fields(chain_id) if any(c.answers for c in customers) else {}
        rows = [
            self._row(chain_id, customer, fields, f"customers[{n}]")
            for n, customer in enumerate(customers)
        ]
        try:
            await import_customers(self._database, chain_id, rows)
        except IdentifierTakenError as error:
            path = f"customers[{error.row}].identifiers[{error.identifier}]"
            raise _inconsistent(path, "belongs to another customer") from error
        except CustomerNumberError as error:
            path = f"customers[{error.row}].customer_number"
            text = "has the same hash as another number; the chain must change one of the two"
            raise _inconsistent(path, text) from error

    async def import_prices(self, chain_id: str, prices: Sequence[ImportedPrice]) -> None:
        """Insert, replace and remove prices of a list.

        Raises:
            Refusal: INCONSISTENT for two prices in one place.
        """
        kept: list[FoundPrice] = []
        removed: list[PricePlace] = []
        seen: dict[PricePlace, int] = {}
        for n, price in enumerate(prices):
            place = _place(chain_id, price)
            first = seen.setdefault(place, n)
            if first != n:
                raise _inconsistent(f"prices[{n}].sku", f"is also at prices[{first}]")
            if price.price_minor is None:
                removed.append(place)
            else:
                kept.append(FoundPrice(place, price.unit, price.price_minor))
        await import_prices(self._database, chain_id, kept, removed)

    async def import_coupons(
        self, chain_id: str, series_code: str, coupons: Sequence[ImportedCoupon]
    ) -> int:
        """Open coupons of a series; say how many were new.

        Raises:
            Refusal: INCONSISTENT for a series that the program in force does not have, or a code
                of another one.
        """
        now_us = self.clock()
        program = self._reference.rules_at(chain_id, now_us).program
        if series_code not in program.coupon_series:
            raise _inconsistent("series_code", "is no coupon_series of the program in force")
        return await import_coupons(
            self._database, self._hash_identifier, chain_id, series_code, coupons, now_us
        )

    async def audit(self) -> audit.Audit:
        """Prove over the whole database that the ledger is balanced."""
        return await audit.audit_ledger(self._database, self.clock())

    async def budgets(
        self, chain_id: str, promotion_id: str, after: tuple[str, str, str], count_max: int
    ) -> list[leases.BudgetState]:
        """List budgets of a chain's promotions after one of them, with what is used and leased."""
        return await leases.read_budgets(self._database, chain_id, promotion_id, after, count_max)

    async def _closed_fields(self, chain_id: str) -> dict[str, ProfileField]:
        """Fields with a closed set of answers by the chain's newest program, if it has one."""
        fields = await rulesets.newest_fields(self._database, chain_id)
        return {field.field_code: field for field in fields if field.check in KEPT_CHECKS}

    def _row(
        self,
        chain_id: str,
        customer: ImportedCustomer,
        fields: dict[str, ProfileField],
        path: str,
    ) -> CustomerRow:
        return CustomerRow(
            customer_id=customer_id_of(chain_id, customer.customer_number),
            customer_number=customer.customer_number,
            state=customer.state,
            language_code=customer.language_code,
            segments=customer.segments,
            identifiers=tuple(
                IdentifierRow(kind, self._hash_identifier(chain_id, kind, value))
                for kind, value in customer.identifiers
            ),
            answers=tuple(
                _answer_row(answer, fields, f"{path}.answers[{n}].value")
                for n, answer in enumerate(customer.answers)
            ),
            tier=customer.tier,
            counters=customer.counters,
            offers=customer.offers,
        )


def _place(chain_id: str, price: ImportedPrice) -> PricePlace:
    """Where a price stands; a customer is named by the id that facts have."""
    name = price.scope_name
    if price.scope == Scope.CUSTOMER:
        name = str(customer_id_of(chain_id, name))
    return PricePlace(price.list_code, price.sku, price.scope, name)


def _answer_row(
    answer: tuple[str, str, int], fields: dict[str, ProfileField], path: str
) -> AnswerRow:
    field_code, value, answered_at_us = answer
    field = fields.get(field_code)
    if field is None:
        return AnswerRow(field_code, answered_at_us, value, None)
    offered = field.choices if field.check == "choice" else YES_NO
    if value not in offered:
        text = f"is not one of the answers of {field_code}: {', '.join(offered)}"
        metadata = {"field_code": field_code, "check": field.check}
        raise Refusal(Reason.ANSWER_REJECTED, f"{path} {text}", metadata, ((path, text),))
    return AnswerRow(field_code, answered_at_us, value, value)


def _inconsistent(path: str, text: str) -> Refusal:
    return Refusal(Reason.INCONSISTENT, f"{path} {text}", fields=((path, text),))
