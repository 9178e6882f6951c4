"""`loyaltyctl program history`: all versions of the ruleset, and what each one changed."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.ctl.changes import change_tree, counts_line
from server.ctl.instant import show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.say import CtlError, say, say_table

PAGE_MAX = 50
"""Versions that a server looks through for one call."""

Program = Annotated[
    str, typer.Argument(help="only versions that changed this program", show_default=False)
]
Chain = Annotated[str, typer.Option(help="only versions that changed a program of this chain")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="at most so many versions")]


def history(
    program: Program = "",
    chain: Chain = "",
    limit: Limit = 20,
    json: Json = False,
    target: Target = TARGET,
) -> None:
    """List versions, the newest first, each with what it changed against what it was built on."""
    with back_office(target) as stub:
        live_version, versions = _read(stub, program, chain, limit)
    if not versions:
        raise CtlError("no version was published that fits", exit_code=1)
    states = [_state(version, live_version) for version in versions]
    if json:
        trees = [_tree(*known) for known in zip(versions, states, strict=True)]
        say(msgspec.json.encode({"live_version": live_version, "versions": trees}).decode())
        return
    columns = ("version", "state", "effective", "published", "by", "promotions", "changes")
    rows = [
        _row(version, state, program, chain)
        for version, state in zip(versions, states, strict=True)
    ]
    say_table(f"Versions at {target}", columns, rows)


def _read(
    stub: BackOfficeServiceStub, program: str, chain: str, limit: int
) -> tuple[int, list[pb.VersionHistory]]:
    """The version in force, and the newest versions that fit."""
    request = pb.ListRulesetVersionsRequest(
        program_id=program, chain_id=chain, page_size=min(limit, PAGE_MAX)
    )
    found: list[pb.VersionHistory] = []
    while True:
        page = stub.ListRulesetVersions(request, timeout=CALL_TIMEOUT_S)
        found.extend(page.versions)
        if not page.next_before_version or len(found) >= limit:
            return page.live_version, found[:limit]
        request.before_version = page.next_before_version


def _state(version: pb.VersionHistory, live_version: int) -> str:
    if version.replaced_by_version:
        return "replaced"
    if version.version == live_version:
        return "live"
    return "scheduled" if version.version > live_version else "past"


def _row(version: pb.VersionHistory, state: str, program: str, chain: str) -> tuple[str, ...]:
    changes = list(_changes(version, program, chain))
    return (
        str(version.version),
        f"{state} by {version.replaced_by_version}" if version.replaced_by_version else state,
        show_instant(version.effective_at_us),
        show_instant(version.published_at_us),
        version.published_by,
        str(version.promotion_count),
        "\n".join(changes) or "nothing",
    )


def _changes(version: pb.VersionHistory, program: str, chain: str) -> Iterator[str]:
    if version.unreadable:
        yield "stored by another build"
    for change in version.programs:
        if program in ("", change.program_id) and chain in ("", change.chain_id):
            yield f"{change.program_id}: {counts_line(change)}"


def _tree(version: pb.VersionHistory, state: str) -> dict[str, object]:
    return {
        "version": version.version,
        "state": state,
        "effective_at_us": version.effective_at_us,
        "published_at_us": version.published_at_us,
        "published_by": version.published_by,
        "promotion_count": version.promotion_count,
        "base_version": version.base_version,
        "replaced_by_version": version.replaced_by_version,
        "unreadable": version.unreadable,
        "programs": [change_tree(program) for program in version.programs],
    }
