"""Every bound of the contract, and the relations between them."""

from rewards.allocate import UNITS_MAX

LINES_MAX = 1_000
PIECES_MAX = 10_000
QUANTITY_MILLI_MAX = 10_000_000
AMOUNT_MINOR_MAX = 10**12
REWARD_MINOR_MAX = AMOUNT_MINOR_MAX
"""Most that one reward comes to, and is worth: what a rate gives above it is not given."""
ENTRIES_MAX = 2**32 - 1
"""Most entries to a draw by one reward: an answer counts them with 32 bits."""
UNIT_PRICE_SCALED_MAX = 10**15
UNIT_PRICE_SCALE_MAX = 6
TENDERS_MAX = 50
CASH_ROUNDING_MINOR_MAX = 10_000
IDENTIFIERS_MAX = 8
COUPON_CODES_MAX = 100
MANUAL_TRIGGERS_MAX = 20
ANSWERS_MAX = 50
CHOICES_MAX = 100
INSTANT_US_MAX = 4_102_444_800_000_000
UTC_OFFSET_MINUTES_MAX = 840
OUTCOME_NUMBER_MAX = 1_000
ATTEMPT_MAX = 1_000
SLIP_WIDTH_CHARS_MAX = 200

TEXT_ID_MAX = 64
ASSET_CODE_MAX = 32
RESERVED_ASSETS_MAX = 32
RESERVED_CARDS_MAX = 50
TEXT_LABEL_MAX = 32
TEXT_CODE_MAX = 128
TEXT_ANSWER_MAX = 512
LANGUAGE_MAX = 35
TOKEN_BYTES_MAX = 524_288
"""A receipt of LINES_MAX lines that are all changed has a token of some 84,000 bytes; of 270,000
where each of the 64 characters of an id takes four."""

BENEFITS_MAX = 8
"""Benefits of one promotion."""

MILLI = 1_000
"""Thousandths in one piece, kilogram or litre."""

assert LINES_MAX * AMOUNT_MINOR_MAX <= UNITS_MAX, "a receipt's total must fit the kernel"
assert 100_000 * BENEFITS_MAX * REWARD_MINOR_MAX <= UNITS_MAX, "all rewards of a receipt, too"
assert PIECES_MAX * MILLI <= QUANTITY_MILLI_MAX
