"""Every commit ends in one way, and what is said of it is true: over a database that fails.

All runs in virtual time: a commit that would wait for ever fails its test at once.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.commit import AccountChange, Commit
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.refusal import Reason, Refusal
from server import pipeline as pipeline_module
from server.pipeline import COMMITTED, VERSION_LOST, Fate, KeysTaken, Pipeline
from server.store.database import RetryError
from tests import make
from tests.unit.batch_store import FakeStore, Fault
from tests.unit.virtual_time import run_virtually, settle, virtual_loop

LONG_S = 60.0
Outcome = Fate | Reason | str
Scenario = Callable[["Bench"], Awaitable[None]]


class Bench:
    """A pipeline over a store in memory, and the calls that wait for it."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.pipeline = Pipeline(self.store)

    def submit(self, commit: Commit, within_s: float = LONG_S) -> "asyncio.Task[Outcome]":
        return asyncio.create_task(self._submit(commit, virtual_loop().time() + within_s))

    async def _submit(self, commit: Commit, deadline_s: float) -> Outcome:
        try:
            return await self.pipeline.submit(commit, deadline_s)
        except Refusal as refusal:
            return refusal.reason

    async def submit_all(self, *commits: Commit) -> list[Outcome]:
        return await asyncio.gather(*[self.submit(commit) for commit in commits])

    async def still_works(self) -> bool:
        """Whether the pipeline writes on, after whatever has happened."""
        self.store.faults.clear()
        commit = make.commit("still works")
        outcome = await self.submit(commit)
        return outcome == COMMITTED and self.store.written[-1] is commit


def play(scenario: Scenario) -> None:
    """Play a scenario over a started pipeline and drain it."""

    async def main() -> None:
        bench = Bench()
        bench.pipeline.start()
        await scenario(bench)
        bench.store.release()
        await bench.pipeline.drain()
        assert bench.store.broken == []

    with structlog.testing.capture_logs():
        run_virtually(main)


def taken(*names: str) -> KeysTaken:
    return KeysTaken(frozenset(make.key_id(name) for name in names))


def commits(count: int, name: str = "c") -> list[Commit]:
    return [make.commit(f"{name}{n}") for n in range(count)]


def both(name: str, one: int, other: int) -> Commit:
    """A commit of accounts 1 and 2, decided on these versions."""
    accounts = (AccountChange(1, one), AccountChange(2, other))
    return replace(make.commit(name), accounts=accounts)


# --- batches ------------------------------------------------------------------------------------


def test_a_commit_alone_is_written_without_waiting() -> None:
    async def scenario(bench: Bench) -> None:
        began_s = virtual_loop().time()
        assert await bench.submit(make.commit("a")) == COMMITTED
        assert virtual_loop().time() == pytest.approx(began_s + bench.store.write_s)

    play(scenario)


def test_what_queued_while_a_batch_was_in_flight_goes_next() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        first = bench.submit(make.commit("first"))
        await settle()
        others = [bench.submit(commit) for commit in commits(300)]
        await settle()
        bench.store.release()
        assert set(await asyncio.gather(first, *others)) == {COMMITTED}
        assert [len(batch) for batch in bench.store.batches] == [1, 256, 44]
        assert bench.store.written[1:] == commits(300)

    play(scenario)


def test_no_answer_leaves_before_its_batch_is_durable() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        waiting = [bench.submit(commit) for commit in commits(3)]
        await asyncio.sleep(1.0)
        assert not any(task.done() for task in waiting)
        bench.store.release()
        assert await asyncio.gather(*waiting) == [COMMITTED] * 3

    play(scenario)


