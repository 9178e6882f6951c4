"""Goal: a server can rely on its worker. Method: drafts in this process, and real workers."""

import asyncio
import os
import signal
import time
from typing import Any

import msgspec
import pytest

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.benefit import FixedPrice
from rewards.catalogue_check import SetFigures
from rewards.compilation import compile_ruleset
from rewards.problem import Problem
from rewards.program import Program
from rewards.program_diff import FIELDS_MAX
from rewards.ruleset import decode_ruleset, encode_ruleset
from server.authoring import process
from server.authoring.draft import NOTHING, Draft, UnreadableError, summarize, take_version
from server.authoring.messages import (
    BuildRequest,
    Built,
    Compared,
    CompareRequest,
    Drafted,
    ReadRequest,
    ReviewRequest,
    SummarizeRequest,
    Summary,
    TakeRequest,
)
from server.authoring.process import Worker, WorkerError, Workshop
from server.codec.program_pb import program_to_pb
from server.ruleset_loading import STEP_ITEMS, decode_in_steps
from server.store.packed import pack, unpack

Tree = dict[str, Any]
NAME = [{"language_code": "ru", "text": "x"}]


def promotion(promotion_id: str, rate_bp: int = 100) -> Tree:
    gives = [{"code": "percent_off", "rate_bp": rate_bp}]
    fields = {"promotion_id": promotion_id, "names": NAME, "lane": "price", "gives": gives}
    return fields | {"products": {"categories": ["tea"]}}


def program(program_id: str = "a", *promotion_ids: str, rate_bp: int = 100) -> Program:
    forms = [{"category": "other", "text": "x"}]
    asset = {"code": "points", "kind": "points", "names": [{"language_code": "ru", "forms": forms}]}
    tree = {
        "program_id": program_id,
        "chain_id": f"chain-{program_id}",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [asset],
        "promotions": [promotion(name, rate_bp) for name in promotion_ids],
    }
    return msgspec.convert(tree, Program)


def content(*programs: Program) -> bytes:
    return pack(msgspec.msgpack.encode(programs))


def of_another_build(program_id: str) -> bytes:
    """Content with one program that has a key which this build does not know."""
    tree = msgspec.to_builtins(program(program_id)) | {"who": "?"}
    return msgspec.msgpack.encode((tree,))


def body(one: Program | None, **fields: Any) -> bytes:
    request = pb.PublishProgramRequest(**fields)
    if one is not None:
        request.program.CopyFrom(program_to_pb(one))
    return request.SerializeToString()


def alone(one: Program) -> Draft:
    return Draft((one,), is_whole=False)


def built_programs(built: Built) -> tuple[Program, ...]:
    return msgspec.msgpack.decode(unpack(built.content), type=tuple[Program, ...])


def test_a_draft_replaces_its_program_and_leaves_the_others() -> None:
    newest = content(program("a", "x"), program("b", "y"))
    built = alone(program("a", "z")).build(BuildRequest(3, newest, False))
    assert built_programs(built) == (program("a", "z"), program("b", "y"))
    assert (built.clash, built.promotion_count) == (None, 2)


def test_a_whole_draft_removes_what_it_has_not() -> None:
    newest = content(program("a", "x"), program("b", "y"))
    draft = take_version(content(program("b", "z")), "")
    assert draft is not None
    assert built_programs(draft.build(BuildRequest(3, newest, False))) == (program("b", "z"),)
    changes = draft.compare(newest, newest).changes
    assert [(one.program_id, one.change) for one in changes] == [("a", "removed"), ("b", "changed")]


def test_one_program_of_a_version_is_taken() -> None:
    stored = content(program("a", "x"), program("b", "y"))
    draft = take_version(stored, "b")
    assert draft is not None
    assert draft.programs == (program("b", "y"),)
    assert take_version(stored, "c") is None


