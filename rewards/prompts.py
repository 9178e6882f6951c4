"""Set 3: which profile fields the cashier should ask for now."""

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

from rewards.facts import FieldState
from rewards.ruleset import CompiledField, CompiledProgram

DAY_US = 86_400_000_000


class PromptReason(IntEnum):
    """As PromptReason of the contract."""

    MISSING = 1
    EXPIRED = 2


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
    prompts: list[Prompt] = []
    for compiled in program.fields:
        if len(prompts) == program.prompts_max:
            break
        reason = _reason(compiled, states, at_us)
        if reason is not None:
            prompts.append(Prompt(compiled, reason))
    return tuple(prompts)


def _reason(
    compiled: CompiledField, states: Mapping[str, FieldState], at_us: int
) -> PromptReason | None:
    if compiled.field.never_asked:
        return None
    state = states.get(compiled.field.field_code)
    if state is None:
        return PromptReason.MISSING if _holds(compiled.first_asked_if, states) else None
    valid_days = compiled.field.valid_days
    if not valid_days or at_us < state.answered_at_us + valid_days * DAY_US:
        return None
    return PromptReason.EXPIRED if _holds(compiled.asked_again_if, states) else None


def _holds(wanted: tuple[tuple[str, str], ...], states: Mapping[str, FieldState]) -> bool:
    if not wanted:
        return True
    return any(name in states and states[name].value == value for name, value in wanted)
