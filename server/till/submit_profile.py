"""SubmitProfile: answers to prompts, from any channel. Validated, versioned, kept for ever."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from babel.core import get_global

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import AccountChange, Commit, CommitKey, KeyKind, StoredAnswer, StoredReceipt
from rewards.program import ProfileField
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CompiledProgram
from rewards.sale import derived_key_id, fingerprint_of
from server.codec import check
from server.codec.sale_pb import identifier_from_pb
from server.lookups import Seen, Wanted
from server.profile_answer import is_kept, normal_answer
from server.reference import StoreInfo
from server.store.facts import KnownKey
from server.till.catching_up import know_versions
from server.till.context import Context, voice_of
from server.till.durable import Decided, run_durable
from server.till.stored import first_answer

_ENCODER = msgspec.msgpack.Encoder()
_CHANNEL_LAST = 4
_FINGERPRINT_KIND = 0
"""Kind under which answers are hashed with the key of identifiers: they are personal."""


class ProfileCommand(NamedTuple):
    """A submission after its request was read and checked."""

    chain_id: str
    store: StoreInfo
    key_id: bytes
    identifier_hash: bytes
    answers: tuple[tuple[str, str], ...]
    channel: int
    cashier_id: str
    fingerprint: bytes


async def submit_profile(
    context: Context, request: pb.SubmitProfileRequest, deadline_s: float
) -> bytes:
    """Record answers; durable when this returns.

    Raises:
        Refusal: ANSWER_REJECTED, CUSTOMER_NOT_FOUND, KEY_CONFLICT, or a bad request.
    """
    command = _read(context, request)
    return await run_durable(context, ProfileOperation(context, command), deadline_s)


def _read(context: Context, request: pb.SubmitProfileRequest) -> ProfileCommand:
    submission_id = check.id_of(request.submission_id, "submission_id")
    chain_id = check.text_of(request.chain_id, "chain_id")
    store = context.reference.store(chain_id, check.text_of(request.store_id, "store_id"))
    if not request.HasField("identifier"):
        check.refuse_required("identifier")
    identifier = identifier_from_pb(
        request.identifier, "identifier", chain_id, context.hash_identifier
    )
    check.count_of(len(request.answers), "answers", limits.ANSWERS_MAX, least=1)
    answers = answers_from_pb(request.answers)
    digest = answers_digest(context, chain_id, answers)
    return ProfileCommand(
        chain_id=chain_id,
        store=store,
        key_id=derived_key_id(b"profile", submission_id),
        identifier_hash=identifier.identifier_hash,
        answers=answers,
        channel=check.enum_of(request.channel, "channel", _CHANNEL_LAST),
        cashier_id=check.optional_text_of(request.cashier_id, "cashier_id"),
        fingerprint=fingerprint_of(identifier.identifier_hash + digest),
    )


def answers_digest(context: Context, chain_id: str, answers: tuple[tuple[str, str], ...]) -> bytes:
    """Hash answers for a fingerprint: 16 bytes, with a key, because they are personal."""
    return context.hash_identifier(chain_id, _FINGERPRINT_KIND, repr(answers))


def answers_from_pb(answers: Sequence[pb.ProfileAnswer]) -> tuple[tuple[str, str], ...]:
    """Read the answers as given; what the program says of them is asked after the key.

    Raises:
        Refusal: a part is missing, too long, or stands twice.
    """
    found: dict[str, str] = {}
    for n, answer in enumerate(answers):
        path = f"answers[{n}]"
        code = check.text_of(answer.field_code, f"{path}.field_code")
        if code in found:
            check.refuse_inconsistent(f"{path}.field_code", f"{code} stands twice")
        found[code] = check.text_of(answer.value, f"{path}.value", limits.TEXT_ANSWER_MAX)
    return tuple(found.items())


def checked_answers(
    answers: Sequence[tuple[str, str]], store: StoreInfo, program: CompiledProgram
) -> list[tuple[ProfileField, str]]:
    """Hold the answers to the fields of the program, and spell them in their normal form.

    Args:
        answers: (field code, value as given).
        store: whose country a phone without a code is of.
        program: whose fields they are.

    Raises:
        Refusal: INCONSISTENT for a field that the program does not have, ANSWER_REJECTED.
    """
    fields = {compiled.field.field_code: compiled.field for compiled in program.fields}
    region = _region(store.record.time_zone)
    found = []
    for n, (code, value) in enumerate(answers):
        if code not in fields:
            path = f"answers[{n}].field_code"
            check.refuse_inconsistent(path, f"{code} is not a field of the program")
        normal = normal_answer(fields[code], value, region, f"answers[{n}].value")
        found.append((fields[code], normal))
    return found


def _region(time_zone: str) -> str:
    """Country of the store by its time zone, for phones without a code; empty if not known."""
    found = get_global("zone_territories").get(time_zone, "")
    assert isinstance(found, str)
    return found


def fields_to_come(context: Context, chain_id: str, at_us: int) -> tuple[ProfileField, ...]:
    """Fields of the chain's programs that are published and not in force at an instant."""
    coming = context.reference.rules_to_come(chain_id, at_us)
    return tuple(compiled.field for rules in coming for compiled in rules.program.fields)