def test_a_batch_is_bounded_in_rows() -> None:
    journal = Journal(make.key_id())
    for _ in range(100):
        journal.grant("p", "points", 1, AssetWindow(0, 0))
    movement = journal.movement()

    async def scenario(bench: Bench) -> None:
        heavy = [
            replace(commit, accounts=(AccountChange(n, 0, movement),))
            for n, commit in enumerate(commits(100), start=1)
        ]
        assert set(await bench.submit_all(*heavy)) == {COMMITTED}
        rows = [
            sum(4 + 2 * len(moved.postings) for c in batch for _, moved in c.moved())
            for batch in bench.store.batches
        ]
        assert len(rows) > 1
        assert max(rows) < pipeline_module.BATCH_ROWS_MAX + 404

    play(scenario)


def test_one_commit_an_account_in_a_batch_the_others_keep_their_turn() -> None:
    async def scenario(bench: Bench) -> None:
        names = ("a0", "a1", "b0", "a2", "none", "b1")
        chosen = [
            make.commit(name, account_id=" ab".find(name[0]) % 3, account_version=int(name[1]))
            if name != "none"
            else make.commit(name)
            for name in names
        ]
        assert await bench.submit_all(*chosen) == [COMMITTED] * 6
        by_key = {commit.keys[0].key_id: name for commit, name in zip(chosen, names, strict=True)}
        batches = [[by_key[c.keys[0].key_id] for c in batch] for batch in bench.store.batches]
        assert batches == [["a0", "b0", "none"], ["a1", "b1"], ["a2"]]

    play(scenario)


def test_a_lost_version_harms_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        stale = make.commit("stale", account_id=7, account_version=5)
        outcomes = await bench.submit_all(make.commit("a"), stale, make.commit("b"))
        assert outcomes == [COMMITTED, VERSION_LOST, COMMITTED]
        assert stale not in bench.store.written

    play(scenario)


@pytest.mark.parametrize(("one", "other"), [(0, 5), (5, 0), (5, 5)])
def test_a_commit_of_two_accounts_wins_both_or_none(one: int, other: int) -> None:
    async def scenario(bench: Bench) -> None:
        stale = both("stale", one, other)
        outcomes = await bench.submit_all(make.commit("a"), stale, make.commit("b"))
        assert outcomes == [COMMITTED, VERSION_LOST, COMMITTED]
        assert stale not in bench.store.written
        assert await bench.submit(both("fresh", 0, 0)) == COMMITTED
        assert bench.store.versions == {1: 1, 2: 1}

    play(scenario)


def test_a_commit_of_two_accounts_shares_its_batch_with_neither() -> None:
    async def scenario(bench: Bench) -> None:
        alone = make.commit("alone", account_id=2, account_version=1)
        assert await bench.submit_all(both("both", 0, 0), alone) == [COMMITTED] * 2
        assert [len(batch) for batch in bench.store.batches] == [1, 1]

    play(scenario)


# --- one key several times ----------------------------------------------------------------------


def test_who_sends_the_key_of_a_commit_that_is_being_written_waits_for_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        leader = bench.submit(make.commit("key"))
        await settle()
        followers = [bench.submit(make.commit("key")) for _ in range(100)]
        await settle()
        bench.store.release()
        assert await leader == COMMITTED
        assert await asyncio.gather(*followers) == [taken("key")] * 100
        assert len(bench.store.written) == 1

    play(scenario)


def test_a_follower_takes_the_place_of_a_leader_that_lost_its_version() -> None:
    async def scenario(bench: Bench) -> None:
        stale = make.commit("key", account_id=7, account_version=5)
        fresh = make.commit("key", account_id=7, account_version=0)
        last = make.commit("key", account_id=7, account_version=0)
        assert await bench.submit_all(stale, fresh, last) == [VERSION_LOST, COMMITTED, taken("key")]

    play(scenario)


