"""What every call of a till works with, put together once by `server.main`."""

from functools import lru_cache
from typing import NamedTuple

from rewards.basket import Allocate
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CompiledProgram
from server.clock import Clock
from server.codec.answer_pb import Voice
from server.codec.sale_pb import HashIdentifier
from server.lookups import Lookups
from server.pipeline import Pipeline
from server.reference import Reference, StoreInfo
from server.store.database import Database
from server.texts import Speaker
from server.token import TokenSigner


class Context(NamedTuple):
    """Ports and data of the calls."""

    clock: Clock
    reference: Reference
    lookups: Lookups
    pipeline: Pipeline
    database: Database
    signer: TokenSigner
    hash_identifier: HashIdentifier
    allocate: Allocate


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
        lambda speaker, at_us: speaker.day(at_us, store.zone),
    )


class _ById:
    """Lets a program, which holds dictionaries, be the key of a cache: by identity."""

    __slots__ = ("program",)

    def __init__(self, program: CompiledProgram) -> None:
        self.program = program

    def __hash__(self) -> int:
        return id(self.program)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.program is self.program


@lru_cache(maxsize=512)
def _cached_speaker(language_code: str, program: _ById) -> Speaker:
    return Speaker(language_code, program.program.currency_code, program.program.texts)


def _speaker(language_code: str, program: CompiledProgram) -> Speaker:
    return _cached_speaker(language_code, _ById(program))