def stored_answers(
    customer_id: int,
    answers: Sequence[tuple[ProfileField, str]],
    channel: int,
    cashier_id: str,
    to_come: Sequence[ProfileField],
) -> tuple[StoredAnswer, ...]:
    """Make checked answers ready to be written.

    Args:
        customer_id: whose.
        answers: with the fields that are in force.
        channel: a ProfileChannel.
        cashier_id: who asked.
        to_come: fields of later versions, whose rules may ask about an answer of theirs.
    """
    kept = {
        (field.field_code, value)
        for field, value in answers
        for one in (field, *to_come)
        if one.field_code == field.field_code and is_kept(one, value)
    }
    return tuple(
        StoredAnswer(
            customer_id=customer_id,
            field_code=field.field_code,
            value=value,
            kept_value=value if (field.field_code, value) in kept else None,
            channel=channel,
            cashier_id=cashier_id,
        )
        for field, value in answers
    )


class ProfileOperation:
    """A submission as a durable operation."""

    def __init__(self, context: Context, command: ProfileCommand) -> None:
        """Say what to look up: the submission's key and the customer.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self.wanted = Wanted((command.key_id,), (command.identifier_hash,))

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was submitted before: give that answer.

        Raises:
            Refusal: KEY_CONFLICT if the answers were others.
        """
        key_id, fingerprint = self._command.key_id, self._command.fingerprint
        other = "the submission id was used for other answers"
        return await first_answer(self._context, key_id, known, fingerprint, other, deadline_s)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Record the answers.

        Raises:
            Refusal: CUSTOMER_NOT_FOUND, DEADLINE_PASSED.
        """
        command, context = self._command, self._context
        if seen.customer is None:
            raise Refusal(Reason.CUSTOMER_NOT_FOUND, "no customer has this identifier")
        facts = seen.customer.facts
        # Rules of a version that was published just now may ask about what is answered now.
        await know_versions(context, deadline_s)
        now_us = context.clock()
        rules = context.reference.rules_at(command.chain_id, now_us)
        answers = checked_answers(command.answers, command.store, rules.program)
        answer = self._answer(rules.program)
        request = _ENCODER.encode([code for code, _ in command.answers])
        commit = Commit(
            keys=(CommitKey(command.key_id, KeyKind.PROFILE, command.fingerprint),),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=(AccountChange(facts.account_id, facts.account_version),),
            receipt=StoredReceipt(command.key_id, rules.version, now_us, request, b"", answer),
            answers=stored_answers(
                facts.customer_id,
                answers,
                command.channel,
                command.cashier_id,
                fields_to_come(context, command.chain_id, now_us),
            ),
        )
        return Decided(commit, answer)

    def _answer(self, program: CompiledProgram) -> bytes:
        command = self._command
        language = command.store.record.language_code
        speaker = voice_of(command.store, program, language, "").cashier
        response = pb.SubmitProfileResponse(result=pb.DURABLE_RESULT_COMMITTED)
        response.field_codes.extend(code for code, _ in command.answers)
        response.texts.add(
            place=answer_pb2.TEXT_PLACE_CASHIER,
            style=answer_pb2.TEXT_STYLE_NORMAL,
            text=speaker.say("cashier_thanks"),
        )
        return response.SerializeToString()
