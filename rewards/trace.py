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
    WEEKDAY = 11
    HOUR = 12
    TIER = 13
    COUPON = 14
    TRIGGER = 15
    TENDER = 16
    BIRTHDAY = 17
    PURCHASE = 18
    HISTORY = 19
    BALANCE = 20
    PRODUCTS = 21
    ARTICLES = 22
    PRODUCTS_AMOUNT = 23
    EXCLUDED_PRODUCTS = 24
    STAFF = 25
    PRICE = 26
    CUSTOMER_LIMIT = 27
    TOTAL_LIMIT = 28
    BUDGET = 29
    OWN_OFFER = 30
    BALANCE_LIMIT = 31


class TraceEntry(Struct, frozen=True, array_like=True, gc=False):
    """What became of one promotion; numbers are positions in the compiled program.

    Attributes:
        times: how often it fired.
        lost_to: number of the promotion it lost to; -1 is none.
        condition: with FAILED what failed, with LIMIT_REACHED the limit (NONE: that of a receipt).
        missing: by how much the condition failed, thousandths or minor units.
    """

    number: int
    outcome: int
    times: int = 0
    lost_to: int = -1
    condition: int = Condition.NONE
    missing: int = 0