@pytest.mark.parametrize("ending", ["cancelled", "late"])
def test_a_follower_takes_the_place_of_a_leader_that_has_gone(ending: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        busy = bench.submit(make.commit("busy"))
        await settle()
        leader = bench.submit(make.commit("key"), within_s=1.0)
        follower, last = bench.submit(make.commit("key")), bench.submit(make.commit("key"))
        await settle()
        if ending == "cancelled":
            leader.cancel()
        await asyncio.sleep(2.0)
        bench.store.release()
        outcomes = await asyncio.gather(*[busy, follower, last])
        assert outcomes == [COMMITTED, COMMITTED, taken("key")]
        if ending == "late":
            assert await leader == Reason.DEADLINE_PASSED
        assert len(bench.store.written) == 2

    play(scenario)


def test_a_follower_of_a_poisoned_leader_is_refused_for_itself() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.poisoned.add(make.key_id("key"))
        outcomes = await bench.submit_all(make.commit("key"), make.commit("key"))
        assert outcomes == [Reason.INTERNAL] * 2
        assert await bench.still_works()

    play(scenario)


@pytest.mark.parametrize("stored", ["own", "basket"])
def test_a_key_that_exists_is_named_and_harms_no_other(stored: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.keys[make.key_id(stored)] = None
        mine = make.commit("own", "basket")
        outcomes = await bench.submit_all(make.commit("a"), mine, make.commit("b"))
        assert outcomes == [COMMITTED, taken(stored), COMMITTED]
        assert mine not in bench.store.written

    play(scenario)


def test_who_follows_a_commit_whose_basket_was_sold_is_not_told_that_the_receipt_exists() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.keys[make.key_id("basket")] = None
        twice = [make.commit("own", "basket"), make.commit("own", "basket")]
        assert await bench.submit_all(*twice) == [taken("basket")] * 2
        assert bench.store.written == []

    play(scenario)


def test_a_basket_is_sold_once_when_two_receipts_of_it_come_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        outcomes = await bench.submit_all(
            make.commit("one", "basket"), make.commit("other", "basket"), make.commit("third")
        )
        assert outcomes == [COMMITTED, taken("basket"), COMMITTED]
        assert await bench.still_works()

    play(scenario)


# --- poison and failures ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["poisoned", "faulty"])
@pytest.mark.parametrize("bad", [(0,), (77,), (199,), (0, 199), (3, 4, 150)])
def test_a_poisoned_commit_in_a_batch_of_200_harms_no_other(
    bad: tuple[int, ...], kind: str
) -> None:
    async def scenario(bench: Bench) -> None:
        chosen = commits(200)
        getattr(bench.store, kind).update(chosen[n].keys[0].key_id for n in bad)
        outcomes = await bench.submit_all(*chosen)
        expected: list[Outcome] = [COMMITTED] * 200
        for n in bad:
            expected[n] = Reason.INTERNAL
        assert outcomes == expected
        assert len(bench.store.batches[0]) == 200
        good = [commit for n, commit in enumerate(chosen) if n not in bad]
        assert bench.store.written == good

    play(scenario)


def test_a_poisoned_commit_and_a_taken_key_in_one_batch() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.poisoned.add(make.key_id("c1"))
        bench.store.keys[make.key_id("c2")] = None
        outcomes = await bench.submit_all(*commits(4))
        assert outcomes == [COMMITTED, Reason.INTERNAL, taken("c2"), COMMITTED]

    play(scenario)


def test_a_batch_that_was_rolled_back_runs_again_whole() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.extend([Fault.RETRY] * 3)
        assert await bench.submit_all(*commits(5)) == [COMMITTED] * 5
        assert [len(batch) for batch in bench.store.batches] == [5] * 4
        assert bench.store.recoveries == 3
        assert bench.store.reads == []

    play(scenario)


def test_after_a_lost_answer_the_keys_are_read_and_nothing_is_written_twice() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(Fault.UNKNOWN_DONE)
        outcomes = await bench.submit_all(*commits(3))
        assert outcomes == [taken("c0"), taken("c1"), taken("c2")]
        assert bench.store.written == commits(3)
        assert len(bench.store.batches) == 1
        assert len(bench.store.reads) == 1

    play(scenario)


def test_after_a_lost_answer_that_changed_nothing_the_batch_runs_again() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(Fault.UNKNOWN_LOST)
        assert await bench.submit_all(*commits(3)) == [COMMITTED] * 3
        assert len(bench.store.reads) == 1
        assert bench.store.written == commits(3)

    play(scenario)


def test_the_keys_are_read_until_they_can_be_read() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(Fault.UNKNOWN_DONE)
        bench.store.read_faults.extend([RetryError("away", fate_unknown=False)] * 3)
        assert await bench.submit(make.commit("a")) == taken("a")
        assert (len(bench.store.reads), bench.store.recoveries) == (4, 4)

    play(scenario)


@pytest.mark.parametrize("fault", [Fault.RETRY, Fault.UNKNOWN_LOST])
def test_another_server_wrote_the_key_meanwhile(fault: Fault) -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(fault)
        waiting = bench.submit(make.commit("a"))
        await asyncio.sleep(bench.store.write_s * 2)
        bench.store.keys[make.key_id("a")] = None
        assert await waiting == taken("a")
        assert bench.store.written == []

    play(scenario)


def test_a_fault_that_nobody_thought_of_and_that_stays_refuses_the_batch_and_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.extend([Fault.BUG] * 5)
        assert await bench.submit_all(*commits(3)) == [Reason.INTERNAL] * 3
        assert [len(batch) for batch in bench.store.batches] == [3, 1, 2, 1, 1]
        assert await bench.still_works()

    play(scenario)


def test_a_fault_that_nobody_thought_of_once_refuses_nobody() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(Fault.BUG)
        assert await bench.submit_all(*commits(3)) == [COMMITTED] * 3

    play(scenario)


def test_a_fault_that_nobody_thought_of_while_keys_are_read_ends_its_batch_and_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.append(Fault.UNKNOWN_DONE)
        bench.store.read_faults.append(LookupError("nobody thought of this"))
        # It was written or not: nobody may be told that it was not.
        assert await bench.submit(make.commit("a")) in (Reason.RESULT_UNKNOWN, taken("a"))
        assert await bench.still_works()

    play(scenario)


# --- deadlines, cancelled callers, a full queue -------------------------------------------------


def test_past_its_deadline_nothing_is_written() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        busy = bench.submit(make.commit("busy"))
        await settle()
        late, patient = bench.submit(make.commit("late"), 1.0), bench.submit(make.commit("patient"))
        await asyncio.sleep(2.0)
        assert late.done()
        bench.store.release()
        outcomes = await asyncio.gather(*[busy, late, patient])
        assert outcomes == [COMMITTED, Reason.DEADLINE_PASSED, COMMITTED]
        assert bench.store.written == [make.commit("busy"), make.commit("patient")]

    play(scenario)


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_a_deadline_that_has_passed_before_it_came(left_s: float) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.submit(make.commit("late"), left_s) == Reason.DEADLINE_PASSED
        assert bench.store.batches == []

    play(scenario)


def test_the_deadline_is_looked_at_just_before_the_write() -> None:
    """The loop was busy when the deadline passed, so that its timer has not run yet."""

    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        busy = bench.submit(make.commit("busy"))
        await settle()
        late = bench.submit(make.commit("late"), within_s=1.0)
        await settle()
        bench.store.release()
        virtual_loop().work_for(2.0)
        await busy
        assert await late == Reason.DEADLINE_PASSED
        assert bench.store.written == [make.commit("busy")]

    play(scenario)


def test_a_deadline_during_the_write_leaves_the_result_unknown() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        late, patient = bench.submit(make.commit("late"), 1.0), bench.submit(make.commit("patient"))
        await asyncio.sleep(2.0)
        assert late.done()
        assert await late == Reason.RESULT_UNKNOWN
        bench.store.release()
        assert await patient == COMMITTED
        assert make.commit("late") in bench.store.written
        assert await bench.submit(make.commit("late")) == taken("late")

    play(scenario)


def test_who_follows_a_write_and_runs_out_of_time_is_not_told_that_nothing_is_recorded() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        leader = bench.submit(make.commit("key"))
        await settle()
        follower = bench.submit(make.commit("key"), within_s=1.0)
        assert await follower == Reason.RESULT_UNKNOWN
        bench.store.release()
        assert await leader == COMMITTED

    play(scenario)


def test_a_deadline_while_the_database_is_away() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.extend([Fault.RETRY] * 30)
        late, patient = bench.submit(make.commit("late"), 1.0), bench.submit(make.commit("patient"))
        assert await late in (Reason.DEADLINE_PASSED, Reason.RESULT_UNKNOWN)
        assert await patient == COMMITTED
        assert bench.store.written == [make.commit("patient")]

    play(scenario)


def test_a_caller_that_is_cancelled_leaves_the_queue() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        busy = bench.submit(make.commit("busy"))
        await settle()
        gone = bench.submit(make.commit("gone"))
        await settle()
        gone.cancel()
        bench.store.release()
        assert await busy == COMMITTED
        assert await bench.still_works()
        assert make.commit("gone") not in bench.store.written
        assert await bench.submit(make.commit("gone")) == COMMITTED

    play(scenario)


def test_a_commit_that_is_being_written_is_written_though_its_caller_is_cancelled() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        gone, other = bench.submit(make.commit("gone")), bench.submit(make.commit("other"))
        await settle()
        gone.cancel()
        await settle()
        bench.store.release()
        assert await other == COMMITTED
        assert bench.store.written == [make.commit("gone"), make.commit("other")]
        assert await bench.submit(make.commit("gone")) == taken("gone")

    play(scenario)


def test_a_full_queue_refuses_and_says_how_many_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "QUEUE_MAX", 5)

    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        busy = bench.submit(make.commit("busy"))
        await settle()
        queued = [bench.submit(commit) for commit in commits(5)]
        await settle()
        with pytest.raises(Refusal) as caught:
            await bench.pipeline.submit(make.commit("one too many"), virtual_loop().time() + 1)
        assert caught.value.reason is Reason.TOO_MANY_IN_FLIGHT
        assert caught.value.metadata == {"max": "5"}
        bench.store.release()
        assert set(await asyncio.gather(busy, *queued)) == {COMMITTED}

    play(scenario)


# --- draining -----------------------------------------------------------------------------------


def test_a_drain_writes_what_was_taken() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.hold()
        waiting = [bench.submit(commit) for commit in commits(300)]
        waiting += [bench.submit(commit) for commit in commits(3)]
        await settle()
        drained = asyncio.create_task(bench.pipeline.drain())
        await settle()
        assert not drained.done()
        bench.store.release()
        await drained
        assert await asyncio.gather(*waiting) == [COMMITTED] * 300 + [
            taken("c0"),
            taken("c1"),
            taken("c2"),
        ]

    play(scenario)


def test_a_drain_of_an_idle_pipeline_ends() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.pipeline.drain()

    play(scenario)


def test_a_drain_while_the_database_is_away_ends_with_the_last_deadline() -> None:
    async def scenario(bench: Bench) -> None:
        bench.store.faults.extend([Fault.RETRY] * 1_000)
        waiting = [bench.submit(commit, 2.0) for commit in commits(3)]
        await settle()
        await bench.pipeline.drain()
        assert bench.store.written == []
        known = {Reason.DEADLINE_PASSED, Reason.RESULT_UNKNOWN}
        assert set(await asyncio.gather(*waiting)) <= known

    play(scenario)


def test_after_a_drain_nothing_is_written() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.pipeline.drain()
        outcome = await bench.submit(make.commit("a"), 1.0)
        assert outcome in (Reason.DEADLINE_PASSED, Reason.DRAINING)
        assert bench.store.written == []

    play(scenario)


# --- any interleaving ---------------------------------------------------------------------------


class Call(NamedTuple):
    """One call of a random run; times in hundredths of a second."""

    key: int
    account: int
    stale: bool
    basket: int
    starts: int
    within: int
    cancelled_after: int


CALLS = st.builds(
    Call,
    key=st.integers(0, 7),
    account=st.integers(0, 2),
    stale=st.sampled_from([False, False, False, True]),
    basket=st.just(0),
    starts=st.integers(0, 20),
    within=st.sampled_from([0, 1, 2, 3, 30, 6_000, 6_000, 6_000]),
    cancelled_after=st.sampled_from([0, 0, 0, 0, 1, 2]),
)
FAULTS = st.lists(st.sampled_from(list(Fault)), max_size=5)


async def _one(bench: Bench, call: Call, number: int) -> tuple[Commit, Outcome]:
    await asyncio.sleep(call.starts / 100)
    names = [f"k{call.key}", *([f"basket{call.basket}"] if call.basket else [])]
    version = bench.store.versions[call.account] - call.stale
    commit = make.commit(*names, account_id=call.account, account_version=version)
    commit = replace(commit, recorded_at_us=number)
    task = bench.submit(commit, call.within / 100)
    if call.cancelled_after:
        await asyncio.sleep(call.cancelled_after / 100)
        task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, asyncio.CancelledError):
        return commit, "cancelled"
    assert not isinstance(outcome, BaseException)
    return commit, outcome


