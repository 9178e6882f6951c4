"""The spool's rows: each operation as a function of an SQLite connection inside a transaction."""

import fcntl
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from pos_sim.cash_server.entry import (
    UNSETTLED,
    Entry,
    Kind,
    Known,
    State,
    Way,
    find_way,
    is_stated_by,
)

SCHEMA = """
create table if not exists entry (
    entry_id integer primary key autoincrement,
    till text not null,
    key blob not null,
    kind text not null,
    digest blob not null,
    body blob not null,
    is_fact integer not null,
    has_outcome integer not null,
    arrived_at_us integer not null,
    sold_at_us integer not null,
    till_offset_us integer not null,
    amount_minor integer not null,
    state text not null,
    note text not null default '',
    attempts integer not null default 0,
    settled_at_us integer,
    unique (key, kind, digest)
);
create index if not exists entry_unsettled on entry (entry_id)
    where state in ('LIVE', 'DOUBT', 'DUE');
create index if not exists entry_settled on entry (settled_at_us)
    where settled_at_us is not null;
create table if not exists tally (name text primary key, count integer not null);
create table if not exists word (name text primary key, value text not null);
"""
LEFT_OVER = """
pragma temp_store = memory;
create temp table left_over (entry_id integer primary key);
insert into left_over select entry_id from entry where state = 'LIVE';
create temp table before_run as select last_id, min(last_id, coalesce(
    (select cast(value as integer) from word where name = 'offset_to'), 0)) as known_id
    from (select coalesce(max(entry_id), 0) as last_id from entry);
create temp view known as select entry_id, key, kind, digest, is_fact, case
    when state <> 'LIVE' or entry_id not in (select entry_id from left_over) then state
    when is_fact then 'DUE' else 'DOUBT' end as state
    from entry;
"""
"""What a crash has left as being tried is read as what it is, also while the disk has no room to
write that down."""
_FIELDS = (
    "till, key, kind, digest, body, is_fact, has_outcome, arrived_at_us, sold_at_us, "
    "till_offset_us, amount_minor, entry_id, state"
)
_WITHOUT_BODY = _FIELDS.replace("body", "x''", 1)
_WISH = "requeue"
_OFFSET, _OFFSET_TO = "offset_us", "offset_to"
"""The server's clock minus ours, and up to which entry that is the clock that entries came by."""
_ALL = 1 << 62
"""Every entry so far, and those that are still to come in this run."""
_KNOWN = "entry_id <= (select known_id from before_run)"
_UNSETTLED = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))


class Admitted(Struct, frozen=True):
    """How a call goes on.

    Attributes:
        entry: With its place in the spool; None if it needs none.
        is_known: Something with the same receipt key came before.
        stated: Ids of earlier requests of which it says what became of them.
    """

    way: Way
    entry: Entry | None
    is_known: bool
    stated: tuple[int, ...] = ()


