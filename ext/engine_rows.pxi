"""Rows of the plan and of a lowered receipt, field by field in the order of rewards/*.py."""

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
    int64_t bounds_money
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
    int64_t value_micros
    int64_t is_multiplied

# --- the receipt ------------------------------------------------------------------------------

cdef struct Header:
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

cdef enum:
    # Where a line's values, those of rewards.sale.Line, hold its sku and the first of its numbers.
    LINE_SKU = 1
    LINE_NUMBERS = 2

cdef struct Quota:
    int64_t number
    int64_t customer_times
    int64_t total_times
    int64_t total_minor
