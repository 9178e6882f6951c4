"""What the engine works with: items, proposals, what is found, and the scene of all of it."""

# --- items ------------------------------------------------------------------------------------

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
    Slot *withheld
    Slot *sold
    uint64_t *candidate_bits
    uint64_t *candidate_words

    # The receipt, as lowered.
    Py_ssize_t lines_count
    Py_ssize_t articles_count
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
