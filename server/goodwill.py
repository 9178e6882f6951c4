"""PostGoodwill: points as a gesture of the contact centre, up to the program's limit."""

from typing import NamedTuple

import msgspec

from loyalty.v1 import customer_service_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from rewards import limits
from rewards.commit import AccountChange, Commit, CommitKey, KeyKind, StoredReceipt
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Holdings
from rewards.program import Asset
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import derived_key_id, fingerprint_of
from rewards.statement import positions
from server.codec import check
from server.customer_reference import CustomerName, customer_name_from_pb, find_party
from server.lookups import Seen, Wanted
from server.reference import StoreInfo
from server.store.facts import KnownKey
from server.till.context import Context
from server.till.durable import Decided, run_durable
from server.till.stored import first_answer

_ENCODER = msgspec.msgpack.Encoder()


class GoodwillCommand(NamedTuple):
    """A gesture after its request was read and checked."""

    chain_id: str
    store: StoreInfo
    key_id: bytes
    customer: CustomerName
    asset_code: str
    amount_minor: int
    reason_code: str
    agent_id: str
    fingerprint: bytes


async def post_goodwill(
    context: Context, request: pb.PostGoodwillRequest, deadline_s: float
) -> bytes:
    """Give points; durable when this returns.

    Raises:
        Refusal: GOODWILL_LIMIT, CUSTOMER_NOT_FOUND, KEY_CONFLICT, or a bad request.
    """
    goodwill_id = check.id_of(request.goodwill_id, "goodwill_id")
    chain_id = check.text_of(request.chain_id, "chain_id")
    store = context.reference.store(chain_id, check.text_of(request.store_id, "store_id"))
    customer = customer_name_from_pb(
        request.customer, "customer", chain_id, context.hash_identifier
    )
    asset_code = check.label_of(request.asset_code, "asset_code")
    most = limits.AMOUNT_MINOR_MAX
    amount_minor = check.number_of(request.amount_minor, "amount_minor", 1, most)
    reason_code = check.text_of(request.reason_code, "reason_code")
    agent_id = check.text_of(request.agent_id, "agent_id")
    said = (customer, asset_code, amount_minor, reason_code)
    command = GoodwillCommand(
        chain_id,
        store,
        derived_key_id(b"goodwill", chain_id.encode(), goodwill_id),
        customer,
        asset_code,
        amount_minor,
        reason_code,
        agent_id,
        fingerprint_of(_ENCODER.encode(said)),
    )
    return await run_durable(context, GoodwillOperation(context, command), deadline_s)


class GoodwillOperation:
    """A gesture as a durable operation."""

    def __init__(self, context: Context, command: GoodwillCommand) -> None:
        """Say what to look up: the gesture's key.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self.wanted = Wanted((command.key_id,), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was posted before: give that answer.

        Raises:
            Refusal: KEY_CONFLICT if it was another gesture.
        """
        key_id, fingerprint = self._command.key_id, self._command.fingerprint
        other = "the goodwill id was used for another gesture"
        return await first_answer(self._context, key_id, known, fingerprint, other, deadline_s)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Grant a lot at the chain's own cost.

        Raises:
            Refusal: GOODWILL_LIMIT, CUSTOMER_NOT_FOUND.
        """
        command, context = self._command, self._context
        now_us = context.clock()
        rules = context.reference.rules_at(command.chain_id, now_us)
        asset = self._asset(rules)
        async with context.database.reading() as connection:
            party = await find_party(connection, command.customer)
        account = party.account
        before_minor = _balance(party.holdings, command.asset_code, now_us)
        _check_bound(asset, before_minor, command.amount_minor)
        window = dict(command.store.facts_at(rules, now_us).windows)[command.asset_code]
        journal = Journal(command.key_id, party.holdings.lots)
        journal.grant("", command.asset_code, command.amount_minor, window)
        answer = self._answer(before_minor, window)
        request = _ENCODER.encode((command.reason_code, command.agent_id))
        commit = Commit(
            keys=(CommitKey(command.key_id, KeyKind.GOODWILL, command.fingerprint),),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=(AccountChange(account.account_id, account.version, journal.movement()),),
            receipt=StoredReceipt(command.key_id, rules.version, now_us, request, b"", answer),
        )
        return Decided(commit, answer)

    def _asset(self, rules: ProgramRules) -> Asset:
        """The asset, if so much of it may be given.

        Raises:
            Refusal: GOODWILL_LIMIT; INCONSISTENT for an asset that the program does not have.
        """
        command = self._command
        asset = rules.program.assets.get(command.asset_code)
        if asset is None:
            check.refuse_inconsistent("asset_code", "is not an asset of the program")
        if command.amount_minor > asset.goodwill_max_minor:
            text = f"{command.amount_minor} is more than a gesture may give"
            raise _limit(command.asset_code, asset.goodwill_max_minor, text)
        return asset

    def _answer(self, before_minor: int, window: AssetWindow) -> bytes:
        command = self._command
        response = pb.PostGoodwillResponse(
            result=till_pb.DURABLE_RESULT_COMMITTED,
            balance_minor=before_minor + command.amount_minor,
            active_from_us=window.active_from_us,
            expires_at_us=window.expires_at_us,
        )
        return response.SerializeToString()


def _balance(holdings: Holdings, asset_code: str, at_us: int) -> int:
    found = {one.asset_code: one.amount_minor for one in positions(holdings, at_us)}
    return found.get(asset_code, 0)


def _check_bound(asset: Asset, before_minor: int, amount_minor: int) -> None:
    """Hold a balance to the asset's bound.

    Raises:
        Refusal: GOODWILL_LIMIT.
    """
    room_minor = asset.balance_max_minor - before_minor
    if asset.balance_max_minor and amount_minor > room_minor:
        text = f"the balance may not rise above {asset.balance_max_minor}"
        raise _limit(asset.code, max(0, room_minor), text)


def _limit(asset_code: str, max_minor: int, text: str) -> Refusal:
    metadata = {"asset_code": asset_code, "max_minor": str(max_minor)}
    return Refusal(Reason.GOODWILL_LIMIT, text, metadata)
