"""Set 3: which profile fields the cashier should ask for now."""

from collections.abc import Mapping
from enum import IntEnum
from itertools import islice, repeat

from msgspec import Struct

from rewards.facts import FieldState
from rewards.ruleset import CompiledField, CompiledProgram

DAY_US = 86_400_000_000


class PromptReason(IntEnum):
    """As PromptReason of the contract."""

    MISSING = 1
    EXPIRED = 2


_MISSING, _EXPIRED = PromptReason.MISSING, PromptReason.EXPIRED


class Prompt(Struct, frozen=True):
    """A field to ask for, and why."""

    compiled: CompiledField
    reason: PromptReason


def due_prompts(
    program: CompiledProgram, states: Mapping[str, FieldState], at_us: int
) -> tuple[Prompt, ...]:
    """Choose the fields to ask for, most important first, at most the program's number.

    Args:
        program: its fields stand by weight.
        states: what is known of the customer, by field.
        at_us: the instant, UTC microseconds. An answer is valid up to and including the last
            microsecond of its days.
    """
    prompts = map(_prompt_of, program.fields, repeat(states), repeat(at_us))
    return tuple(islice(filter(None, prompts), program.prompts_max))


def _prompt_of(
    compiled: CompiledField, states: Mapping[str, FieldState], at_us: int
) -> Prompt | None:
    """What to ask for a field with, and why; None if it is not to be asked for now."""
    field = compiled.field
    if field.never_asked:
        return None
    state = states.get(field.field_code)
    if state is None:
        wanted, reason = compiled.first_asked_if, _MISSING
    elif not field.valid_days or at_us < state.answered_at_us + field.valid_days * DAY_US:
        return None
    else:
        wanted, reason = compiled.asked_again_if, _EXPIRED
    return Prompt(compiled, reason) if not wanted or _holds(wanted, states) else None


def _holds(wanted: tuple[tuple[str, str], ...], states: Mapping[str, FieldState]) -> bool:
    return any(name in states and states[name].value == value for name, value in wanted)
