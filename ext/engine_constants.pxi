"""Numbers that stand for something: in the plan, in the contract, in the domain."""

cdef extern from *:
    """
    #define LOYALTY_UNLIMITED ((int64_t)1 << 62)
    #define LOYALTY_PAYLOAD_LIMIT ((int64_t)1 << 37)
    /* as in rewards/limits.py, and in hundredths */
    #define LOYALTY_REWARD_MINOR_MAX INT64_C(1000000000000)
    #define LOYALTY_POINTS_MAX (100 * LOYALTY_REWARD_MINOR_MAX)
    """
    const int64_t UNLIMITED "LOYALTY_UNLIMITED"
    const int64_t PAYLOAD_LIMIT "LOYALTY_PAYLOAD_LIMIT"
    const int64_t REWARD_MINOR_MAX "LOYALTY_REWARD_MINOR_MAX"
    const int64_t POINTS_MAX "LOYALTY_POINTS_MAX"

cdef enum:
    NOBODY = -1
    MILLI = 1000
    RATE_ONE = 10000
    BENEFITS_MAX = 8
    MICROS = 1000000
    WORTH_SCALE = 100

    # Lanes, in running order.
    LANE_EXCLUSIVE = 0
    LANE_REWARD = 3

    # What amounts are taken of.
    OF_RUNNING = 0
    OF_LANE_START = 1
    OF_AS_SENT = 2

    # How a division is rounded.
    DOWN = 0
    HALF_UP = 1
    HALF_DOWN = 2
    UP = 3

    # Where the plan numbers choices.
    CHOOSE_FIRST = 0
    CHOOSE_BEST = 1
    EXCLUSIVE_ITEMS = 2
    PICK_DEAREST = 1
    ROUNDED_ON_ITEM = 0
    ROUNDED_ON_PIECE = 1
    ROUNDED_ON_TOTAL = 2
    SHARE_PROPORTIONAL = 0
    SHARE_EVEN = 1
    SHARE_CHEAPEST = 2
    REMAINDER_LARGEST = 0
    REMAINDER_LAST = 2

cdef enum:
    # Benefits, as the plan numbers them; prices first.
    PERCENT_OFF = 0
    AMOUNT_OFF = 1
    FIXED_PRICE = 2
    PRICE_LIST = 3
    QUANTITY_TIERS = 4
    N_PLUS_M = 5
    NTH_ITEM = 6
    CHEAPEST_FREE = 7
    BUY_GET = 8
    BUNDLE_PRICE = 9
    RECEIPT_DISCOUNT = 10
    GIFT = 11
    POINTS_RATE = 12
    POINTS_FIXED = 13
    POINTS_MULTIPLIER = 14
    DEFERRED_DISCOUNT = 15
    COUPON_REWARD = 16
    GIFT_CERTIFICATE = 17
    PRIZE = 18
    STATUS = 19
    DRAW_ENTRIES = 20
    MONEY_TRANSFER = 21
    MESSAGE = 22

cdef enum:
    # Outcomes and conditions, as in the contract.
    FIRED = 1
    LOST = 2
    FAILED = 3
    LIMIT_REACHED = 4
    NO_CONDITION = 0
    IF_PERIOD = 1
    IF_QUANTITY = 3
    IF_RECEIPT_AMOUNT = 4
    IF_NOT_COUNTED = 5
    IF_CUSTOMER = 6
    IF_FLOOR = 7
    IF_NOTHING_EARNS = 10
    IF_COUPON = 14
    IF_BALANCE = 20
    IF_PRODUCTS = 21
    IF_ARTICLES = 22
    IF_PRODUCTS_AMOUNT = 23
    IF_EXCLUDED_PRODUCTS = 24
    IF_PRICE = 26
    IF_CUSTOMER_LIMIT = 27
    IF_TOTAL_LIMIT = 28
    IF_BUDGET = 29
    IF_OWN_OFFER = 30

    # Lines, as in the contract.
    UNIT_PIECE = 1
    SOURCE_STICKER = 2
    KIND_GIFT_CARD = 4
    KIND_DEPOSIT = 5
    ACTION_RETURN = 2

    # Numbers of the facts that are absent where nobody knows them; those above start at 0.
    FACT_NUMBERS = 4

cdef enum:
    NUMBER_LIMIT = 131072
