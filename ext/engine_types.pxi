"""What the engine works with: rows of the plan, items, proposals, and what is found."""

cdef extern from *:
    """
    #define LOYALTY_UNLIMITED ((int64_t)1 << 62)
    #define LOYALTY_PAYLOAD_LIMIT ((int64_t)1 << 37)
    """
    const int64_t UNLIMITED "LOYALTY_UNLIMITED"
    const int64_t PAYLOAD_LIMIT "LOYALTY_PAYLOAD_LIMIT"

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

# --- rows of the plan (rewards/plan.py), field by field in its order --------------------------

cdef struct Promotion:
    int64_t lane
    int64_t target
    int64_t price_basis
    int64_t group
    int64_t stackable
    int64_t on_stickers
    int64_t exclusive
    int64_t uses_coupon
    int64_t has_quota
    int64_t times_max
    int64_t discount_max_minor
    int64_t total_minor
    int64_t refuses
    int64_t cost_asset
    int64_t cost_minor
    int64_t cost_with_earned
    int64_t cost_each
    int64_t number_gates
    int64_t number_gates_count
    int64_t token_gates
    int64_t token_gates_count
    int64_t basket_gates
    int64_t basket_gates_count
    int64_t benefits
    int64_t benefits_count
    int64_t prices_count
    int64_t sets
    int64_t sets_count

cdef struct Benefit:
    int64_t code
    int64_t arguments
    int64_t parts
    int64_t parts_count
    int64_t asset
    int64_t needs_customer

cdef struct NumberGate:
    int64_t condition
    int64_t slot
    int64_t low
    int64_t high
    int64_t offset
    int64_t modulo
    int64_t absent_fits

cdef struct BasketGate:
    int64_t set_number
    int64_t quantity_low
    int64_t quantity_high
    int64_t line_quantity_low
    int64_t articles_low
    int64_t amount_low
    int64_t amount_high
    int64_t amount_basis
    int64_t none
    int64_t own_offer

cdef struct PriceBounds:
    int64_t has
    int64_t low_minor
    int64_t high_minor

cdef struct ProductClass:
    int64_t set_number
    int64_t no_discount
    int64_t no_earn
    int64_t no_coupon
    int64_t floor_bp

cdef struct Asset:
    int64_t is_points
    int64_t is_multiplied

# --- the receipt ------------------------------------------------------------------------------

cdef struct Header:
    int64_t lines_count
    int64_t articles_count
    int64_t has_ranks
    int64_t zero_price
    int64_t can_split
    int64_t can_add
    int64_t is_known
    int64_t earns
    int64_t may_spend
    int64_t by_points_minor
    int64_t tokens_count
    int64_t coupons_count
    int64_t numbers_count
    int64_t balances_count
    int64_t offers_count
    int64_t quotas_count
    int64_t prices_count
    int64_t extras_count
    int64_t only_count

cdef struct Line:
    int64_t quantity_milli
    int64_t unit
    int64_t unit_price_scaled
    int64_t unit_price_scale
    int64_t amount_minor
    int64_t price_source
    int64_t kind
    int64_t action
    int64_t minimum_minor
    int64_t no_discount
    int64_t no_earn
    int64_t no_spend
    int64_t cancelled

cdef struct Article:
    int64_t no_discount
    int64_t no_earn
    int64_t minimum_price_minor
    int64_t gift
    int64_t sets_count
    # The numbers of its sets follow.

cdef struct Quota:
    int64_t number
    int64_t customer_times
    int64_t total_times
    int64_t total_minor

cdef struct ListPrice:
    int64_t list_number
    int64_t sku
    int64_t price_minor
    int64_t next_one

cdef struct LineKey:
    const Line *line
    int64_t sku
    int64_t own_id
    int64_t rank
    Py_ssize_t position

cdef struct Item:
    const Line *first
    const Article *article
    int64_t sku
    int64_t quantity_milli
    int64_t sent_minor
    int64_t start_minor
    int64_t amount_minor
    int64_t floor_minor
    int64_t floor_bp
    int64_t open_milli
    int64_t open_minor
    int64_t claimed_by
    int64_t closed_by
    uint64_t mark
    Py_ssize_t mark_place
    Py_ssize_t lines
    Py_ssize_t lines_count
    Py_ssize_t effects_first
    Py_ssize_t effects_last
    Py_ssize_t effects_count
    bint counted
    bint goods
    bint sticker
    bint discountable
    bint earns
    bint no_coupon
    bint has_floor

cdef struct Effect:
    int64_t number
    int64_t discount_minor
    int64_t quantity_milli
    Py_ssize_t next_one

cdef struct Slot:
    # Counts only with the stamp of this evaluation: nothing needs clearing.
    uint64_t stamp
    int64_t value

cdef struct ItemSet:
    # Items of a set in canonical order: a range of Scene.members.
    int64_t set_number
    Py_ssize_t start
    Py_ssize_t count

# --- proposals --------------------------------------------------------------------------------

cdef struct Taken:
    Py_ssize_t item
    int64_t quantity_milli
    int64_t discount_minor

