"""Programs that a storm publishes: other rules amid it, and in the end tiers that tell turnover."""

import re
from collections.abc import Iterable

from pos_sim.workload import PROGRAMS

_RULES = re.compile(r"\[\[tier_rules\]\]\n(?:.+\n)*\n")
AMOUNT, RECEIPTS = "amount_from_minor", "receipts_from"


_CHANGES = (
    ("set_count = 3 ", "set_count = 4 "),
    ("rate_bp = 700 }", "rate_bp = 900 }"),
    ("from_minor = 50_000 }", "from_minor = 70_000 }"),
    ('asset_code = "points", rate_bp = 1_000', 'asset_code = "points", rate_bp = 1_300'),
    ('refund = "claw_back", offline', 'refund = "rewards", offline'),
    ("active_days = 4", "active_days = 3"),
)
"""What another version of the program changes; no limit, and nothing of what the books know."""


def write_variant(number: int) -> str:
    """Write the wallet program, of which every other version is a little different."""
    text = (PROGRAMS / "wallet.toml").read_text()
    for was, becomes in _CHANGES if number % 2 else ():
        assert was in text, "the program has what is to be changed"
        text = text.replace(was, becomes)
    return text + f"\n# Version {number} of the storm.\n"


def write_ladder(steps: Iterable[int], asked: str, days: int) -> str:
    """Write the wallet program with other tiers: AT an amount, and OVER it.

    Args:
        steps: what customers should have, at most 50 of them.
        asked: AMOUNT (minor units of money) or RECEIPTS.
        days: local days up to today that count.
    """
    text = _RULES.sub("", (PROGRAMS / "wallet.toml").read_text())
    wanted = sorted(set(steps), reverse=True)
    for step in wanted:
        # A step above another one's AT is its OVER as well: who has more stands above both.
        text += _rule(f"over-{step}", asked, step + 1, days)
        if step > 0:
            text += _rule(f"at-{step}", asked, step, days) + _sign(step)
    return text


def draw_of(step: int) -> str:
    """The draw into which whoever has just so much is entered."""
    return f"at-{step}"


def _rule(tier: str, asked: str, least: int, days: int) -> str:
    return f'\n[[tier_rules]]\ntier_code = "{tier}"\n{asked} = {least}\nrolling_days = {days}\n'


def _sign(step: int) -> str:
    return f"""
[[promotions]]
promotion_id = "{draw_of(step)}"
names = [{{ language_code = "ru", text = "ступень" }}, {{ language_code = "en", text = "step" }}]
lane = "reward"
conditions = [{{ code = "tier", any_of = ["at-{step}"] }}]
gives = [{{ code = "draw_entries", draw_code = "{draw_of(step)}" }}]
"""
