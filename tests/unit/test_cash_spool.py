"""The spool: durable before it says so, whole after kill -9, honest when the disk is full."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.entry import Entry, Kind, State, Way
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.cash_server.status import read_status

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
WRITE_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from tests.unit.test_cash_spool import admit, entry
from pos_sim.cash_server.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]))
    for number in range(3):
        await admit(spool, entry(number, is_fact=number == 2))
    print("written", flush=True)
    await asyncio.Event().wait()  # killed here: written, and not yet sent

asyncio.run(main())
"""
OPEN_ON_A_FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from tests.unit.test_cash_spool import admit, entry
from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.cash_server.status import read_status

async def is_refused(spool):
    try:
        await admit(spool, entry(9))
    except SpoolError:
        return True
    return False

async def main(path):
    # No file may grow: this is as far as the log of the spool has come.
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = path.with_name("spool-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    spool = Spool(path)
    full = {
        "waits": len(await spool.do(spool_rows.read_unsettled)),
        "is_full": await is_refused(spool),
        "repeated": (await admit(spool, entry(2))).way,
        "states": read_status(path).by_state,
    }
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await spool.do(spool_rows.read_words)
    print(json.dumps([full, read_status(path).by_state]))
    await spool.close()

asyncio.run(main(Path(sys.argv[1])))
"""
OPEN_WITHOUT_ANY_ROOM = """
import asyncio, json, resource, sys
from pathlib import Path
from tests.unit.test_cash_spool import admit, entry
from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.spool import Spool, SpoolError

async def main(path):
    spool = Spool(path)
    await admit(spool, entry(1), is_cut=True)
    await spool.close()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    spool = Spool(path)
    waits = len(await spool.do(spool_rows.read_unsettled))
    try:
        await admit(spool, entry(2), is_cut=True)
    except SpoolError:
        waits = -waits
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await admit(spool, entry(3), is_cut=True)
    print(json.dumps([waits, len(await spool.do(spool_rows.read_unsettled))]))
    await spool.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def entry(number: int, is_fact: bool = True, body: bytes = b"body", key: bytes = b"") -> Entry:
    digest = b"%d/%d" % (number, is_fact)
    named = key or b"key%d" % number
    kind = Kind.CHECKOUT
    return Entry("c/s/t", named, kind, digest, body, is_fact, False, 1_000 + number, 5, 0, 10)


async def admit(spool: Spool, new: Entry, is_cut: bool = False) -> spool_rows.Admitted:
    return await spool.do(lambda rows: spool_rows.admit(rows, new, is_cut, False, False))


async def unsettled(spool: Spool) -> list[tuple[int, State]]:
    found = await spool.do(spool_rows.read_unsettled)
    return [(one.entry_id, one.state) for one in found]


def kill_between_write_and_send(path: Path) -> None:
    """Leave two requests and a fact as a crash leaves them."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)


def test_kill_9_between_write_and_send(tmp_path: Path) -> None:
    """A request is in doubt afterwards, a fact is due; nothing is missing or twice."""
    path = tmp_path / "spool"
    kill_between_write_and_send(path)

    async def look() -> None:
        spool = Spool(path)
        left = [(1, State.DOUBT), (2, State.DOUBT), (3, State.DUE)]
        assert await unsettled(spool) == left
        again = await admit(spool, entry(2))
        assert (again.way, again.entry) == (Way.TAKEN, None)
        assert await unsettled(spool) == left
        await spool.close()

    asyncio.run(look())


async def test_a_full_disk_is_said_and_what_was_taken_stays(tmp_path: Path) -> None:
    """The one that does not fit fails, small ones beside it in the same batch do not."""
    spool = Spool(tmp_path / "spool", pages_max=64)
    large = entry(2, body=bytes(300_000))
    small, failed, other = await asyncio.gather(
        admit(spool, entry(1)),
        admit(spool, large),
        admit(spool, entry(3)),
        return_exceptions=True,
    )
    assert isinstance(failed, SpoolError)
    assert "full" in spool.last_error
    assert isinstance(small, spool_rows.Admitted)
    assert isinstance(other, spool_rows.Admitted)
    many = [admit(spool, entry(number, body=bytes(2_000))) for number in range(10, 300)]
    ended = await asyncio.gather(*many, return_exceptions=True)
    taken = [one for one in ended if isinstance(one, spool_rows.Admitted)]
    assert 0 < len(taken) < len(many)
    assert len(await unsettled(spool)) == len(taken) + 2
    await spool.close()


def test_it_opens_on_a_full_disk_with_calls_under_way(tmp_path: Path) -> None:
    """What a crash has left waits as it should, is not tried again, and is put right later."""
    path = tmp_path / "spool"
    kill_between_write_and_send(path)
    full, there_is_room = said_by(OPEN_ON_A_FULL_DISK, path)
    assert full == {"waits": 3, "is_full": True, "repeated": "TAKEN", "states": {"LIVE": 3}}
    assert there_is_room == {"DOUBT": 2, "DUE": 1}


def test_it_opens_after_a_stop_when_no_file_can_be_written(tmp_path: Path) -> None:
    """Not even the index of the log has room: what waits is known; facts are taken when it has."""
    assert said_by(OPEN_WITHOUT_ANY_ROOM, tmp_path / "spool") == [-1, 2]


def said_by(program: str, path: Path) -> Any:
    """What another process says of a spool."""
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=PATIENCE_S,
        check=True,
    )
    return json.loads(found.stdout)


async def test_what_must_be_done_in_the_end_is_done_when_there_is_room(tmp_path: Path) -> None:
    """An end that did not fit on a full disk is written once something was deleted."""
    spool = Spool(tmp_path / "spool", pages_max=64)
    kept = await admit(spool, entry(1, body=bytes(150_000)))
    assert kept.entry is not None
    first = kept.entry
    filler = "x" * 300_000
    spool.do_later(lambda rows: spool_rows.write_words(rows, {"large": filler[:120_000]}))
    with pytest.raises(SpoolError):
        await spool.do(lambda rows: spool_rows.write_words(rows, {"other": filler}))
    await spool.do(lambda rows: spool_rows.forget(rows, first, False))
    await spool.do(spool_rows.read_words)
    words = await spool.do(spool_rows.read_words)
    assert len(words["large"]) == 120_000
    await spool.close()


async def test_what_can_never_be_stored_fails_alone(tmp_path: Path) -> None:
    """No fault of one operation, of whatever kind, ends the thread that all others need."""
    spool = Spool(tmp_path / "spool")
    spool.do_later(lambda rows: 1 // 0)
    async with asyncio.timeout(PATIENCE_S):
        failed, other = await asyncio.gather(
            admit(spool, replace(entry(1), sold_at_us=2**63)),
            admit(spool, entry(2)),
            return_exceptions=True,
        )
        assert isinstance(failed, SpoolError)
        assert isinstance(other, spool_rows.Admitted)
        assert await unsettled(spool) == [(1, State.LIVE)]
    await spool.close()


async def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    """While the disk is busy, others queue up; they share the next commit."""
    spool = Spool(tmp_path / "spool")
    busy, free = threading.Event(), threading.Event()
    said: list[str] = []

    def hold(rows: sqlite3.Connection) -> None:
        rows.set_trace_callback(said.append)
        busy.set()
        assert free.wait(30.0)

    held = asyncio.ensure_future(spool.do(hold))
    await asyncio.to_thread(busy.wait, 30.0)
    jobs = [asyncio.ensure_future(admit(spool, entry(number))) for number in range(200)]
    await asyncio.sleep(0)  # all of them have handed their work in
    free.set()
    await asyncio.gather(held, *jobs)
    assert len(await unsettled(spool)) == 200
    assert said.count("commit") == 3
    await spool.close()


async def test_a_fact_takes_the_place_of_the_request_on_its_key(tmp_path: Path) -> None:
    """The request is stated, the fact is due, sold when the till first wanted to sell it."""
    spool = Spool(tmp_path / "spool")
    request = entry(1, is_fact=False, key=b"k")
    tried = await admit(spool, request)
    assert tried.entry is not None
    live = tried.entry
    assert (tried.way, tried.entry.state) == (Way.TRY, State.LIVE)
    await spool.do(lambda rows: spool_rows.give_up(rows, live))
    late = entry(1, key=b"k")
    fact = await admit(spool, replace(late, sold_at_us=9_999))
    assert fact.entry is not None
    assert (fact.way, fact.stated, fact.entry.sold_at_us) == (Way.FORWARD, (1,), 5)
    # The fence that was under way comes back: that the till has spoken outweighs it.
    await spool.do(lambda rows: spool_rows.settle(rows, 1, State.FENCED, "", 9))
    assert await unsettled(spool) == [(2, State.DUE)]
    await spool.do(lambda rows: spool_rows.settle(rows, 2, State.FORWARDED, "RECORDED", 9))
    assert (await admit(spool, late)).way == Way.TAKEN
    await spool.close()
    found = read_status(tmp_path / "spool")
    assert (found.depth, found.by_state) == (0, {"STATED": 1, "FORWARDED": 1})
    assert found.tally == {"broken off": 1, "stated": 1, "forwarded": 1}


async def test_an_answer_makes_the_spool_forget(tmp_path: Path) -> None:
    """What was answered live, also a request on the same key before it, is gone."""
    spool = Spool(tmp_path / "spool")
    first = await admit(spool, entry(1, is_fact=False, key=b"k"))
    assert first.entry is not None
    doubtful = first.entry
    await spool.do(lambda rows: spool_rows.give_up(rows, doubtful))
    second = await admit(spool, entry(2, is_fact=False, key=b"k"))
    assert second.entry is not None
    answered = second.entry
    await spool.do(lambda rows: spool_rows.forget(rows, answered, True))
    assert await unsettled(spool) == []
    await spool.close()


async def test_in_rush_mode_a_request_leaves_no_trace_and_a_fact_does(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    request = await admit(spool, entry(1, is_fact=False), is_cut=True)
    assert (request.way, request.entry, request.is_known) == (Way.BROKEN_OFF, None, False)
    fact = await admit(spool, entry(2), is_cut=True)
    assert fact.way == Way.FORWARD
    assert await unsettled(spool) == [(1, State.DUE)]
    await spool.close()


async def test_only_what_is_settled_for_long_is_pruned(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(4):
        await admit(spool, entry(number), is_cut=True)
    await spool.do(lambda rows: spool_rows.settle(rows, 1, State.FORWARDED, "", 10))
    await spool.do(lambda rows: spool_rows.settle(rows, 2, State.FORWARDED, "", 30))
    await spool.do(lambda rows: spool_rows.settle(rows, 3, State.SET_ASIDE, "why", 10))
    assert await spool.do(lambda rows: spool_rows.prune(rows, 20, 100)) == 1
    assert [one.entry_id for one in await spool.do(spool_rows.requeue)] == [3]
    assert await unsettled(spool) == [(3, State.DUE), (4, State.DUE)]
    await spool.close()


async def test_a_request_that_is_requeued_is_in_doubt_again(tmp_path: Path) -> None:
    """It is no fact by that: what the till states of its key takes its place."""
    spool = Spool(tmp_path / "spool")
    await admit(spool, entry(1, is_fact=False, key=b"k"))
    await spool.do(lambda rows: spool_rows.settle(rows, 1, State.SET_ASIDE, "why", 10))
    (again,) = await spool.do(spool_rows.requeue)
    assert (again.entry_id, again.state) == (1, State.DOUBT)
    assert (await admit(spool, entry(1, key=b"k"))).stated == (1,)
    assert await unsettled(spool) == [(2, State.DUE)]
    await spool.close()


async def test_only_what_came_in_this_run_is_known_by_its_clock(tmp_path: Path) -> None:
    """What an earlier one has left that did not see the server's clock may have come by another."""
    spool = Spool(tmp_path / "spool")
    await admit(spool, entry(1), is_cut=True)
    await spool.close()
    spool = Spool(tmp_path / "spool")
    await admit(spool, entry(2), is_cut=True)
    await spool.do(lambda rows: spool_rows.shift(rows, 7, -7))
    left = await spool.do(spool_rows.read_unsettled)
    assert [(one.till_offset_us, one.arrived_at_us) for one in left] == [(0, 1_001), (7, 1_009)]
    await spool.close()


async def test_how_our_clock_was_set_is_known_of_runs_that_saw_the_server_s(tmp_path: Path) -> None:
    """Of three the first one saw it: what that has left moves; of the second one nobody knows."""
    spool = Spool(tmp_path / "spool")
    await spool.do(lambda rows: spool_rows.know_clock(rows, 0, 5))
    await admit(spool, entry(1), is_cut=True)
    await spool.close()
    spool = Spool(tmp_path / "spool")
    await admit(spool, entry(2), is_cut=True)
    await spool.close()
    spool = Spool(tmp_path / "spool")
    await admit(spool, entry(3), is_cut=True)
    await spool.do(lambda rows: spool_rows.know_clock(rows, 7, -2))
    left = await spool.do(spool_rows.read_unsettled)
    assert [one.till_offset_us for one in left] == [7, 0, 0]
    await spool.do(lambda rows: spool_rows.shift(rows, 30, -32))
    left = await spool.do(spool_rows.read_unsettled)
    assert [one.till_offset_us for one in left] == [37, 0, 30]
    assert (await spool.do(spool_rows.read_words))["offset_us"] == "-32"
    await spool.close()


async def test_only_what_is_not_being_tried_goes_on_its_way(tmp_path: Path) -> None:
    """A request with an outcome is due from then on; one that is being tried is left alone."""
    spool = Spool(tmp_path / "spool")
    for number in range(1, 4):
        made = replace(entry(number, is_fact=False), has_outcome=number < 3)
        new = (await admit(spool, made)).entry
        assert new is not None
        if number > 1:
            await spool.do(partial(spool_rows.give_up, entry=new))
    going = [await spool.do(partial(spool_rows.take_out, entry_id=one)) for one in (1, 2, 3)]
    states = [State.LIVE, State.DUE, State.DOUBT]
    assert [one.state for one in going if one is not None] == states
    assert [state for _, state in await unsettled(spool)] == states
    await spool.close()


async def test_one_process_at_a_time_has_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(SpoolError, match="another cash server"):
        Spool(tmp_path / "spool")
    await spool.close()
    await Spool(tmp_path / "spool").close()