cdef struct Offer:
    int64_t number
    Py_ssize_t item
    int64_t gift
    int64_t quantity_milli
    int64_t amount_minor
    int64_t choice_group

cdef struct Proposal:
    int64_t times
    int64_t units
    int64_t condition
    int64_t missing
    bint capped
    Taken *taken
    Py_ssize_t taken_count
    Offer *offers
    Py_ssize_t offers_count

cdef struct Range:
    Py_ssize_t *items
    Py_ssize_t count

cdef struct Deal:
    const Promotion *promotion
    const Benefit *benefit
    const int64_t *arguments
    int64_t number
    int64_t place
    Range items
    Range *parts
    Py_ssize_t parts_count
    int64_t times_max
    int64_t units_max
    int64_t repeats_max

cdef struct Run:
    Py_ssize_t item
    int64_t pieces
    int64_t skip
    int64_t rank

cdef struct Runs:
    Run *rows
    Py_ssize_t count

# --- what is found ----------------------------------------------------------------------------

cdef struct Entry:
    int64_t number
    int64_t outcome
    int64_t times
    int64_t lost_to
    int64_t condition
    int64_t missing

cdef struct Share:
    Py_ssize_t item
    int64_t quantity_milli

cdef struct Shares:
    Share *rows
    Py_ssize_t count

cdef struct Basis:
    Py_ssize_t item
    int64_t amount_minor

cdef struct Grant:
    int64_t number
    int64_t place
    int64_t asset
    int64_t amount_minor
    int64_t value_minor
    Basis *bases
    Py_ssize_t bases_count

cdef struct Notice:
    # A message: promotion and benefit. A spend: promotion, asset, amount.
    int64_t number
    int64_t place
    int64_t amount_minor

cdef struct Proof:
    int64_t lane
    int64_t optimal
    int64_t gap_minor
    int64_t steps

cdef struct Adjustment:
    int64_t number
    int64_t discount_minor
    int64_t quantity_milli

cdef struct LineState:
    int64_t amount_minor
    Py_ssize_t adjustments
    Py_ssize_t adjustments_count

cdef struct Plan:
    # Tables of rewards/plan.py, copied; they live as long as the engine.
    int64_t numbers_count
    int64_t offers_count
    int64_t point_value_micros
    int64_t steps_max[4]
    const Promotion *promotions
    Py_ssize_t promotions_count
    const Benefit *benefits
    const int64_t *pool
    const PriceBounds *bounds
    Py_ssize_t sets_count
    const int64_t *touched_starts
    const int64_t *touched
    const int64_t *called_starts
    const int64_t *called
    Py_ssize_t tokens_count
    const int64_t *chooses
    Py_ssize_t groups_count
    const ProductClass *classes
    Py_ssize_t classes_count
    const Asset *assets
    Py_ssize_t assets_count

cdef struct Scene:
    Plan plan
    uint64_t stamp
    Arena kept
    Arena scratch

    # By number, of the whole plan; see Slot.
    Slot *slots
    Slot *tokens
    Slot *numbers
    Slot *own_offers
    Slot *quotas
    Slot *sets
    Slot *winners
    Slot *traced
    Slot *decided
    Slot *given
    uint64_t *candidate_bits
    uint64_t *candidate_words

    # The receipt, as lowered.
    const Header *header
    const int64_t *skus
    const int64_t *ranks
    const Line *lines
    const int64_t *token_numbers
    const int64_t *coupon_numbers
    const int64_t *number_pairs
    const int64_t *balance_pairs
    const int64_t *offer_pairs
    const Quota *quota_rows
    const int64_t *price_rows
    const int64_t *extra_pairs
    const int64_t *only
    const Article **articles

    # What it became.
    Py_ssize_t *lines_of_items
    Item *items
    Py_ssize_t items_count
    Range all_items
    ItemSet *item_sets
    Py_ssize_t item_sets_count
    Py_ssize_t *members
    int64_t *balances
    int64_t *earned_minor
    ListPrice *prices
    Py_ssize_t *price_heads
    int32_t **owners
    uint64_t mark
    bint has_no_coupon

    int64_t *candidates
    Py_ssize_t candidates_count
    Py_ssize_t lane_start
    Py_ssize_t lane_end
    int64_t lane
    int64_t exclusive_by
    int64_t goods_sent_minor
    int64_t goods_start_minor
    int64_t goods_minor
    int64_t to_pay_minor

    Effect *effects
    Py_ssize_t effects_count
    Py_ssize_t effects_size
    Entry *trace
    Py_ssize_t trace_count
    Entry *decisions
    Py_ssize_t decisions_count
    Py_ssize_t decisions_size
    Offer *offers
    Py_ssize_t offers_count
    Py_ssize_t offers_size
    Grant *grants
    Py_ssize_t grants_count
    Py_ssize_t grants_size
    Notice *messages
    Py_ssize_t messages_count
    Py_ssize_t messages_size
    Notice *spends
    Py_ssize_t spends_count
    Proof proofs[4]
    Py_ssize_t proofs_count
    LineState *states
    Adjustment *adjustments
    Py_ssize_t adjustments_count