def lock(path: Path) -> BinaryIO:
    """Take a spool for this process alone; whoever dies gives it free.

    Args:
        path: Of the spool.

    Returns:
        To be closed when it is given free.

    Raises:
        OSError: Another process has it.
    """
    file = path.with_name(f"{path.name}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise OSError("another cash server has this spool") from error
    return file


def open_rows(path: Path, pages_max: int) -> sqlite3.Connection:
    """Open the spool; what a crash has left there is known, and to be written down with `recover`.

    A spool that was made before needs no room on the disk for that.

    Args:
        path: The file; made if it is not there.
        pages_max: Pages of 4 KiB it may grow to; 0 is no bound.
    """
    try:
        connection = _connect(path, is_shared=True)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
            raise
        # The index of the log has no room on the disk: with it in memory only `status` is shut out.
        connection = _connect(path, is_shared=False)
    connection.execute("pragma synchronous = full")
    connection.executescript(SCHEMA)
    if pages_max:
        connection.execute(f"pragma max_page_count = {pages_max}")
    connection.executescript(LEFT_OVER)
    return connection


def _connect(path: Path, is_shared: bool) -> sqlite3.Connection:
    """Connect; others may read beside us if it is shared."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        if not is_shared:
            connection.execute("pragma locking_mode = exclusive")
        connection.execute("pragma journal_mode = wal")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def recover(connection: sqlite3.Connection) -> None:
    """Settle what a crash has left: what was being tried is in doubt or due."""
    connection.execute(
        "update entry set state = case when is_fact then 'DUE' else 'DOUBT' end "
        "where state = 'LIVE' and entry_id in (select entry_id from left_over)"
    )
    # What comes in this run may come by another clock, until the server's is seen.
    query = "update word set value = (select known_id from before_run) where name = ?"
    connection.execute(query, (_OFFSET_TO,))


def admit(
    connection: sqlite3.Connection, entry: Entry, is_cut: bool, has_queue: bool, is_wanted: bool
) -> Admitted:
    """Take a call in.

    Args:
        connection: Inside a transaction.
        entry: The call.
        is_cut: Nothing is tried live now.
        has_queue: Something of the same till waits to be forwarded.
        is_wanted: It should be kept although it is a request that is not tried.
    """
    known = [*_find_known(connection, entry.key)]
    way = find_way(entry, known, has_queue)
    same = next((k for k in known if (k.kind, k.digest) == (entry.kind, entry.digest)), None)
    is_known = bool(known)
    if way == Way.TAKEN or (way == Way.BROKEN_OFF and same is None):
        return Admitted(way, None, is_known)
    if way == Way.TRY and is_cut:
        way = Way.FORWARD if entry.is_fact else Way.BROKEN_OFF
        if not entry.is_fact and same is None and not is_wanted:
            return Admitted(way, None, is_known)
    state = {Way.TRY: State.LIVE, Way.FORWARD: State.DUE}.get(way, State.DOUBT)
    if same is None:
        kept = _insert(connection, _as_first_sold(connection, entry), state)
    else:
        kept = replace(entry, entry_id=same.entry_id, state=_restate(connection, same, state))
    if way != Way.FORWARD:
        return Admitted(way, kept, is_known)
    stated = tuple(one.entry_id for one in known if is_stated_by(one, entry))
    for entry_id in stated:
        settle(connection, entry_id, State.STATED, "", entry.arrived_at_us)
    return Admitted(way, kept, is_known, stated)


def give_up(connection: sqlite3.Connection, entry: Entry) -> None:
    """A call was tried and not answered: a fact is due, a request is in doubt."""
    state = State.DUE if entry.is_fact else State.DOUBT
    change = "update entry set state = ? where entry_id = ? and state = 'LIVE'"
    connection.execute(change, (state.value, entry.entry_id))
    count(connection, "broken off")


def forget(connection: sqlite3.Connection, entry: Entry, with_requests: bool) -> None:
    """A call was answered live, so that nothing of it need be kept.

    Args:
        connection: Inside a transaction.
        entry: The call.
        with_requests: Nor of other requests on its key, whose fate is known by that.
    """
    states = "'LIVE', 'DOUBT', 'COMMITTED'"
    own = f"delete from entry where entry_id = ? and state in ({states})"
    connection.execute(own, (entry.entry_id,))
    if with_requests:
        others = f"delete from entry where key = ? and is_fact = 0 and state in ({states})"
        connection.execute(others, (entry.key,))


def settle(
    connection: sqlite3.Connection, entry_id: int, state: State, note: str, now_us: int
) -> None:
    """Write down how an entry ended; that a fact was stated about it outweighs all else."""
    waiting = "" if state == State.STATED else f" and state in ({_UNSETTLED})"
    change = f"update entry set state = ?, note = ?, settled_at_us = ? where entry_id = ?{waiting}"
    if connection.execute(change, (state.value, note, now_us, entry_id)).rowcount:
        count(connection, state.value.lower())


def note_failure(connection: sqlite3.Connection, entry_id: int, note: str) -> None:
    """Write down why an entry could not be forwarded yet."""
    change = "update entry set note = ?, attempts = attempts + 1 where entry_id = ?"
    connection.execute(change, (note, entry_id))


def read(connection: sqlite3.Connection, entry_id: int) -> Entry | None:
    """Read an entry; None if it is gone."""
    query = f"select {_FIELDS} from entry where entry_id = ?"
    row = connection.execute(query, (entry_id,)).fetchone()
    return _entry(row) if row is not None else None


def take_out(connection: sqlite3.Connection, entry_id: int) -> Entry | None:
    """Read an entry to send it on; None if it is gone.

    A request that was broken off and said its outcome beforehand is due from now on: it may reach
    the server whatever becomes of this attempt, and would undo a later answer.
    """
    change = "update entry set state = 'DUE' where entry_id = ? and state = 'DOUBT' and has_outcome"
    connection.execute(change, (entry_id,))
    return read(connection, entry_id)


def read_unsettled(connection: sqlite3.Connection) -> list[Entry]:
    """Read all that waits, the oldest first, without the bodies."""
    query = f"select {_WITHOUT_BODY} from entry where state in ({_UNSETTLED}) order by entry_id"
    return [_entry(row) for row in connection.execute(query)]


def shift(connection: sqlite3.Connection, step_us: int, offset_us: int) -> None:
    """Our clock was set: reckon by the new one when what waits arrived, how far tills are from it.

    Of what an earlier run has left that never saw the server's clock nobody knows whether it came
    by the clock as it was until now.

    Args:
        connection: Inside a transaction.
        step_us: By so much, microseconds.
        offset_us: The server's clock minus ours since.
    """
    run, known = "entry_id > (select last_id from before_run)", _KNOWN
    _shift(connection, step_us, f"({run} or {known})")
    write_words(connection, {_OFFSET: str(offset_us)})


def know_clock(connection: sqlite3.Connection, step_us: int, offset_us: int) -> None:
    """The server's clock was seen in this run: by that it is known how ours was set before it.

    Args:
        connection: Inside a transaction.
        step_us: By so much since the last run that saw it, microseconds; 0 if it was not.
        offset_us: The server's clock minus ours as it is now.
    """
    _shift(connection, step_us, _KNOWN)
    write_words(connection, {_OFFSET: str(offset_us), _OFFSET_TO: str(_ALL)})


def _shift(connection: sqlite3.Connection, step_us: int, which: str) -> None:
    connection.execute(
        "update entry set arrived_at_us = arrived_at_us + ?, till_offset_us = till_offset_us + ? "
        f"where (state in ({_UNSETTLED}) or state = 'SET_ASIDE') and {which}",
        (step_us, step_us),
    )


def has_promised(connection: sqlite3.Connection, key: bytes) -> bool:
    """Whether something on a key waits that says what the till did: it will be forwarded so."""
    query = (
        f"select 1 from entry where key = ? and state in ({_UNSETTLED}) "
        "and (is_fact or has_outcome) limit 1"
    )
    return connection.execute(query, (key,)).fetchone() is not None


def requeue(connection: sqlite3.Connection) -> list[Entry]:
    """Make due or doubtful again what was set aside; gives it, without the bodies."""
    change = (
        "update entry set state = case when is_fact then 'DUE' else 'DOUBT' end, "
        f"settled_at_us = null where state = 'SET_ASIDE' returning {_WITHOUT_BODY}"
    )
    return [_entry(row) for row in connection.execute(change)]


def wish(connection: sqlite3.Connection) -> int:
    """Ask the cash server that has the spool to requeue; gives how much is set aside.

    Only it may do that: else it would not know that there is something to forward.
    """
    write_words(connection, {_WISH: "asked"})
    query = "select count(*) from entry where state = 'SET_ASIDE'"
    (found,) = connection.execute(query).fetchone()
    return int(found)


def take_wish(connection: sqlite3.Connection) -> bool:
    """Whether to requeue was asked for since it was last taken."""
    return bool(connection.execute("delete from word where name = ?", (_WISH,)).rowcount)


def prune(connection: sqlite3.Connection, before_us: int, most: int) -> int:
    """Delete what was settled before an instant, but nothing set aside; gives how many."""
    return connection.execute(
        "delete from entry where entry_id in (select entry_id from entry "
        "where settled_at_us < ? and state <> 'SET_ASIDE' limit ?)",
        (before_us, most),
    ).rowcount


def count(connection: sqlite3.Connection, name: str) -> None:
    """Count one of something, for `status`."""
    connection.execute(
        "insert into tally values (?, 1) on conflict (name) do update set count = count + 1",
        (name,),
    )


def write_words(connection: sqlite3.Connection, words: dict[str, str]) -> None:
    """Keep what `status` tells, and what the next run begins with."""
    connection.executemany("insert or replace into word values (?, ?)", words.items())


def read_words(connection: sqlite3.Connection) -> dict[str, str]:
    """Read what was kept."""
    return dict(connection.execute("select name, value from word"))


def read_tally(connection: sqlite3.Connection) -> dict[str, int]:
    """Read what was counted."""
    return dict(connection.execute("select name, count from tally"))


def _find_known(connection: sqlite3.Connection, key: bytes) -> Iterator[Known]:
    query = "select entry_id, kind, digest, is_fact, state from known where key = ?"
    for entry_id, kind, digest, is_fact, state in connection.execute(query, (key,)):
        yield Known(entry_id, Kind(kind), digest, bool(is_fact), State(state))


def _insert(connection: sqlite3.Connection, entry: Entry, state: State) -> Entry:
    kept = replace(entry, state=state)
    values = (
        kept.till,
        kept.key,
        kept.kind.value,
        kept.digest,
        kept.body,
        kept.is_fact,
        kept.has_outcome,
        kept.arrived_at_us,
        kept.sold_at_us,
        kept.till_offset_us,
        kept.amount_minor,
        kept.state.value,
    )
    fields = _FIELDS.replace("entry_id, ", "")
    marks = ", ".join("?" * len(values))
    cursor = connection.execute(f"insert into entry ({fields}) values ({marks})", values)
    assert cursor.lastrowid is not None, "a row was inserted"
    return replace(kept, entry_id=cursor.lastrowid)


def _as_first_sold(connection: sqlite3.Connection, entry: Entry) -> Entry:
    """A sale was made when the till first wanted to sell it, not when it said how that ended."""
    if entry.kind != Kind.CHECKOUT:
        return entry
    query = "select min(sold_at_us) from entry where key = ? and kind = ?"
    (first_us,) = connection.execute(query, (entry.key, entry.kind.value)).fetchone()
    return entry if first_us is None else replace(entry, sold_at_us=min(first_us, entry.sold_at_us))


def _restate(connection: sqlite3.Connection, same: Known, state: State) -> State:
    """Bring a repetition into its new state, unless its end is known already."""
    is_ended = same.state not in UNSETTLED or same.state == State.DUE
    if is_ended and state != State.LIVE:
        return same.state
    change = "update entry set state = ?, settled_at_us = null where entry_id = ?"
    connection.execute(change, (state.value, same.entry_id))
    return state


def _entry(
    row: tuple[str, bytes, str, bytes, bytes, int, int, int, int, int, int, int, str],
) -> Entry:
    till, key, kind, digest, body, is_fact, has_outcome, *numbers, state = row
    arrived_at_us, sold_at_us, till_offset_us, amount_minor, entry_id = map(int, numbers)
    return Entry(
        till,
        key,
        Kind(kind),
        digest,
        body,
        bool(is_fact),
        bool(has_outcome),
        arrived_at_us,
        sold_at_us,
        till_offset_us,
        amount_minor,
        entry_id,
        State(str(state)),
    )
