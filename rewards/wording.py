"""What texts of a program may say: the codes of its templates, and the figures each can name.

Must not know the words themselves; the built-in ones live in `server.texts`.
"""

FIGURES: dict[str, frozenset[str]] = {
    "add_piece": frozenset({"quantity", "promotion"}),
    "reward_points": frozenset({"promotion", "amount", "asset"}),
    "reward_deferred_discount": frozenset({"promotion", "amount"}),
    "slip_saved": frozenset({"amount"}),
    "slip_earned_points": frozenset({"amount", "asset"}),
    "slip_earned_deferred_discount": frozenset({"amount"}),
    "slip_active_from": frozenset({"day"}),
    "slip_expires": frozenset({"day"}),
    "slip_balance_points": frozenset({"amount", "asset"}),
    "slip_balance_deferred_discount": frozenset({"amount"}),
    "slip_voided": frozenset(),
    "slip_taken_back_points": frozenset({"amount", "asset"}),
    "slip_taken_back_deferred_discount": frozenset({"amount"}),
    "cashier_unknown": frozenset(),
    "cashier_blocked": frozenset(),
    "cashier_identified": frozenset({"name"}),
    "cashier_thanks": frozenset(),
}
"""Placeholders of each text code."""

LINK_FIGURES = frozenset({"product"})
"""Placeholders of the text of a cross-sell link."""
