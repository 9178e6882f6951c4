"""One full answer the way a cashier reads it, and the slip the way the customer gets it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as RichText

from loyalty.v1.answer_pb2 import (
    Answer,
    AssetBalance,
    CouponState,
    Lane,
    LaneProof,
    LineResult,
    Reward,
    RewardKind,
    Text,
    TextPlace,
    TraceCondition,
    TraceEntry,
    TraceOutcome,
)
from loyalty.v1.receipt_pb2 import Line, Sale
from pos_sim.amount import format_amount, format_quantity
from pos_sim.showcase import Shown
from pos_sim.slip import print_slip
from pos_sim.wording import Wording

_QUANTITIES = (
    TraceCondition.TRACE_CONDITION_QUANTITY,
    TraceCondition.TRACE_CONDITION_PRODUCTS,
)
_COUNTS = (
    TraceCondition.TRACE_CONDITION_ARTICLES,
    TraceCondition.TRACE_CONDITION_PURCHASE,
    TraceCondition.TRACE_CONDITION_HISTORY,
    TraceCondition.TRACE_CONDITION_BALANCE,
    TraceCondition.TRACE_CONDITION_BIRTHDAY,
)
"""What is missing is no money; of a balance in the asset's minor unit."""
_RANK = {
    TraceOutcome.TRACE_OUTCOME_FIRED: 0,
    TraceOutcome.TRACE_OUTCOME_LOST: 1,
    TraceOutcome.TRACE_OUTCOME_LIMIT_REACHED: 2,
    TraceOutcome.TRACE_OUTCOME_FAILED: 3,
}


class _View(Struct, frozen=True):
    """A receipt, its answer, and what the till knows to word them."""

    sale: Sale
    answer: Answer
    names: Mapping[str, str]
    wording: Wording
    hints: tuple[str, ...] = ()

    def name(self, sku: str) -> str:
        """Name of an article."""
        return self.names.get(sku, sku)

    def line(self, line_id: str) -> Line:
        """The line as scanned."""
        return next(line for line in self.sale.lines if line.line_id == line_id)

    def day(self, at_us: int) -> str:
        """Local day of an instant, by the till's clock."""
        zone = timezone(timedelta(minutes=self.sale.header.till_utc_offset_minutes))
        return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).strftime("%d.%m.%Y")


def show_answer(console: Console, shown: Shown, names: Mapping[str, str], store_name: str) -> None:
    """Show a receipt's four sets, texts, trace and slip.

    Args:
        console: Where to.
        shown: The receipt and its answer.
        names: Names of articles by sku.
        store_name: Heads the slip.
    """
    wording = Wording(shown.sale.header.language_code)
    view = _View(shown.sale, shown.response.answer, names, wording, shown.hints)
    slip = print_slip(shown.sale, shown.response.answer, names, store_name, wording)
    for title, content in _panels(view):
        console.print(Panel(content, title=wording[title], title_align="left"))
    paper = RichText("\n".join(slip))
    console.print(Panel(paper, title=wording["slip"], title_align="left", expand=False))


def _panels(view: _View) -> Iterator[tuple[str, RenderableType]]:
    """The panels with their titles; what few receipts have only where it is there."""
    yield "basket", _basket(view)
    yield "rewards", _rewards(view)
    yield "prompts", _prompts(view)
    yield "cross_sell", _cross_sell(view)
    if said := _said(view):
        yield "texts", Group(*said)
    if view.answer.coupons:
        yield "coupons", _coupons(view)
    if view.hints:
        yield "hints", Group(*map(RichText, view.hints))
    yield "trace", _trace(view)


