"""All that an answer is made of, as its parts are written."""

from collections.abc import Mapping
from datetime import tzinfo

from msgspec import Struct

from loyalty.v1 import answer_pb2 as pb
from rewards.decide import Decision
from rewards.facts import Facts
from rewards.hints import Hint
from rewards.ledger import Hold
from rewards.product import Catalogue
from rewards.ruleset import CompiledProgram
from rewards.sale import Sale
from rewards.spending import Offer
from server.texts import Speaker


class Skipped(Struct, frozen=True):
    """Why a set is not complete; SET_REASON_UNSPECIFIED is that it is, or is switched off.

    Attributes:
        has_rewards: with a reason for rewards, those that could be decided are there.
    """

    lines: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    rewards: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    prompts: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    items: pb.SetReason.ValueType = pb.SET_REASON_UNSPECIFIED
    has_rewards: bool = False


class Voice(Struct, frozen=True):
    """Who speaks: to the cashier, and on the customer's slip; days are those of the zone."""

    cashier: Speaker
    slip: Speaker
    zone: tzinfo


class SpendView(Struct, frozen=True):
    """What an answer says of spending, besides what the facts say is spent.

    Attributes:
        expiring: by asset what expires first, minor units, and until when, UTC microseconds.
        held_until: by asset until when what is spent is held, UTC microseconds.
        is_offered: a Quote, which shows what may be spent.
        held_cards: what is held on gift cards, by account of the card.
    """

    offers: tuple[Offer, ...] = ()
    expiring: Mapping[str, tuple[int, int]] = {}
    held_until: Mapping[str, int] = {}
    is_offered: bool = False
    held_cards: Mapping[int, Hold] = {}


class Asked(Struct, frozen=True):
    """All that an answer is made of.

    Attributes:
        id_base: first part of the ids in the answer: the basket or receipt.
        codes: of what was given out, by promotion and place of its benefit.
        may_add: pieces may be added yet; a sale has none to add.
        returned: what RETURN lines change of the customer's assets, minor units, by code.
    """

    id_base: bytes
    program: CompiledProgram
    ruleset_version: int
    evaluated_at_us: int
    sale: Sale
    facts: Facts
    decision: Decision
    skipped: Skipped
    catalogue: Catalogue
    voice: Voice
    hints: tuple[Hint, ...] = ()
    codes: Mapping[tuple[int, int], tuple[str, ...]] = {}
    spend: SpendView = SpendView()
    may_add: bool = True
    returned: Mapping[str, int] = {}
