"""`loyaltyctl program rollback`: publish the content of an old version as a new one."""

from typing import Annotated

import typer

from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, At, By, ReplaceScheduled, Target, Wait
from server.ctl.plan import show_plan
from server.ctl.published import (
    problem_line,
    shortened,
    show_replaced,
    user,
    wait_until_in_force,
)
from server.ctl.say import CtlError, say_table

VERSION_MAX = 2**63 - 1
Version = Annotated[
    int, typer.Argument(min=1, max=VERSION_MAX, help="its content is published again")
]
Only = Annotated[str, typer.Option("--program", help="only this program of it; else all it held")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]


def rollback(
    version: Version,
    only: Only = "",
    at: At = "now",
    replace_scheduled: ReplaceScheduled = False,
    by: By = "",
    yes: Yes = False,
    wait: Wait = False,
    target: Target = TARGET,
) -> None:
    """Publish the content of an old version as a new version.

    Shows what it changes and asks. Programs that the old version did not have are removed, unless
    --program names the only one that goes back.
    """
    asked = pb.PlanProgramRequest(
        version=version,
        program_id=only,
        effective_at_us=parse_instant(at),
        replaces_scheduled=replace_scheduled,
    )
    with back_office(target) as stub:
        plan = _plan(stub, asked)
        _check(version, plan)
        show_plan(f"version {version}", plan)
        if not yes:
            typer.confirm(_question(version, plan), abort=True)
        request = pb.RollBackRulesetRequest(
            version=version,
            program_id=only,
            effective_at_us=asked.effective_at_us,
            published_by=by or user(),
            newest_version=plan.newest_version,
            replaces_scheduled=replace_scheduled,
        )
        published = stub.RollBackRuleset(request, timeout=CALL_TIMEOUT_S)
        _show(version, published)
        if wait:
            wait_until_in_force(stub, published.version, published.effective_at_us)


def _plan(stub: BackOfficeServiceStub, asked: pb.PlanProgramRequest) -> pb.PlanProgramResponse:
    """Compare with what the new version will follow, though it be published this moment."""
    plan = stub.PlanProgram(asked, timeout=CALL_TIMEOUT_S)
    follows = plan.newest_version != plan.base_version and not asked.replaces_scheduled
    if follows and not asked.effective_at_us and not plan.problems:
        then = pb.PlanProgramRequest(effective_at_us=plan.earliest_us)
        then.MergeFrom(asked)
        plan = stub.PlanProgram(then, timeout=CALL_TIMEOUT_S)
    return plan


def _question(version: int, plan: pb.PlanProgramResponse) -> str:
    if not plan.replaced:
        return f"Publish version {version} again?"
    replaced = ", ".join(str(one.version) for one in plan.replaced)
    return f"Publish version {version} again, in place of what is scheduled ({replaced})?"


def _check(version: int, plan: pb.PlanProgramResponse) -> None:
    """Refuse what cannot be published, or changes nothing."""
    if plan.problems:
        lines = [problem_line(problem) for problem in plan.problems]
        raise CtlError(f"{len(lines)} problem(s) in version {version}", *shortened(lines))
    if not plan.programs and not plan.replaced:
        text = f"version {version} equals version {plan.base_version}: nothing would change"
        raise CtlError(text)


def _show(version: int, published: pb.RollBackRulesetResponse) -> None:
    row = (
        str(version),
        str(published.version),
        show_instant(published.effective_at_us),
        str(published.promotion_count),
    )
    columns = ("content of", "version", "effective", "promotions")
    say_table("Rolled back", columns, [row])
    show_replaced(published.replaced, "never comes into force")