def run_calls(calls: list[Call], faults: list[Fault], poisoned: set[int]) -> None:
    """Play calls and hold every end to what is on disk."""

    async def scenario(bench: Bench) -> None:
        bench.store.faults.extend(faults)
        bench.store.poisoned.update(make.key_id(f"k{key}") for key in poisoned)
        ends = await asyncio.gather(*[_one(bench, call, n) for n, call in enumerate(calls)])
        assert await bench.still_works()
        written = Counter(commit.recorded_at_us for commit in bench.store.written)
        keys = Counter(key.key_id for c in bench.store.written for key in c.keys)
        assert max(keys.values()) == 1, "a key was written twice"
        for commit, outcome in ends:
            check_end(commit, outcome, written[commit.recorded_at_us], bench.store)

    play(scenario)


REFUSED = (Reason.DEADLINE_PASSED, Reason.INTERNAL, Reason.TOO_MANY_IN_FLIGHT, VERSION_LOST)


def check_end(commit: Commit, outcome: Outcome, times: int, store: FakeStore) -> None:
    """What a caller was told of its commit is true."""
    assert times <= 1
    if outcome == COMMITTED:
        assert times == 1
    elif outcome in REFUSED:
        assert times == 0
    elif isinstance(outcome, KeysTaken):
        assert outcome.key_ids <= {key.key_id for key in commit.keys}
        assert all(key_id in store.keys for key_id in outcome.key_ids)
    else:
        assert outcome in (Reason.RESULT_UNKNOWN, "cancelled")


@given(
    st.lists(CALLS, min_size=1, max_size=14), FAULTS, st.sets(st.sampled_from([6, 7]), max_size=1)
)
def test_any_interleaving_ends_every_commit_truly(
    calls: list[Call], faults: list[Fault], poisoned: set[int]
) -> None:
    run_calls(calls, faults, poisoned)


@given(st.lists(CALLS, min_size=1, max_size=14), FAULTS, st.integers(0, 2**28 - 1))
def test_any_interleaving_sells_every_basket_once(
    calls: list[Call], faults: list[Fault], baskets: int
) -> None:
    """The same with receipts that share baskets: 0 is none."""
    shared = [call._replace(basket=baskets >> 2 * n & 3) for n, call in enumerate(calls)]
    run_calls(shared, faults, set())


def test_canary_a_commit_that_is_reported_but_not_written_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_end(make.commit("a"), COMMITTED, 0, FakeStore())
