"""Goal: no hot statement reads a whole table, even on tables that were never analysed.

Method: a million rows in every hot table, statistics kept away; each statement is explained with
the generic plan that the server's connections use. The rows are logged nowhere and the indexes are
made over them, which is quicker and gives the planner the same sizes.
"""

import asyncio
import json
import re
from typing import Any, TypeAlias

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
    "outbox_stop",
    "membership",
)

KEYS = """
create function key_16(n bigint) returns bytea immutable language sql as
    $$select '\\x0000000000000000'::bytea || int8send(n)$$;
create function key_18(n bigint) returns bytea immutable language sql as
    $$select '\\x00000000000000000000'::bytea || int8send(n)$$
"""
FILL = (
    """insert into commit_key
       select key_16(n), 1, '\\x01', n, 20000
         from generate_series(1, $1::bigint) n""",
    """insert into receipt_other
       select key_16(n), 20000, n, 1, 1, 1, '', '', ''
         from generate_series(1, $1::bigint) n""",
    "insert into account select n, 1 from generate_series(1, $1::bigint) n",
    "insert into balance select n, 'points', 1 from generate_series(1, $1::bigint) n",
    """insert into posting
       select n, key_18(n), 0, 1, '', 'p', 'points', 1, 1, 1
         from generate_series(1, $1::bigint) n""",
    """insert into lot
       select n, key_18(n), 'points', 1, 1, 1, 0
         from generate_series(1, $1::bigint) n""",
    """insert into lot_change
       select n, key_18(n), key_18(n), -1
         from generate_series(1, $1::bigint) n""",
    """insert into hold
       select n, key_16(n), 'points', 1, '{}', '{}', 1
         from generate_series(1, $1::bigint) n""",
    """insert into promotion_use
       select n, 'p', '2026-11', 1, 1 from generate_series(1, $1::bigint) n""",
    """insert into budget
       select key_16(n), 'c', n::text, '', '', 9, 9, 0, 0, 0, 0
         from generate_series(1, $1::bigint) n""",
    """insert into budget_lease
       select key_16(n), key_16(n), 's', 9, 9, 0, 0, n % 1000 = 0, n
         from generate_series(1, $1::bigint) n""",
    """insert into budget_use
       select key_16(n), key_16(n), key_16(n), key_16(n), n % 1000 = 0, 1, 1, 1
         from generate_series(1, $1::bigint) n""",
    """insert into receipt_refund
       select key_16(n), 0, '', 1, ''
         from generate_series(1, $1::bigint) n""",
    """insert into instrument
       select key_16(n), 101, -n, '', 'coupon.s', key_16(n)
         from generate_series(1, $1::bigint) n""",
    "insert into turnover select n, 1, 1, 1 from generate_series(1, $1::bigint) n",
    """insert into money_transfer
       select key_18(n), 'c', n, 'p', 'd', 1, 1, 0, 1
         from generate_series(1, $1::bigint) n""",
    """insert into outbox_message
       select key_16(n), key_16(n), 'c', 's', n, 1, 't', '', n, n, n, false, 1 + n % 8, 0, n, n
         from generate_series(1, $1::bigint / 50) n""",
    """insert into outbox_change
       select key_16(n), 1, 2, n, ''
         from generate_series(1, $1::bigint / 50) n""",
    """insert into outbox_part
       select key_16(n), 1, 1, n::text, key_16(n), 1, n
         from generate_series(1, $1::bigint / 50) n""",
    """insert into outbox_receipt
       select n::text, key_16(n), 2, n, ''
         from generate_series(1, $1::bigint / 50) n""",
    """insert into outbox_stop
       select 'c', key_16(n), n, ''
         from generate_series(1, $1::bigint / 50) n""",
    "insert into membership select n, n from generate_series(1, $1::bigint / 50) n",
    """insert into receipt_statement
       select key_16(n), 0, key_16(n), key_16(n), 20000, 1, ''
         from generate_series(1, $1::bigint / 50) n""",
    """insert into parked_receipt
       select key_16(n), key_16(n), 20000, n
         from generate_series(1, $1::bigint / 50) n""",
    """insert into quarantined_receipt
       select key_16(n), 'c', 's', 't', '1', 'R', '', 1, n, '', 0,
              1 + (n % 1000)::int / 500
         from generate_series(1, $1::bigint / 50) n""",
    """insert into customer
       select n, n, 'c', n::text, 1, 'ru', '{}', '{}' from generate_series(1, $1::bigint) n""",
    """insert into identifier
       select key_16(n), 1, n, n
         from generate_series(1, $1::bigint) n""",
    """insert into profile_answer
       select n, n, 'surname', 1, 'x', 1, '', '' from generate_series(1, $1::bigint) n""",
    """insert into price_list_entry
       select key_16(n), 'c', 'card', n::text, 4, '', 1, 100
         from generate_series(1, $1::bigint) n""",
)
TABLES = (
    *(t for t in HOT_TABLES if t != "receipt"),
    *BILLING_TABLES,
    "receipt_other",
    "identifier",
    "price_list_entry",
    "profile_answer",
)


INDEXES = """
select indexrelid::regclass::text as name, indrelid::regclass::text as table_name, conname,
       pg_get_indexdef(indexrelid) as definition
  from pg_index
  join pg_class on pg_class.oid = indrelid
  left join pg_constraint on conindid = indexrelid
 where indrelid = any($1::text[]::regclass[]) and not relispartition
"""
NEVER_ANALYSED = """
select pg_clear_relation_stats('public', relname) from pg_class
 where oid = any($1::text[]::regclass[])
    or oid in (select indexrelid from pg_index where indrelid = any($1::text[]::regclass[]))
"""
SETTINGS = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "maintenance_work_mem": "512MB",
    "max_parallel_maintenance_workers": "0",
}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def _fill(connection: Connection) -> None:
    for table in TABLES:
        await connection.execute(f"alter table {table} set (autovacuum_enabled = false)")
        await connection.execute(f"alter table {table} set unlogged")
    indexes = await connection.fetch(INDEXES, TABLES)
    for index in indexes:
        await connection.execute(_drop(index))
    await connection.execute(KEYS)
    for statement in FILL:
        await connection.execute(statement, ROWS, timeout=120)
    for index in indexes:
        await connection.execute(index["definition"], timeout=120)
    await connection.execute(NEVER_ANALYSED, TABLES)


def _drop(index: asyncpg.Record) -> str:
    if index["conname"]:
        return f"alter table {index['table_name']} drop constraint {index['conname']}"
    return f"drop index {index['name']}"


async def _plans(dsn: str) -> dict[str, list[dict[str, Any]]]:
    connection = await asyncpg.connect(dsn, server_settings=SETTINGS)
    try:
        await _fill(connection)
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


async def _explained(connection: Connection, statement: str) -> dict[str, Any]:
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