def _coupons(view: _View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for coupon in view.answer.coupons:
        applied = coupon.state == CouponState.COUPON_STATE_APPLIED
        mark = RichText("+" if applied else "-", style="green" if applied else "dim")
        table.add_row(mark, RichText(coupon.code), RichText(coupon.text))
    return table


def _basket(view: _View) -> RenderableType:
    wording = view.wording
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column(wording["article"], ratio=5)
    table.add_column(wording["scanned"], justify="right", no_wrap=True)
    table.add_column(wording["sold"], justify="right", ratio=3)
    table.add_column(wording["amount"], justify="right", no_wrap=True)
    for result in view.answer.lines.lines:
        line = view.line(result.line_id)
        quantity = format_quantity(line.quantity_milli, wording.language_code)
        table.add_row(
            _named(view, line, result),
            f"{quantity} = {wording.money(line.amount_minor)}",
            "\n".join(_runs(view, result)),
            wording.money(result.amount_minor),
            style="" if result.adjustments else "dim",
        )
    totals = view.answer.lines.totals
    table.add_section()
    table.add_row(
        RichText(wording["total"], style="bold"),
        wording.money(totals.amount_before_minor),
        wording.money(totals.adjustments_minor),
        RichText(wording.money(totals.amount_minor), style="bold"),
    )
    offers = [RichText(f"+ {piece.text}", style="yellow") for piece in view.answer.lines.to_add]
    return Group(table, *offers)


def _named(view: _View, line: Line, result: LineResult) -> RichText:
    """The article, and below it each thing that changed its price."""
    named = RichText(view.name(line.sku))
    for adjustment in result.adjustments:
        amount = view.wording.money(adjustment.amount_minor)
        named.append(f"\n  {amount}  {adjustment.text}", style="green")
    return named


def _runs(view: _View, result: LineResult) -> Iterator[str]:
    for run in result.runs:
        quantity = format_quantity(run.quantity_milli, view.wording.language_code)
        yield f"{quantity} x {view.wording.money(run.unit_price_minor)}"


def _rewards(view: _View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    decimals = {b.asset_code: b.decimals for b in view.answer.rewards.balances}
    for reward in view.answer.rewards.rewards:
        kind = RewardKind.Name(reward.kind).removeprefix("REWARD_KIND_")
        table.add_row(
            RichText(_reward_amount(view, reward, decimals), style="bold green"),
            RichText(reward.text),
            RichText(_validity(view, reward), style="dim"),
            RichText(kind, style="dim"),
        )
    balances = ", ".join(_balance(view, balance) for balance in view.answer.rewards.balances)
    return Group(table, RichText(f"{view.wording['balance']}: {balances}", style="bold"))


def _reward_amount(view: _View, reward: Reward, decimals: Mapping[str, int]) -> str:
    """How much of an asset or of money, or how many."""
    if reward.asset_code:
        asset_decimals = decimals.get(reward.asset_code, 0)
        amount = format_amount(reward.amount_minor, asset_decimals, view.wording.language_code)
    elif reward.amount_minor:
        amount = view.wording.money(reward.amount_minor)
    else:
        amount = str(max(1, reward.count))
    return f"+{amount}"


def _validity(view: _View, reward: Reward) -> str:
    words = [view.wording["from"], view.day(reward.active_from_us)]
    if reward.expires_at_us:
        words += [view.wording["to"], view.day(reward.expires_at_us)]
    return " ".join(words)


def _balance(view: _View, balance: AssetBalance) -> str:
    language = view.wording.language_code
    text = f"{balance.asset_code} {format_amount(balance.amount_minor, balance.decimals, language)}"
    if balance.pending_minor:
        pending = format_amount(balance.pending_minor, balance.decimals, language)
        text += f" ({view.wording['pending']}: {pending})"
    return text


def _prompts(view: _View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for prompt in view.answer.prompts.prompts:
        choices = f"[{' / '.join(prompt.choices)}]" if prompt.choices else ""
        reason = view.wording.prompt_reason(prompt.reason)
        table.add_row(
            RichText("?", style="bold yellow"),
            RichText(f"{prompt.text} {choices}".rstrip()),
            RichText(f"{prompt.field_code}: {reason}", style="dim"),
        )
    return table


def _cross_sell(view: _View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for item in view.answer.cross_sell.items:
        because = view.name(view.line(item.because_line_id).sku) if item.because_line_id else ""
        table.add_row(
            RichText("»", style="bold cyan"),
            RichText(item.text),
            RichText(f"{view.wording['because']} {because}" if because else "", style="dim"),
        )
    return table


def _said(view: _View) -> list[RichText]:
    """What is for the cashier's eyes or the customer's display; the slip has the rest."""
    wanted = (TextPlace.TEXT_PLACE_CASHIER, TextPlace.TEXT_PLACE_CUSTOMER_DISPLAY)
    return [RichText(_marked(text)) for text in view.answer.texts if text.place in wanted]


def _marked(text: Text) -> str:
    return f"! {text.text}" if text.must_acknowledge else text.text


def _trace(view: _View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    ranked = sorted(view.answer.trace, key=lambda entry: _RANK.get(entry.outcome, len(_RANK)))
    for entry in ranked:
        fired = entry.outcome == TraceOutcome.TRACE_OUTCOME_FIRED
        table.add_row(
            RichText(entry.promotion_id, style="green" if fired else "dim"),
            RichText(_reason(view.wording, entry), style="" if fired else "dim"),
        )
    proofs = [RichText(_proof(view, proof), style="dim") for proof in view.answer.lane_proofs]
    return Group(table, *proofs)


def _proof(view: _View, proof: LaneProof) -> str:
    """What is known of the combination of a lane."""
    lane = Lane.Name(proof.lane).removeprefix("LANE_").lower()
    if proof.optimal:
        return f"{lane}: {view.wording['optimal']}"
    return f"{lane}: {view.wording['not_proved']} {view.wording.money(proof.bound_minor)}"


def _reason(wording: Wording, entry: TraceEntry) -> str:
    outcome = wording.outcome(entry.outcome)
    if entry.outcome == TraceOutcome.TRACE_OUTCOME_FIRED and entry.times > 1:
        return f"{outcome} x {entry.times}"
    if entry.lost_to_promotion_id:
        return f"{outcome} {entry.lost_to_promotion_id}"
    if entry.outcome != TraceOutcome.TRACE_OUTCOME_FAILED:
        return outcome
    return f"{outcome}: {wording.condition(entry.condition)}{_shortage(wording, entry)}"


def _shortage(wording: Wording, entry: TraceEntry) -> str:
    if not entry.missing:
        return ""
    if entry.condition in _QUANTITIES:
        missing = format_quantity(entry.missing, wording.language_code)
    elif entry.condition in _COUNTS:
        missing = str(entry.missing)
    else:
        missing = wording.money(entry.missing)
    return f" ({wording['lacking']} {missing})"
