"""What every call of a till works with, put together once by `server.main`."""

from collections.abc import Collection
from datetime import tzinfo
from typing import NamedTuple, Protocol

from msgspec import Struct

from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CompiledProgram, ProgramRules
from rewards.sale import Sale
from server.budgets import Desk
from server.clock import Clock
from server.codec.asked import Voice
from server.codec.sale_pb import HashIdentifier
from server.lookups import Lookups
from server.pipeline import Pipeline
from server.reference import Reference, StoreInfo
from server.store.database import Database
from server.texts import Speaker
from server.token import TokenSigner

PROGRAMS_SPOKEN_MAX = 64
LANGUAGES_MAX = 64
VOICES_MAX = 1_024


class _Spoken(NamedTuple):
    """Who speaks for a program, by language; voices by both languages and zone."""

    program: CompiledProgram
    speakers: dict[str, Speaker]
    voices: dict[tuple[str, str, tzinfo], Voice]


_SPOKEN: dict[int, _Spoken] = {}
"""By program, each with the program itself: an id alone may be used again."""


class Evaluate(Protocol):
    """The evaluator of the setting: the kernel, or its reference twin."""

    def __call__(
        self, rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None = None
    ) -> Evaluated:
        """Evaluate a receipt; `only` names the promotions that may take part."""


class Context(Struct, frozen=True):
    """Ports and data of the calls.

    Attributes:
        pipeline: commits that somebody at a till waits for.
        patient: commits that nobody waits for: what was forwarded, what has expired.
    """

    clock: Clock
    reference: Reference
    lookups: Lookups
    pipeline: Pipeline
    patient: Pipeline
    database: Database
    signer: TokenSigner
    hash_identifier: HashIdentifier
    evaluate: Evaluate
    budgets: Desk


def check_currency(store: StoreInfo, program: CompiledProgram, currency_code: str) -> None:
    """Hold the receipt's currency to the store's and the program's.

    Raises:
        Refusal: CURRENCY_MISMATCH.
    """
    expected = store.record.currency_code
    metadata = {"expected": expected, "actual": currency_code}
    if currency_code != expected:
        text = f"{currency_code} is not the store's currency {expected}"
        fields = (("sale.header.currency_code", text),)
        raise Refusal(Reason.CURRENCY_MISMATCH, text, metadata, fields)
    if program.currency_code != expected:
        metadata["program"] = program.currency_code
        text = f"the program counts in {program.currency_code}, the store sells in {expected}"
        raise Refusal(Reason.CURRENCY_MISMATCH, text, metadata)


def voice_of(
    store: StoreInfo, program: CompiledProgram, cashier_language: str, customer_language: str
) -> Voice:
    """Who speaks: the cashier's language to the cashier, the customer's or store's on the slip."""
    slip_language = customer_language or store.record.language_code or program.language_code
    spoken = _SPOKEN.get(id(program))
    if spoken is None or spoken.program is not program:
        if len(_SPOKEN) >= PROGRAMS_SPOKEN_MAX:
            _SPOKEN.clear()
        spoken = _SPOKEN[id(program)] = _Spoken(program, {}, {})
    key = (cashier_language, slip_language, store.zone)
    voice = spoken.voices.get(key)
    if voice is None:
        cashier, slip = _speaker(cashier_language, spoken), _speaker(slip_language, spoken)
        if len(spoken.voices) >= VOICES_MAX:
            spoken.voices.clear()
        voice = spoken.voices[key] = Voice(cashier, slip, store.zone)
    return voice


def _speaker(language_code: str, spoken: _Spoken) -> Speaker:
    """One speaker for a language and program; kept while the program is in memory."""
    speaker = spoken.speakers.get(language_code)
    if speaker is None:
        if len(spoken.speakers) >= LANGUAGES_MAX:
            # Voices would keep their speakers alive.
            spoken.speakers.clear()
            spoken.voices.clear()
        program = spoken.program
        speaker = Speaker(language_code, program.currency_code, program.texts)
        spoken.speakers[language_code] = speaker
    return speaker
