"""Goal: no hot statement reads a whole table, even on tables that were never analysed.

Method: a million rows in every hot table, statistics kept away; each statement is explained with
the generic plan that the server's connections use.
"""

import asyncio
import json
import re
from typing import Any

import asyncpg
import pytest

from server.store import (
    commits,
    expiries,
    facts,
    holdings,
    instruments,
    leases,
    outbox_work,
    prices,
    recipients,
    refunds,
    statements,
    turnover,
)

ROWS = 1_000_000
HOT_TABLES = ("commit_key", "receipt", "account", "balance", "posting", "lot", "customer")
BILLING_TABLES = (
    "lot_change",
    "hold",
    "promotion_use",
    "receipt_refund",
    "budget",
    "budget_lease",
    "budget_use",
    "instrument",
    "turnover",
    "money_transfer",
    "receipt_statement",
    "parked_receipt",
    "quarantined_receipt",
    "outbox_message",
    "outbox_change",
    "outbox_part",
    "outbox_receipt",
    "membership",
)

FILL = (
    """insert into commit_key
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, '\\x01', n, 20000
         from generate_series(1, $1::bigint) n""",
    """insert into receipt_other
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 20000, n, 1, 1, 1, '', '', ''
         from generate_series(1, $1::bigint) n""",
    "insert into account select n, 1 from generate_series(1, $1::bigint) n",
    "insert into balance select n, 'points', 1 from generate_series(1, $1::bigint) n",
    """insert into posting
       select n, decode(lpad(to_hex(n), 36, '0'), 'hex'), 0, 1, '', 'p', 'points', 1, 1, 1
         from generate_series(1, $1::bigint) n""",
    """insert into lot
       select n, decode(lpad(to_hex(n), 36, '0'), 'hex'), 'points', 1, 1, 1, 0
         from generate_series(1, $1::bigint) n""",
    """insert into lot_change
       select n, id, id, -1
         from generate_series(1, $1::bigint) n, decode(lpad(to_hex(n), 36, '0'), 'hex') id""",
    """insert into hold
       select n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'points', 1, '{}', '{}', 1
         from generate_series(1, $1::bigint) n""",
    """insert into promotion_use
       select n, 'p', '2026-11', 1, 1 from generate_series(1, $1::bigint) n""",
    """insert into budget
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 'c', n::text, '', '', 9, 9, 0, 0, 0, 0
         from generate_series(1, $1::bigint) n""",
    """insert into budget_lease
       select id, id, 's', 9, 9, 0, 0, n % 1000 = 0, n
         from generate_series(1, $1::bigint) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into budget_use
       select id, id, id, id, n % 1000 = 0, 1, 1, 1
         from generate_series(1, $1::bigint) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into receipt_refund
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 0, '', 1, ''
         from generate_series(1, $1::bigint) n""",
    """insert into instrument
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 101, -n, '', 'coupon.s',
              decode(lpad(to_hex(n), 32, '0'), 'hex')
         from generate_series(1, $1::bigint) n""",
    "insert into turnover select n, 1, 1, 1 from generate_series(1, $1::bigint) n",
    """insert into money_transfer
       select decode(lpad(to_hex(n), 36, '0'), 'hex'), 'c', n, 'p', 'd', 1, 1, 0, 1
         from generate_series(1, $1::bigint) n""",
    """insert into outbox_message
       select id, id, 'c', 's', n, 1, 't', '', n, n, n, false, 1 + n % 8, 0, n, n
         from generate_series(1, $1::bigint / 50) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into outbox_change
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, 2, n, ''
         from generate_series(1, $1::bigint / 50) n""",
    """insert into outbox_part
       select id, 1, 1, n::text, id, 1, n
         from generate_series(1, $1::bigint / 50) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into outbox_receipt
       select n::text, decode(lpad(to_hex(n), 32, '0'), 'hex'), 2, n, ''
         from generate_series(1, $1::bigint / 50) n""",
    "insert into membership select n, n from generate_series(1, $1::bigint / 50) n",
    """insert into receipt_statement
       select id, 0, id, id, 20000, 1, ''
         from generate_series(1, $1::bigint / 50) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into parked_receipt
       select id, id, 20000, n
         from generate_series(1, $1::bigint / 50) n, decode(lpad(to_hex(n), 32, '0'), 'hex') id""",
    """insert into quarantined_receipt
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 'c', 's', 't', '1', 'R', '', 1, n, '', 0,
              1 + (n % 1000)::int / 500
         from generate_series(1, $1::bigint / 50) n""",
    """insert into customer
       select n, n, 'c', n::text, 1, 'ru', '{}', '{}' from generate_series(1, $1::bigint) n""",
    """insert into identifier
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, n, n
         from generate_series(1, $1::bigint) n""",
    """insert into profile_answer
       select n, n, 'surname', 1, 'x', 1, '', '' from generate_series(1, $1::bigint) n""",
    """insert into price_list_entry
       select decode(lpad(to_hex(n), 32, '0'), 'hex'), 'c', 'card', n::text, 4, '', 1, 100
         from generate_series(1, $1::bigint) n""",
)
TABLES = (
    *(t for t in HOT_TABLES if t != "receipt"),
    *BILLING_TABLES,
    "receipt_other",
    "identifier",
    "price_list_entry",
)


async def _plans(dsn: str) -> dict[str, list[dict[str, Any]]]:
    connection = await asyncpg.connect(
        dsn, server_settings={"jit": "off", "plan_cache_mode": "force_generic_plan"}
    )
    try:
        for table in (*TABLES, "profile_answer"):
            await connection.execute(f"alter table {table} set (autovacuum_enabled = false)")
        for statement in FILL:
            await connection.execute(statement, ROWS, timeout=120)
        hot = {
            **commits.HOT_STATEMENTS,
            **expiries.HOT_STATEMENTS,
            **facts.HOT_STATEMENTS,
            **holdings.HOT_STATEMENTS,
            **instruments.HOT_STATEMENTS,
            **leases.HOT_STATEMENTS,
            **outbox_work.HOT_STATEMENTS,
            **prices.HOT_STATEMENTS,
            **recipients.HOT_STATEMENTS,
            **{f"refunds.{name}": found for name, found in refunds.HOT_STATEMENTS.items()},
            **statements.HOT_STATEMENTS,
            **turnover.HOT_STATEMENTS,
        }
        return {
            name: _nodes(await _explained(connection, statement)) for name, statement in hot.items()
        }
    finally:
        await connection.close()


async def _explained(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str
) -> dict[str, Any]:
    arguments = ", ".join(["null"] * len(set(re.findall(r"\$\d+", statement))))
    await connection.execute(f"prepare hot as {statement}")
    found = await connection.fetchval(f"explain (format json) execute hot ({arguments})")
    await connection.execute("deallocate hot")
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    nodes = [plan]
    for child in plan.get("Plans", ()):
        nodes += _nodes(child)
    return nodes


@pytest.mark.timeout(300)
def test_no_hot_statement_scans_a_table(pg_dsn: str) -> None:
    """Every node that reads one of our tables uses an index."""
    plans = asyncio.run(_plans(pg_dsn))
    scanned = [
        f"{name}: {node['Node Type']} on {node['Relation Name']}"
        for name, nodes in plans.items()
        for node in nodes
        if "Seq Scan" in node["Node Type"]
    ]
    assert not scanned
    read = {node.get("Relation Name") for nodes in plans.values() for node in nodes}
    hot = {"account", "commit_key", "customer", "identifier", "balance", "lot", "price_list_entry"}
    assert hot | set(BILLING_TABLES) <= read
