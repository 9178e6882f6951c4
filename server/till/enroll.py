"""Enroll: a new customer with identifiers and answers, or new identifiers for a known one."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import (
    AccountChange,
    AccountKind,
    Commit,
    CommitKey,
    KeyKind,
    NewAccount,
    NewCustomer,
    NewIdentifier,
    StoredReceipt,
)
from rewards.facts import CustomerState
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import Identifier, derived_key_id, fingerprint_of
from server.codec import check
from server.codec.sale_pb import identifier_from_pb
from server.customer_id import customer_id_of, enrolled_number_of
from server.lookups import Seen, Wanted
from server.reference import StoreInfo
from server.store.facts import KnownKey, read_identifiers
from server.store.membership import read_member_by_id
from server.till.catching_up import know_versions
from server.till.context import Context, voice_of
from server.till.durable import Decided, run_durable
from server.till.stored import first_answer
from server.till.submit_profile import (
    answers_digest,
    answers_from_pb,
    checked_answers,
    fields_to_come,
    stored_answers,
)

_ENCODER = msgspec.msgpack.Encoder()


class EnrollCommand(NamedTuple):
    """An enrolment after its request was read and checked.

    Attributes:
        existing_hash: of an identifier that the customer has; empty for a new customer.
    """

    chain_id: str
    store: StoreInfo
    key_id: bytes
    identifiers: tuple[Identifier, ...]
    existing_hash: bytes
    answers: tuple[tuple[str, str], ...]
    cashier_id: str
    language_code: str
    fingerprint: bytes


class _Enrolled(NamedTuple):
    """Who is enrolled; a new customer's account has no version yet."""

    customer_id: int
    account_id: int
    account_version: int
    customer_number: str
    state: int


async def enroll(context: Context, request: pb.EnrollRequest, deadline_s: float) -> bytes:
    """Record a customer or identifiers; durable when this returns.

    Raises:
        Refusal: IDENTIFIER_TAKEN, CUSTOMER_NOT_FOUND, ANSWER_REJECTED, KEY_CONFLICT, or a bad
            request.
    """
    command = _read(context, request)
    return await run_durable(context, EnrollOperation(context, command), deadline_s)


def _read(context: Context, request: pb.EnrollRequest) -> EnrollCommand:
    enrollment_id = check.id_of(request.enrollment_id, "enrollment_id")
    chain_id = check.text_of(request.chain_id, "chain_id")
    store = context.reference.store(chain_id, check.text_of(request.store_id, "store_id"))
    check.count_of(len(request.identifiers), "identifiers", limits.IDENTIFIERS_MAX, least=1)
    check.count_of(len(request.answers), "answers", limits.ANSWERS_MAX)
    identifiers = tuple(_identifiers(context, request, chain_id))
    existing_hash = b""
    if request.HasField("existing"):
        existing = identifier_from_pb(
            request.existing, "existing", chain_id, context.hash_identifier
        )
        existing_hash = existing.identifier_hash
    answers = answers_from_pb(request.answers)
    language_code = request.language_code
    if language_code:
        check.language_of(language_code, "language_code")
    said = (
        sorted(one.identifier_hash for one in identifiers),
        existing_hash,
        answers_digest(context, chain_id, answers),
        language_code,
    )
    return EnrollCommand(
        chain_id=chain_id,
        store=store,
        key_id=derived_key_id(b"enrollment", chain_id.encode(), enrollment_id),
        identifiers=identifiers,
        existing_hash=existing_hash,
        answers=answers,
        cashier_id=check.optional_text_of(request.cashier_id, "cashier_id"),
        language_code=language_code,
        fingerprint=fingerprint_of(_ENCODER.encode(said)),
    )


def _identifiers(
    context: Context, request: pb.EnrollRequest, chain_id: str
) -> Iterator[Identifier]:
    seen: set[bytes] = set()
    for n, identifier in enumerate(request.identifiers):
        path = f"identifiers[{n}]"
        found = identifier_from_pb(identifier, path, chain_id, context.hash_identifier)
        if found.identifier_hash in seen:
            check.refuse_inconsistent(path, "stands twice")
        seen.add(found.identifier_hash)
        yield found


