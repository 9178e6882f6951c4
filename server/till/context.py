"""What every call of a till works with, put together once by `server.main`."""

from collections.abc import Collection
from typing import Protocol

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
_SPEAKERS: dict[int, tuple[CompiledProgram, dict[str, Speaker]]] = {}
"""Speakers by program, each with the program itself: an id alone may be used again."""


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
    if currency_code != expected:
        metadata = {"expected": expected, "actual": currency_code}
        text = f"{currency_code} is not the store's currency {expected}"
        fields = (("sale.header.currency_code", text),)
        raise Refusal(Reason.CURRENCY_MISMATCH, text, metadata, fields)
    if program.currency_code != expected:
        metadata = {"expected": expected, "actual": program.currency_code}
        text = f"the program counts in {program.currency_code}, the store sells in {expected}"
        raise Refusal(Reason.CURRENCY_MISMATCH, text, metadata)


def voice_of(
    store: StoreInfo, program: CompiledProgram, cashier_language: str, customer_language: str
) -> Voice:
    """Who speaks: the cashier's language to the cashier, the customer's or store's on the slip."""
    slip_language = customer_language or store.record.language_code or program.language_code
    return Voice(
        _speaker(cashier_language, program),
        _speaker(slip_language, program),
        store.zone,
    )


def _speaker(language_code: str, program: CompiledProgram) -> Speaker:
    """One speaker for a language and program; kept while the program is in memory."""
    by_language = _SPEAKERS.get(id(program))
    if by_language is None or by_language[0] is not program:
        if len(_SPEAKERS) >= PROGRAMS_SPOKEN_MAX:
            _SPEAKERS.clear()
        by_language = _SPEAKERS[id(program)] = (program, {})
    speakers = by_language[1]
    speaker = speakers.get(language_code)
    if speaker is None:
        if len(speakers) >= LANGUAGES_MAX:
            speakers.clear()
        speaker = Speaker(language_code, program.currency_code, program.texts)
        speakers[language_code] = speaker
    return speaker
