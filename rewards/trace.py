"""Why a promotion did or did not do something, in codes; rendered when read."""

from enum import IntEnum

from msgspec import Struct


class TraceOutcome(IntEnum):
    """As TraceOutcome of the contract."""

    FIRED = 1
    LOST = 2
    FAILED = 3
    LIMIT_REACHED = 4


class Condition(IntEnum):
    """As TraceCondition of the contract."""

    NONE = 0
    PERIOD = 1
    SEGMENT = 2
    QUANTITY = 3
    RECEIPT_AMOUNT = 4
    NOT_COUNTED = 5
    CUSTOMER = 6
    FLOOR = 7
    CHANNEL = 8
    ZONE = 9
    NOTHING_EARNS = 10


class TraceEntry(Struct, frozen=True, array_like=True, gc=False):
    """What became of one promotion; numbers are positions in the compiled program.

    Attributes:
        lost_to: number of the promotion it lost to; -1 is none.
        missing: by how much the condition failed, thousandths or minor units.
    """

    number: int
    outcome: int
    times: int = 0
    lost_to: int = -1
    condition: int = Condition.NONE
    missing: int = 0