class EnrollOperation:
    """An enrolment as a durable operation."""

    def __init__(self, context: Context, command: EnrollCommand) -> None:
        """Say what to look up: the enrolment's key, and the customer it names.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        hashes = (command.existing_hash,) if command.existing_hash else ()
        self.wanted = Wanted((command.key_id,), hashes)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was recorded before: give that answer.

        Raises:
            Refusal: KEY_CONFLICT if it was another enrolment.
        """
        key_id, fingerprint = self._command.key_id, self._command.fingerprint
        other = "the enrolment id was used for another enrolment"
        return await first_answer(self._context, key_id, known, fingerprint, other, deadline_s)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Record who is new.

        Raises:
            Refusal: IDENTIFIER_TAKEN, CUSTOMER_NOT_FOUND, ANSWER_REJECTED, DEADLINE_PASSED.
        """
        command, context = self._command, self._context
        if command.answers:
            await know_versions(context, deadline_s)
        now_us = context.clock()
        rules = context.reference.rules_at(command.chain_id, now_us)
        answers = checked_answers(command.answers, command.store, rules.program)
        enrolled = await self._enrolled(seen)
        identifiers = await self._new_identifiers(enrolled)
        answer = self._answer(rules, enrolled)
        request = _ENCODER.encode((enrolled.customer_id, [code for code, _ in command.answers]))
        own_key = CommitKey(command.key_id, KeyKind.ENROLLMENT, command.fingerprint)
        is_new = not command.existing_hash
        commit = Commit(
            keys=(own_key, *map(_key_of, identifiers)),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=() if is_new else (_unmoved(enrolled),),
            new_accounts=(self._account(enrolled),) if is_new else (),
            receipt=StoredReceipt(command.key_id, rules.version, now_us, request, b"", answer),
            answers=stored_answers(
                enrolled.customer_id,
                answers,
                pb.PROFILE_CHANNEL_TILL,
                command.cashier_id,
                fields_to_come(context, command.chain_id, now_us),
            ),
            new_customers=(self._customer(enrolled),) if is_new else (),
            new_identifiers=identifiers,
        )
        return Decided(commit, answer)

    async def _enrolled(self, seen: Seen) -> _Enrolled:
        """Who it is: the customer that was named, or a new one."""
        command = self._command
        if not command.existing_hash:
            number = enrolled_number_of(command.key_id)
            customer_id = customer_id_of(command.chain_id, number)
            return _Enrolled(customer_id, customer_id, 0, number, CustomerState.ACTIVE)
        if seen.customer is None:
            text = "no customer has this identifier"
            raise Refusal(Reason.CUSTOMER_NOT_FOUND, text, fields=(("existing", text),))
        facts = seen.customer.facts
        async with self._context.database.reading() as connection:
            member = await read_member_by_id(connection, facts.customer_id)
        number = "" if member is None else member.customer_number
        return _Enrolled(
            facts.customer_id, facts.account_id, facts.account_version, number, facts.state
        )

    async def _new_identifiers(self, enrolled: _Enrolled) -> tuple[NewIdentifier, ...]:
        """The identifiers that nobody has yet; those that the customer has are left out.

        Raises:
            Refusal: IDENTIFIER_TAKEN for one that somebody else has.
        """
        identifiers = self._command.identifiers
        hashes = [one.identifier_hash for one in identifiers]
        async with self._context.database.reading() as connection:
            owners = await read_identifiers(connection, hashes)
        found = []
        for n, one in enumerate(identifiers):
            owner = owners.get(one.identifier_hash)
            if owner is not None and owner[1] != enrolled.customer_id:
                text = "another customer has this identifier"
                path = f"identifiers[{n}]"
                raise Refusal(Reason.IDENTIFIER_TAKEN, f"{path}: {text}", fields=((path, text),))
            if owner is None:
                found.append(_new_identifier(one, enrolled))
        return tuple(found)

    def _account(self, enrolled: _Enrolled) -> NewAccount:
        return NewAccount(
            enrolled.account_id, AccountKind.CUSTOMER, chain_id=self._command.chain_id
        )

    def _customer(self, enrolled: _Enrolled) -> NewCustomer:
        command = self._command
        return NewCustomer(
            enrolled.customer_id,
            command.chain_id,
            enrolled.customer_number,
            command.language_code,
        )

    def _answer(self, rules: ProgramRules, enrolled: _Enrolled) -> bytes:
        store = self._command.store
        speaker = voice_of(store, rules.program, store.record.language_code, "").cashier
        response = pb.EnrollResponse(
            result=pb.DURABLE_RESULT_COMMITTED,
            state=answer_pb2.CustomerState.ValueType(enrolled.state),
            customer_number=enrolled.customer_number,
        )
        response.texts.add(
            place=answer_pb2.TEXT_PLACE_CASHIER,
            style=answer_pb2.TEXT_STYLE_NORMAL,
            text=speaker.say("cashier_enrolled"),
        )
        return response.SerializeToString()


def _unmoved(enrolled: _Enrolled) -> AccountChange:
    return AccountChange(enrolled.account_id, enrolled.account_version)


def _new_identifier(identifier: Identifier, enrolled: _Enrolled) -> NewIdentifier:
    return NewIdentifier(
        identifier.identifier_hash,
        derived_key_id(b"identifier", identifier.identifier_hash),
        identifier.kind,
        enrolled.customer_id,
        enrolled.account_id,
    )


def _key_of(identifier: NewIdentifier) -> CommitKey:
    return CommitKey(identifier.key_id, KeyKind.IDENTIFIER, b"")
