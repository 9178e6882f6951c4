"""`loyaltyctl program plan`: what publishing would change, before anybody publishes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import typer

from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from rewards.program import Program
from server.codec.program_pb import program_to_pb
from server.ctl.changes import change_tree, show_changes
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, At, Files, Json, ReplaceScheduled, Target
from server.ctl.published import problem_line, shortened, show_replaced
from server.ctl.say import CtlError, say, say_error
from server.program_file import ProgramFileError, read_program

NOTHING_CHANGES = 0
PROBLEMS = 1
CHANGES = 2


def plan(
    files: Files,
    at: At = "now",
    replace_scheduled: ReplaceScheduled = False,
    json: Json = False,
    target: Target = TARGET,
) -> None:
    """Show what publishing would change. Changes nothing.

    Compares with what is live now, or with what will be in force at the instant of --at. Exit
    code 0: nothing changes; 2: something does; 1: there are problems, or no answer.
    """
    with _failing_as_problems():
        effective_at_us = parse_instant(at)
        asked = pb.PlanProgramRequest(
            effective_at_us=effective_at_us, replaces_scheduled=replace_scheduled
        )
        with back_office(target) as stub:
            plans = list(_plans(files, asked, stub))
    exit_code = max((_exit_code(response) for _, response in plans), key=(0, 2, 1).index)
    if json:
        tree = {"exit_code": exit_code, "files": [_plan_tree(*planned) for planned in plans]}
        say(msgspec.json.encode(tree).decode())
    else:
        for file, response in plans:
            _show(str(file), response)
    raise typer.Exit(exit_code)


def show_plan(name: str, response: pb.PlanProgramResponse) -> None:
    """Show a plan: what it is compared with, what changes, and what is named and not known.

    Args:
        name: of what would be published.
        response: the plan.
    """
    say(f"{name}: compared with {_base(response)}")
    show_replaced(response.replaced, "would never come into force")
    if response.newest_version != response.base_version and not response.replaced:
        newest = f"version {response.newest_version} (from {_newest_from(response)})"
        say(f"{newest} is to come; publish after it, see --at, or with --replace-scheduled")
    show_changes(response.programs)
    if not response.programs and not response.problems:
        say(f"{name}: nothing changes")
    for line in shortened([problem_line(warning) for warning in response.warnings]):
        say(f"warning: {line}")


def _base(response: pb.PlanProgramResponse) -> str:
    if not response.base_version:
        return "nothing: no version is in force"
    return f"version {response.base_version} (from {show_instant(response.base_effective_at_us)})"


def _newest_from(response: pb.PlanProgramResponse) -> str:
    return show_instant(response.newest_effective_at_us)


def _show(name: str, response: pb.PlanProgramResponse) -> None:
    show_plan(name, response)
    if response.problems:
        lines = [problem_line(problem) for problem in response.problems]
        say_error(CtlError(f"{name}: {len(lines)} problem(s)", *shortened(lines)))


def _plans(
    files: list[Path], asked: pb.PlanProgramRequest, stub: BackOfficeServiceStub
) -> Iterator[tuple[Path, pb.PlanProgramResponse]]:
    """Plan each file; one that cannot be read is a problem like others."""
    seen: dict[str, Path] = {}
    for file in files:
        try:
            program = read_program(file)
        except ProgramFileError as error:
            yield file, _problem(error.key, error.reason)
            continue
        first = seen.setdefault(program.program_id, file)
        if first is not file:
            yield file, _problem("program_id", f"{program.program_id!r} is also in {first}")
        else:
            yield file, _ask(program, asked, stub)


def _ask(
    program: Program, asked: pb.PlanProgramRequest, stub: BackOfficeServiceStub
) -> pb.PlanProgramResponse:
    request = pb.PlanProgramRequest(program=program_to_pb(program))
    request.MergeFrom(asked)
    return stub.PlanProgram(request, timeout=CALL_TIMEOUT_S)


def _problem(path: str, reason: str) -> pb.PlanProgramResponse:
    return pb.PlanProgramResponse(problems=[pb.ProgramProblem(path=path, reason=reason)])


def _exit_code(response: pb.PlanProgramResponse) -> int:
    if response.problems:
        return PROBLEMS
    return CHANGES if response.programs else NOTHING_CHANGES


def _plan_tree(file: Path, response: pb.PlanProgramResponse) -> dict[str, object]:
    return {
        "file": str(file),
        "base_version": response.base_version,
        "base_effective_at_us": response.base_effective_at_us,
        "newest_version": response.newest_version,
        "newest_effective_at_us": response.newest_effective_at_us,
        "earliest_us": response.earliest_us,
        "replaced_versions": [one.version for one in response.replaced],
        "problems": [{"path": p.path, "reason": p.reason} for p in response.problems],
        "warnings": [{"path": w.path, "reason": w.reason} for w in response.warnings],
        "programs": [change_tree(program) for program in response.programs],
    }


@contextmanager
def _failing_as_problems() -> Iterator[None]:
    """Let every error end with the code of problems: 2 says that there are changes."""
    try:
        yield
    except CtlError as error:
        raise CtlError(*error.lines, exit_code=PROBLEMS) from None
