"""Look-ups go together and come back each to its own caller, over a database that fails."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.lookups import (
    BATCH_MAX,
    IN_STEP_FROM,
    TOLD_TOGETHER,
    Lookups,
    Seen,
    Wanted,
    seen_by,
)
from server.store.database import Found, RetryError
from server.store.facts import KnownCustomer, KnownKey
from server.store.forwarded import Parked
from tests import make
from tests.unit.virtual_time import run_virtually, settle, virtual_loop

LONG_S = 60.0
AWAY = RetryError("away", fate_unknown=False)


class FakeFacts:
    """Keys and customers in memory; the hash of customer n is `card(n)`."""

    def __init__(self) -> None:
        self.keys: dict[bytes, KnownKey] = {}
        self.customers: dict[int, KnownCustomer] = {}
        self.faults: deque[Exception] = deque()
        self.asked: list[tuple[list[bytes], list[bytes]]] = []
        self.parked: list[Parked] = []
        self.recoveries = 0
        self.read_s = 0.01
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    async def find(
        self,
        key_ids: Sequence[bytes],
        hashes: Sequence[bytes],
        price_keys: Sequence[bytes] = (),
        uses: Sequence[tuple[int, tuple[str, ...]]] = (),
        hold_ids: Sequence[bytes] = (),
        lease_hold_ids: Sequence[bytes] = (),
    ) -> Found:
        self.asked.append((list(key_ids), list(hashes)))
        await asyncio.sleep(self.read_s)
        await self._free.wait()
        if self.faults:
            raise self.faults.popleft()
        owners = {card(n): (n, n) for n in self.customers if card(n) in hashes}
        return Found(
            {key_id: self.keys[key_id] for key_id in key_ids if key_id in self.keys},
            owners,
            {(n, n): self.customers[n] for n, _ in owners.values()},
        )

    async def parked_of(self, original_key_ids: Sequence[bytes]) -> list[Parked]:
        return [one for one in self.parked if one.original_key_id in original_key_ids]

    async def recover(self) -> None:
        self.recoveries += 1
        await asyncio.sleep(0.1)


def card(number: int) -> bytes:
    return make.key_id(f"card {number}")


def known(number: int) -> KnownCustomer:
    return KnownCustomer(make.customer(account_id=number, customer_id=number), {})


def key(kind: int = 1) -> KnownKey:
    return KnownKey(kind, b"", 0, 0)


class Bench:
    """Look-ups over facts in memory."""

    def __init__(self) -> None:
        self.facts = FakeFacts()
        self.lookups = Lookups(self.facts)

    def look_up(
        self, *names: str, cards: tuple[int, ...] = (), within_s: float = LONG_S
    ) -> "asyncio.Task[Seen]":
        wanted = Wanted(
            tuple(make.key_id(name) for name in names), tuple(card(number) for number in cards)
        )
        deadline_s = virtual_loop().time() + within_s
        return asyncio.create_task(self.lookups.look_up(wanted, deadline_s))


def play(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench()
        bench.lookups.start()
        await scenario(bench)
        bench.facts.release()
        await bench.lookups.stop()

    run_virtually(main)


def test_a_look_up_alone_does_not_wait() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.keys[make.key_id("a")] = key()
        bench.facts.customers[7] = known(7)
        began_s = virtual_loop().time()
        seen = await bench.look_up("a", "b", cards=(7,))
        assert seen == Seen({make.key_id("a"): key()}, known(7))
        assert virtual_loop().time() == pytest.approx(began_s + bench.facts.read_s)

    play(scenario)


def test_what_queued_while_one_ran_goes_together() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.hold()
        first = bench.look_up("first")
        await settle()
        others = [bench.look_up(f"k{n}", cards=(n,)) for n in range(BATCH_MAX + 10)]
        await settle()
        bench.facts.release()
        await asyncio.gather(first, *others)
        sizes = [(len(keys), len(hashes)) for keys, hashes in bench.facts.asked]
        assert sizes == [(1, 0), (BATCH_MAX, BATCH_MAX), (10, 10)]

    play(scenario)


def test_what_waits_for_a_sale_is_looked_up_with_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.customers[7] = known(7)
        bench.facts.parked = [Parked(make.key_id(n), make.key_id(n[0]), 0, 0) for n in ("s1", "t1")]
        deadline_s = virtual_loop().time() + LONG_S
        wanted = [
            Wanted((), (card(7),), sale_ids=(make.key_id("s"),)),
            Wanted((), (), sale_ids=(make.key_id("t"),)),
            Wanted((), ()),
        ]
        work = [asyncio.create_task(bench.lookups.look_up(one, deadline_s)) for one in wanted]
        seen = await asyncio.gather(*work)
        assert [one.parked for one in seen] == [
            (bench.facts.parked[0],),
            (bench.facts.parked[1],),
            (),
        ]

    play(scenario)


def test_who_can_wait_is_told_in_turn() -> None:
    """Between two of them everybody else who is ready comes."""

    async def scenario(bench: Bench) -> None:
        told: list[str] = []

        async def ask(name: str, can_wait: bool) -> None:
            deadline_s = virtual_loop().time() + LONG_S
            wanted = Wanted((make.key_id(name),), (), can_wait=can_wait)
            await bench.lookups.look_up(wanted, deadline_s)
            told.append(name)
            await asyncio.sleep(0)
            told.append(f"{name} goes on")

        patient = [f"p{n}" for n in range(3 * TOLD_TOGETHER)]
        await asyncio.gather(*(ask(name, True) for name in patient), ask("live", False))
        assert told.index("live") < told.index("p0")
        assert told.index("live goes on") < told.index(f"p{TOLD_TOGETHER}")
        assert told.index("p0 goes on") < told.index(f"p{2 * TOLD_TOGETHER}")
        assert [name for name in told if name in patient] == patient

    play(scenario)


@pytest.mark.parametrize("live", [1, IN_STEP_FROM - 1, IN_STEP_FROM, IN_STEP_FROM + 1])
def test_many_live_calls_found_together_decide_in_step(live: int) -> None:
    async def scenario(bench: Bench) -> None:
        deadline_s = virtual_loop().time() + LONG_S
        wanted = [
            Wanted((make.key_id(f"k{n}"),), (), can_wait=n >= live)
            for n in range(live + IN_STEP_FROM)
        ]
        work = [asyncio.create_task(bench.lookups.look_up(one, deadline_s)) for one in wanted]
        seen = await asyncio.gather(*work)
        assert len(bench.facts.asked) == 1
        assert [one.in_step for one in seen[:live]] == [live >= IN_STEP_FROM] * live
        assert not any(one.in_step for one in seen[live:]), "who can wait is told in turn"

    play(scenario)


def test_stopping_cancels_who_is_to_be_told_in_turn() -> None:
    async def scenario(bench: Bench) -> None:
        deadline_s = virtual_loop().time() + LONG_S
        wanted = [
            Wanted((make.key_id(f"p{n}"),), (), can_wait=True) for n in range(20 * TOLD_TOGETHER)
        ]
        work = [asyncio.create_task(bench.lookups.look_up(one, deadline_s)) for one in wanted]
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        await bench.lookups.stop()
        await asyncio.gather(*work, return_exceptions=True)
        assert any(one.cancelled() for one in work)

    play(scenario)


def test_everybody_gets_their_own() -> None:
    async def scenario(bench: Bench) -> None:
        for n in (1, 2):
            bench.facts.keys[make.key_id(f"k{n}")] = key(n)
            bench.facts.customers[n] = known(n)
        wanted: dict[str, tuple[int, ...]] = {"k1": (2,), "k2": (1,), "k3": ()}
        seen = await asyncio.gather(
            *[bench.look_up(name, cards=cards) for name, cards in wanted.items()]
        )
        assert seen == [
            Seen({make.key_id("k1"): key(1)}, known(2)),
            Seen({make.key_id("k2"): key(2)}, known(1)),
            Seen({}, None),
        ]
        assert len(bench.facts.asked) == 1

    play(scenario)


@pytest.mark.parametrize(
    ("cards", "found"), [((1, 2), 1), ((2, 1), 2), ((9, 2), 2), ((9, 8), None), ((), None)]
)
def test_the_first_identifier_that_anybody_has_names_the_customer(
    cards: tuple[int, ...], found: int | None
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.customers.update({n: known(n) for n in (1, 2)})
        seen = await bench.look_up(cards=cards)
        assert seen.customer == (None if found is None else known(found))

    play(scenario)


def test_an_identifier_whose_customer_is_missing_names_nobody() -> None:
    found = Found({}, {card(1): (1, 1)}, {})
    assert seen_by(Wanted((), (card(1),)), found) == Seen({}, None)


def test_look_ups_wait_while_the_database_is_away() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.faults.extend([AWAY] * 3)
        bench.facts.customers[1] = known(1)
        assert (await bench.look_up(cards=(1,))).customer == known(1)
        assert (bench.facts.recoveries, len(bench.facts.asked)) == (3, 4)

    play(scenario)


def test_who_comes_while_the_database_is_away_is_served_with_the_others() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.faults.append(AWAY)
        first = bench.look_up("a")
        await asyncio.sleep(0.05)
        second = bench.look_up("b")
        await asyncio.gather(first, second)
        assert bench.facts.asked[-1] == ([make.key_id("a"), make.key_id("b")], [])

    play(scenario)


def test_a_fault_that_nobody_thought_of_ends_its_batch_and_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.faults.append(LookupError("nobody thought of this"))
        failed = await asyncio.gather(
            bench.look_up("a"), bench.look_up("b"), return_exceptions=True
        )
        assert [type(error) for error in failed] == [LookupError] * 2
        assert await bench.look_up("c") == Seen({}, None)

    play(scenario)


def test_the_time_of_a_look_up_ends() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.hold()
        running, patient = bench.look_up("a", within_s=1.0), bench.look_up("b")
        await settle()
        queued = bench.look_up("c", within_s=1.0)
        began_s = virtual_loop().time()
        errors = await asyncio.gather(running, queued, return_exceptions=True)
        assert [type(error) for error in errors] == [TimeoutError] * 2
        assert virtual_loop().time() == pytest.approx(began_s + 1.0)
        bench.facts.release()
        assert await patient == Seen({}, None)
        assert make.key_id("c") not in [k for keys, _ in bench.facts.asked for k in keys]

    play(scenario)


def test_the_time_of_a_look_up_ends_while_the_database_is_away() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.faults.extend([AWAY] * 50)
        with pytest.raises(TimeoutError):
            await bench.look_up("a", within_s=1.0)
        bench.facts.faults.clear()
        assert await bench.look_up("b") == Seen({}, None)

    play(scenario)


def test_a_cancelled_caller_harms_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.hold()
        gone, stays = bench.look_up("a"), bench.look_up("b")
        await settle()
        gone.cancel()
        await settle()
        bench.facts.release()
        assert await stays == Seen({}, None)
        assert gone.cancelled()

    play(scenario)


def test_stopping_cancels_who_still_waits() -> None:
    async def scenario(bench: Bench) -> None:
        bench.facts.hold()
        running = bench.look_up("a")
        await settle()
        queued = bench.look_up("b")
        await settle()
        began_s = virtual_loop().time()
        await bench.lookups.stop()
        await asyncio.wait([running, queued])
        assert (running.cancelled(), queued.cancelled()) == (True, True)
        assert virtual_loop().time() == began_s

    play(scenario)


class Call(NamedTuple):
    """One call of a random run; times in hundredths of a second."""

    number: int
    starts: int
    within: int
    cancelled_after: int


CALLS = st.builds(
    Call,
    number=st.integers(0, 9),
    starts=st.integers(0, 20),
    within=st.sampled_from([1, 3, 30, 6_000, 6_000]),
    cancelled_after=st.sampled_from([0, 0, 0, 1, 2]),
)
FAULTS = st.lists(st.sampled_from([None, AWAY, LookupError("bug")]), max_size=5)


@given(st.lists(CALLS, min_size=1, max_size=14), FAULTS)
def test_any_interleaving_gives_everybody_their_own(
    calls: list[Call], faults: list[Exception | None]
) -> None:
    """Customers with odd numbers exist, and keys with numbers below five."""

    async def one(bench: Bench, call: Call) -> None:
        await asyncio.sleep(call.starts / 100)
        within_s = call.within / 100
        task = bench.look_up(f"k{call.number}", cards=(call.number,), within_s=within_s)
        if call.cancelled_after:
            await asyncio.sleep(call.cancelled_after / 100)
            task.cancel()
        (end,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(end, Seen):
            keys = {make.key_id(f"k{call.number}"): key()} if call.number < 5 else {}
            assert end == Seen(keys, known(call.number) if call.number % 2 else None)
        else:
            assert isinstance(end, TimeoutError | LookupError | asyncio.CancelledError)

    async def scenario(bench: Bench) -> None:
        bench.facts.faults.extend(fault for fault in faults if fault is not None)
        bench.facts.keys.update({make.key_id(f"k{n}"): key() for n in range(5)})
        bench.facts.customers.update({n: known(n) for n in range(1, 10, 2)})
        await asyncio.gather(*[one(bench, call) for call in calls])
        bench.facts.faults.clear()
        assert await bench.look_up("k9") == Seen({}, None)

    play(scenario)
