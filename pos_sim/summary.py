"""What a run showed, as tables, and whether that is good enough."""

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from loyalty.v1.back_office_service_pb2 import AuditLedgerResponse
from pos_sim.amount import format_amount
from pos_sim.replay import Replayed
from pos_sim.tally import Latency, Tally
from pos_sim.workload import Workload

MISMATCHES_SHOWN = 10


def find_problems(workload: Workload, replayed: Replayed, audit: AuditLedgerResponse) -> list[str]:
    """List what makes a run fail: nothing if it is good."""
    tally = replayed.books.tally
    expected = workload.receipt_count - workload.beyond_limit_count
    return [
        *_problems_of_tally(tally, expected),
        *(_problems_of_refusals(workload, tally)),
        *(
            f"customer {m.customer_number}: {m.posted_minor} {m.asset_code} were posted, "
            f"the balance grew by {m.grown_minor}"
            for m in replayed.mismatches[:MISMATCHES_SHOWN]
        ),
        *_problems_of_posting(replayed),
        *([] if audit.balanced else ["the ledger is not balanced", *audit.problems]),
    ]


def _problems_of_tally(tally: Tally, expected: int) -> Iterator[str]:
    if tally.faults:
        yield f"{tally.faults} internal errors, among them:"
        yield from tally.fault_texts
    if tally.broken_promise_count:
        yield f"{tally.broken_promise_count} answers contradict the contract, among them:"
        yield from tally.broken_promises
    if tally.answered < expected:
        yield f"{tally.answered} receipts answered, {expected} expected"
    if tally.unanswered:
        yield f"{tally.unanswered} receipts without any answer"


def _problems_of_posting(replayed: Replayed) -> Iterator[str]:
    if replayed.checked and not replayed.books.auditor.posted and not _all_sold_before(replayed):
        yield "nothing was posted: does the server know these customers, and a program?"


def _all_sold_before(replayed: Replayed) -> bool:
    tally = replayed.books.tally
    return tally.answered == tally.answered_before


def _problems_of_refusals(workload: Workload, tally: Tally) -> Iterator[str]:
    if tally.refused_unexpectedly:
        yield f"{tally.refused_unexpectedly} receipts within the limits were refused"
    if tally.refused.total() < workload.beyond_limit_count:
        yield "receipts beyond the limits were not refused"
    if tally.profiles_refused:
        yield f"profile answers were refused: {_listed(tally.profiles_refused)}"


def show_summary(
    console: Console, workload: Workload, replayed: Replayed, audit: AuditLedgerResponse
) -> None:
    """Show the tables of a run."""
    tally = replayed.books.tally
    table = Table(title="Replay", show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _receipt_rows(workload, replayed):
        table.add_row(name, value)
    table.add_section()
    for name, value in _ledger_rows(replayed, audit):
        table.add_row(name, value)
    console.print(table)
    console.print(_latency_table(tally))


def _receipt_rows(workload: Workload, replayed: Replayed) -> Iterator[tuple[str, str]]:
    tally = replayed.books.tally
    rate = tally.done / max(1e-9, replayed.seconds)
    yield "receipts", f"{workload.receipt_count:,} by {len(workload.tills)} tills"
    before = f", {tally.answered_before:,} of them in an earlier run"
    yield "answered", f"{tally.answered:,}" + (before if tally.answered_before else "")
    yield "refused", _listed(tally.refused)
    yield "without answer", f"{tally.unanswered:,}"
    yield "internal errors", f"{tally.faults:,}"
    yield "against contract", f"{tally.broken_promise_count:,}"
    yield "calls retried", f"{tally.retried:,}"
    yield "broken off", f"{tally.broken_off:,} and rung up again"
    yield "quotes", f"{tally.quoted:,} ({tally.quoted_again:,} asked for again by the server)"
    yield "free pieces added", f"{tally.pieces_added:,}"
    yield "identified first", f"{tally.identified:,}"
    yield "profiles answered", f"{tally.profiles_submitted:,}"
    yield "looked up", f"{tally.looked_up:,}"
    yield "sent twice", f"{tally.repeated:,}"
    yield "voided", f"{tally.voided:,}"
    yield "rate", f"{rate:,.0f} receipts/s over {replayed.seconds:.1f} s"


def _ledger_rows(replayed: Replayed, audit: AuditLedgerResponse) -> Iterator[tuple[str, str]]:
    auditor = replayed.books.auditor
    yield "posted", _amounts(auditor.posted, auditor.decimals)
    yield "taken back by voids", _amounts(auditor.voided, auditor.decimals)
    yield "ledger balanced", "yes" if audit.balanced else "NO"
    yield (
        "ledger holds",
        f"{audit.receipts:,} receipts, {audit.transfers:,} transfers, {audit.postings:,} postings, "
        f"{audit.lots:,} lots, {audit.balances:,} balances",
    )
    differ = len({mismatch.customer_number for mismatch in replayed.mismatches})
    yield (
        "balances grew as posted",
        f"{replayed.checked - differ:,} of {replayed.checked:,} customers"
        + (f", {auditor.uncertain_count} not checked" if auditor.uncertain_count else ""),
    )


def _latency_table(tally: Tally) -> Table:
    table = Table(title="Latency from the intended send, ms", title_justify="left")
    for name in ("call", "count", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="left" if name == "call" else "right")
    for name, latency in (("quote", tally.quote_latency), ("checkout", tally.checkout_latency)):
        table.add_row(name, *_figures(latency))
    return table


def _figures(latency: Latency) -> Iterator[str]:
    yield f"{latency.count:,}"
    for percentile in (50.0, 95.0, 99.0):
        yield f"{latency.percentile_ms(percentile):,.1f}" if latency.count else "-"
    yield f"{latency.max_ms:,.1f}" if latency.count else "-"


def _listed(counts: Counter[str]) -> str:
    by_reason = ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())
    return f"{counts.total():,} ({by_reason})" if counts else "0"


def _amounts(amounts: Counter[str], decimals: dict[str, int]) -> str:
    return (
        ", ".join(
            f"{format_amount(amount, decimals.get(asset, 0), 'en')} {asset}"
            for asset, amount in sorted(amounts.items())
        )
        or "nothing"
    )