@pytest.mark.parametrize(
    ("newest", "path"),
    [
        (content(program("b", "x")), "promotions[0].promotion_id"),
        (of_another_build("b"), "program_id"),
    ],
)
def test_a_clash_is_said_by_plan_and_build(newest: bytes, path: str) -> None:
    draft = alone(program("a", "x"))
    clash = draft.compare(NOTHING, newest).clash
    assert clash is not None
    assert clash.path == path
    assert draft.build(BuildRequest(3, newest, False)) == Built(clash=clash)


def test_a_program_of_another_build_can_be_replaced() -> None:
    """An upgrade may not lock a chain out of publishing."""
    draft = alone(program("a", "x"))
    newest = of_another_build("a")
    assert built_programs(draft.build(BuildRequest(3, newest, False))) == (program("a", "x"),)
    compared = draft.compare(newest, newest)
    assert (compared.unread, compared.changes[0].change) == (("a",), "added")
    assert not summarize(newest, content(program("a"))).is_read
    with pytest.raises(UnreadableError):
        take_version(newest, "a")


def test_fields_that_get_a_closed_set_of_answers_are_named() -> None:
    def asking(check: str) -> Program:
        field = {"field_code": "f", "questions": NAME, "check": check, "choices": ["a", "b"]}
        tree = msgspec.to_builtins(program("a")) | {"profile_fields": [field]}
        return msgspec.convert(tree, Program)

    draft = alone(asking("choice"))
    checks = ("choice", "yes_no")
    assert draft.newly_closed(NOTHING, checks) == (("chain-a", "f"),)
    assert draft.newly_closed(content(asking("text")), checks) == (("chain-a", "f"),)
    assert draft.newly_closed(content(asking("yes_no")), checks) == ()
    assert alone(asking("text")).newly_closed(NOTHING, checks) == ()


def test_that_nothing_changes_is_said_when_it_is_asked() -> None:
    one = program("a", "x")
    assert alone(one).build(BuildRequest(3, content(one), True)).changes_nothing
    assert not alone(program("a", "y")).build(BuildRequest(3, content(one), True)).changes_nothing


def test_the_bound_on_fields_is_one_for_all_programs() -> None:
    ids = [str(n) for n in range(FIELDS_MAX)]
    before = content(program("a", *(f"a{n}" for n in ids)), program("b", *(f"b{n}" for n in ids)))
    draft = take_version(before, "")
    assert draft is not None
    first, second = draft.compare(NOTHING, NOTHING).changes
    assert sum(len(item.fields) for item in first.difference.changes) == FIELDS_MAX
    assert (second.difference.changes, second.promotion_count) == ((), FIELDS_MAX)
    counted = next(count for count in second.difference.counts if count.kind == "promotion")
    assert counted.added == FIELDS_MAX


def test_what_was_never_packed_is_read_too() -> None:
    assert unpack(pack(b"x" * 1000)) == b"x" * 1000
    assert len(pack(b"x" * 1000)) < 50
    assert unpack(NOTHING) == NOTHING


@pytest.mark.parametrize("count", [0, 1, STEP_ITEMS, 2 * STEP_ITEMS + 1])
def test_decoding_in_steps_gives_what_decoding_gives(count: int) -> None:
    names = [f"p{n}" for n in range(count)]
    stored = encode_ruleset(compile_ruleset(7, (program("a", *names), program("b"))))
    assert decode_in_steps(stored, 0.0) == decode_ruleset(stored)
    assert decode_in_steps(b"\0" * 8 + stored[8:], 0.0) is None


