"""`loyaltyctl program`: check program files, publish them, see what is in force."""

from pathlib import Path
from typing import Annotated

import typer

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.problem import Problem
from rewards.program import Program
from server.codec.program_pb import program_to_pb
from server.ctl.history import history
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, At, By, Files, ReplaceScheduled, Target, Wait
from server.ctl.plan import plan
from server.ctl.published import (
    problem_line,
    shortened,
    show_replaced,
    user,
    wait_until_in_force,
)
from server.ctl.rollback import rollback
from server.ctl.say import CtlError, say, say_table
from server.program_file import ProgramFileError, read_program
from server.program_review import review_program

app = typer.Typer(help="Check, plan and publish loyalty programs.", no_args_is_help=True)
app.command()(plan)
app.command()(history)
app.command()(rollback)

File = Annotated[Path, typer.Argument(help="a program file (TOML)", show_default=False)]
MaybeTarget = Annotated[
    str, typer.Option("--target", help="host:port: check against its stores and articles too")
]


@app.command()
def validate(files: Files, target: MaybeTarget = "") -> None:
    """Check program files. Changes nothing."""
    wrong = [line for file in files for line in _check_file(file, target)]
    if wrong:
        count = f"{len(wrong)} problem(s) in {len(files)} file(s)"
        raise CtlError(count, *shortened(wrong))


@app.command()
def publish(
    file: File,
    at: At = "now",
    replace_scheduled: ReplaceScheduled = False,
    by: By = "",
    wait: Wait = False,
    target: Target = TARGET,
) -> None:
    """Put a program into a new version of the ruleset."""
    effective_at_us = parse_instant(at)
    program = _read(file)
    wrong = [f"{file}: {problem_line(problem)}" for problem in review_program(program)]
    if wrong:
        raise CtlError(f"{len(wrong)} problem(s) in {file}", *shortened(wrong))
    request = pb.PublishProgramRequest(
        program=program_to_pb(program),
        effective_at_us=effective_at_us,
        published_by=by or user(),
        replaces_scheduled=replace_scheduled,
    )
    with back_office(target) as stub:
        published = stub.PublishProgram(request, timeout=CALL_TIMEOUT_S)
        _show_published(program, published)
        if wait:
            wait_until_in_force(stub, published.version, published.effective_at_us)


@app.command()
def status(target: Target = TARGET) -> None:
    """Show the version in force and those to come."""
    with back_office(target) as stub:
        ruleset = stub.GetRuleset(pb.GetRulesetRequest(), timeout=CALL_TIMEOUT_S)
    if not ruleset.versions:
        raise CtlError("nothing is published: loyaltyctl program publish FILE", exit_code=1)
    rows = [
        (
            str(version.version),
            show_instant(version.effective_at_us),
            "in force" if version.effective_at_us <= ruleset.now_us else "to come",
            "yes" if version.loaded else "not yet",
        )
        for version in ruleset.versions
    ]
    say_table(f"Ruleset at {target}", ("version", "effective", "state", "loaded"), rows)


def _check_file(file: Path, target: str) -> list[str]:
    """Say what is wrong with a file, or that nothing is."""
    try:
        program = read_program(file)
    except ProgramFileError as error:
        return [str(error)]
    problems = _ask(program, target) if target else review_program(program)
    if not problems:
        say(
            f"{file}: valid, program {program.program_id} of chain {program.chain_id}, "
            f"{len(program.promotions)} promotion(s)"
        )
    return [f"{file}: {problem_line(problem)}" for problem in problems]


def _ask(program: Program, target: str) -> tuple[Problem, ...]:
    request = pb.ValidateProgramRequest(program=program_to_pb(program))
    with back_office(target) as stub:
        response = stub.ValidateProgram(request, timeout=CALL_TIMEOUT_S)
    return tuple(Problem(found.path, found.reason) for found in response.problems)


def _read(file: Path) -> Program:
    try:
        return read_program(file)
    except ProgramFileError as error:
        raise CtlError(str(error)) from None


def _show_published(program: Program, published: pb.PublishProgramResponse) -> None:
    row = (
        program.program_id,
        program.chain_id,
        str(published.version),
        show_instant(published.effective_at_us),
        f"{len(program.promotions)} of {published.promotion_count}",
    )
    columns = ("program", "chain", "version", "effective", "promotions of all")
    say_table("Published", columns, [row])
    show_replaced(published.replaced, "never comes into force")
