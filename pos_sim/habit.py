"""What a till does besides selling, how often, and what of it happens to one receipt."""

import random

from msgspec import Struct
from msgspec.structs import astuple


class Habits(Struct, frozen=True):
    """How often a till does what, as shares of its receipts, 0 to 1.

    Attributes:
        quote: Receipts quoted before checkout.
        add_pieces: Offers of free pieces that the customer takes.
        quote_payment: Receipts quoted once more with the payment planned.
        identify: Known customers that the cashier looks up first.
        answer: Customers who answer when asked.
        repeat: Checkouts sent once more after their answer.
        look_up: Receipts asked for with GetReceipt.
        void: Receipts undone because the payment failed.
        break_off: Checkouts on which the till gives up early.
        hold_up: Of these, how many reach the server only after the till has given up.
    """

    quote: float = 1.0
    add_pieces: float = 0.7
    quote_payment: float = 0.1
    identify: float = 0.2
    answer: float = 0.3
    repeat: float = 0.02
    look_up: float = 0.03
    void: float = 0.02
    break_off: float = 0.01
    hold_up: float = 0.5

    def decide(self, chance: random.Random) -> "Intent":
        """Decide what happens to one receipt."""
        return Intent(*(chance.random() < share for share in astuple(self)))


class Intent(Struct, frozen=True):
    """What happens to one receipt: the habits, decided.

    It is decided before the first call, so that a run that is repeated sends the same bodies, even
    where the server answers otherwise because it remembers the first time.
    """

    quote: bool
    add_pieces: bool
    quote_payment: bool
    identify: bool
    answer: bool
    repeat: bool
    look_up: bool
    void: bool
    break_off: bool
    hold_up: bool
