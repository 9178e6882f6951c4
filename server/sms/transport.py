"""What a worker needs of whatever carries its messages, and the four ways in which that can end."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct


class Submission(Struct, frozen=True):
    """One part of a message on its way out. Personal: never logged.

    Attributes:
        submission_id: names message and part; the same whenever it is sent again.
        phone: E.164.
        text: of the whole message.
        payload: this part as bytes, with the header that joins parts.
        is_gsm: in GSM-7; else in UCS-2.
        part: from 1.
        count: how many parts there are.
        is_resend: an earlier submission of it may have arrived.
        valid_s: it is of no use after so many seconds.
    """

    submission_id: str
    phone: str
    text: str
    payload: bytes
    is_gsm: bool
    part: int
    count: int
    is_resend: bool
    valid_s: int


class Accepted(Struct, frozen=True):
    """It is taken.

    Attributes:
        provider_id: how the transport calls it.
        is_delivered: it is where it was to go; no receipt will follow.
    """

    provider_id: str
    is_delivered: bool = False


class Refused(Struct, frozen=True):
    """It will never be taken."""

    note: str


class NotNow(Struct, frozen=True):
    """It is certain that it was not taken; later it may be.

    Attributes:
        is_throttled: it is sent too fast.
    """

    note: str
    is_throttled: bool = False


class Unsure(Struct, frozen=True):
    """Nobody knows whether it was taken."""

    note: str


Fate = Accepted | Refused | NotNow | Unsure


class Delivery(Struct, frozen=True):
    """A delivery receipt: what became of a part in the end.

    Attributes:
        provider_id: how the transport calls the part, in whatever form.
        phone: whose it is, as the transport spells it; empty if it does not say.
        is_delivered: else it never will be.
        note: what the transport says of it.
    """

    provider_id: str
    phone: str
    is_delivered: bool
    note: str


TakeDelivery = Callable[[Delivery], Awaitable[None]]
"""Makes a delivery receipt durable; the transport acknowledges it after that."""


class Transport(Protocol):
    """Carries messages."""

    @property
    def is_ready(self) -> bool:
        """Whether a submission can be tried now."""

    @property
    def must_be_asked(self) -> bool:
        """Whether the other side does not tell by itself what became of parts."""

    def start(self, take: TakeDelivery) -> None:
        """Begin to connect; receipts go to `take`."""

    async def stop(self) -> None:
        """Disconnect; submissions that wait end as Unsure or NotNow."""

    async def submit(self, submission: Submission) -> Fate:
        """Hand a part over. Never raises for anything that the other side does."""

    async def ask(self, provider_ids: Sequence[str]) -> list[Delivery]:
        """Ask what became of parts, where the other side does not tell by itself."""


_LEADING_ZEROS = re.compile(r"^0+(?=.)")
_HEX = re.compile(r"^[0-9a-f]+\Z")


def normal_id(provider_id: str) -> str:
    """Spell an id of a gateway as it is kept: small letters, no zeros in front."""
    return _LEADING_ZEROS.sub("", provider_id.strip().lower())


def id_forms(provider_id: str) -> list[str]:
    """The forms that an id may have been given in before: as it is, or in the other base.

    Gateways are known to answer a submission with an id in hexadecimal and to name the same id in
    decimal in its delivery receipt, and the other way round.
    """
    spelled = normal_id(provider_id)
    forms = [spelled]
    if spelled.isdecimal():
        forms.append(f"{int(spelled):x}")
    if _HEX.match(spelled):
        forms.append(str(int(spelled, 16)))
    return list(dict.fromkeys(forms))


def digits_of(phone: str) -> str:
    """A phone as it is hashed: its digits, whatever stands around them."""
    return "".join(filter(str.isdecimal, phone))


def masked(phone: str) -> str:
    """A phone as people may see it: its last two digits."""
    digits = digits_of(phone)
    return f"+{'*' * (len(digits) - 2)}{digits[-2:]}" if digits else ""