async def test_a_worker_serves_one_operation() -> None:
    async with Workshop().worker() as worker:
        one = program("a", "x")
        request = ReadRequest("PublishProgram", body(one, effective_at_us=5, published_by="me"))
        draft = await worker.ask(request, Drafted)
        assert (draft.has_program, draft.effective_at_us, draft.published_by) == (True, 5, "me")
        assert (draft.problems, draft.chain_id) == ((), "chain-a")
        compared = await worker.ask(CompareRequest(NOTHING, None), Compared)
        assert compared.changes[0].change == "added"
        built = await worker.ask(BuildRequest(1, NOTHING, False), Built)
        assert built_programs(built) == (one,)
        summary = await worker.ask(SummarizeRequest(NOTHING, built.content), Summary)
        assert [change.promotion_count for change in summary.changes] == [1]
        taken = await worker.ask(TakeRequest(of_another_build("a"), ""), Drafted)
        assert [problem.path for problem in taken.problems] == ["version"]


async def test_a_worker_says_where_unknown_names_stand() -> None:
    async with Workshop().worker() as worker:
        request = pb.PlanProgramRequest(program=program_to_pb(program("a", "x", "y")))
        read = ReadRequest("PlanProgram", request.SerializeToString())
        draft = await worker.ask(read, Drafted)
        assert draft.names == {"category": ("tea",)}
        review = ReviewRequest(draft.names, ("s1", "EUR"))
        found = await worker.ask(review, tuple[Problem, ...])
    assert [problem.path for problem in found] == [
        "currency_code",
        "promotions[0].products.categories[0]",
        "promotions[1].products.categories[0]",
    ]


async def test_a_worker_holds_prices_against_those_of_articles() -> None:
    cheap = msgspec.structs.replace(
        program("a", "x").promotions[0], gives=(FixedPrice(500),), promotion_id="y"
    )
    async with Workshop().worker() as worker:
        changed = msgspec.structs.replace(program("a", "x"), promotions=(cheap,))
        request = pb.PlanProgramRequest(program=program_to_pb(changed))
        draft = await worker.ask(ReadRequest("PlanProgram", request.SerializeToString()), Drafted)
        assert draft.sets == (cheap.products,)
        review = ReviewRequest({}, None, (SetFigures(1, 0, (), 500),))
        (found,) = await worker.ask(review, tuple[Problem, ...])
    assert found.path == "promotions[0].gives[0].price_minor"


async def test_what_is_no_message_or_has_no_program_is_said() -> None:
    async with Workshop().worker() as worker:
        nonsense = await worker.ask(ReadRequest("PublishProgram", b"\xff"), Drafted)
        assert not nonsense.is_message
        empty = await worker.ask(ReadRequest("PublishProgram", body(None)), Drafted)
        assert (empty.is_message, empty.has_program) == (True, False)


async def test_a_failure_has_the_workers_trace() -> None:
    async with Workshop().worker() as worker:
        with pytest.raises(WorkerError, match="DecodeError"):
            await worker.ask(SummarizeRequest(b"\xc1", NOTHING), Summary)


async def test_a_worker_that_dies_is_an_error_and_leaves_no_process() -> None:
    async with Workshop().worker() as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError):
            await worker.ask(CompareRequest(NOTHING, None), Compared)
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


async def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWER_S_MAX", 0.2)
    async with Workshop().worker() as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match="no answer"):
            await worker.ask(CompareRequest(NOTHING, None), Compared)


async def test_callers_that_go_away_end_their_workers() -> None:
    workshop = Workshop()
    workers: asyncio.Queue[Worker] = asyncio.Queue()

    async def hang() -> None:
        async with workshop.worker() as worker:
            workers.put_nowait(worker)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hang()) for _ in range(process.WORKERS_MAX + 1)]
    started = [await workers.get() for _ in range(process.WORKERS_MAX)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for worker in started:
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)
    async with workshop.worker():
        pass


async def test_who_goes_away_while_a_worker_starts_leaves_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Worker] = []
    start = process._start

    def slow_start() -> Worker:
        time.sleep(0.1)
        started.append(start())
        return started[0]

    async def work() -> None:
        async with Workshop().worker():
            raise AssertionError("cancelled before")

    monkeypatch.setattr(process, "_start", slow_start)
    task = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)
