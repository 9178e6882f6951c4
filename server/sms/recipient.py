"""Whom a message is for: gathered anew whenever one is looked at. Personal: never logged."""

from datetime import tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

from rewards.outbox import Recipient
from rewards.program import MessageRules
from rewards.ruleset import CompiledProgram
from server.sms.transport import digits_of
from server.store.outbox_work import Claimed
from server.store.recipients import Addressee, is_stopped, read_addressee, read_come_back
from server.till.break_off import void_key_id_of
from server.till.context import Context

PHONE_KIND = 104
"""What a phone is hashed as, besides identifiers and codes."""
NOBODY = Addressee("", {})


class Address(Struct, frozen=True):
    """A recipient and their language; empty where it is not known."""

    recipient: Recipient
    language_code: str


async def read_recipient(context: Context, claimed: Claimed, program: CompiledProgram) -> Address:
    """Gather whom a message is for, and what has come back of its receipt.

    Raises:
        RetryError: the database cannot be reached.
        Refusal: the store is not known any more.
    """
    rules = program.messages
    phone_field = phone_field_of(program)
    fields = [code for code in (phone_field, rules.consent_field, rules.zone_field) if code]
    async with context.database.reading() as connection:
        found = await read_addressee(connection, claimed.customer_id, fields) or NOBODY
        phone = found.answers.get(phone_field, "")
        phone_hash = phone_hash_of(context, phone)
        stopped = bool(phone) and await is_stopped(connection, claimed.chain_id, phone_hash)
        void_key_id = void_key_id_of(claimed.receipt_id)
        back = await read_come_back(connection, claimed.receipt_id, void_key_id)
    store = context.reference.store(claimed.chain_id, claimed.store_id)
    recipient = Recipient(
        phone=phone,
        consent=found.answers.get(rules.consent_field, ""),
        zone=_zone(rules, found, store.zone),
        is_stopped=stopped,
        is_voided=back.is_voided,
        claimed=back.claimed,
        sending_minor=back.sending_minor,
    )
    return Address(recipient, found.language_code)


def phone_field_of(program: CompiledProgram) -> str:
    """The field with the phone: the program's, or the first that is checked as one."""
    if program.messages.phone_field:
        return program.messages.phone_field
    phones = [one.field.field_code for one in program.fields if one.field.check == "phone"]
    return phones[0] if phones else ""


def phone_hash_of(context: Context, phone: str) -> bytes:
    """The keyed hash under which a phone stands in the outbox, 16 bytes."""
    return context.hash_identifier("", PHONE_KIND, digits_of(phone))


def _zone(rules: MessageRules, found: Addressee, store_zone: tzinfo) -> tzinfo:
    name = found.answers.get(rules.zone_field, "") if rules.zone_field else ""
    try:
        return ZoneInfo(name) if name else store_zone
    except (KeyError, ValueError, OSError):
        return store_zone
