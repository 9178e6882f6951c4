"""What commands that check or publish programs have in common."""

import getpass
import time
from collections.abc import Iterable, Sequence

from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from rewards.problem import Problem
from server.ctl.instant import show_instant
from server.ctl.link import CALL_TIMEOUT_S
from server.ctl.say import CtlError, err, say

WAIT_S_MAX = 60.0
"""How long a server may take to load a version after its instant."""
POLL_S = 0.2
PROBLEMS_SHOWN_MAX = 50


def problem_line(problem: Problem | pb.ProgramProblem) -> str:
    """Say a problem with its place, if it has one."""
    return f"{problem.path}: {problem.reason}" if problem.path else problem.reason


def shortened(lines: Sequence[str]) -> Iterable[str]:
    """The first lines, and how many more there are."""
    yield from lines[:PROBLEMS_SHOWN_MAX]
    if len(lines) > PROBLEMS_SHOWN_MAX:
        yield f"and {len(lines) - PROBLEMS_SHOWN_MAX} more"


def show_replaced(replaced: Iterable[pb.ReplacedVersion], consequence: str) -> None:
    """Name versions that a newer one replaces.

    Args:
        replaced: those versions.
        consequence: what becomes of each.
    """
    for one in replaced:
        when = show_instant(one.effective_at_us)
        say(f"version {one.version} of {one.published_by} (from {when}) {consequence}")


def user() -> str:
    """Who runs the command, as a server keeps it."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return "loyaltyctl"


def wait_until_in_force(stub: BackOfficeServiceStub, version: int, effective_at_us: int) -> None:
    """Ask the server until it has a version, or a later one, in memory and in force.

    Raises:
        CtlError: the version is due, but the server does not load it; or another one replaced it.
    """
    grace_until_s = None
    with err.status(f"waiting for version {version}"):
        while True:
            ruleset = stub.GetRuleset(pb.GetRulesetRequest(), timeout=CALL_TIMEOUT_S)
            live_version = _live_version(ruleset)
            if live_version > version and ruleset.now_us < effective_at_us:
                text = f"version {version} never comes into force: version {live_version} does"
                raise CtlError(text, "see loyaltyctl program history", exit_code=1)
            if live_version >= version:
                break
            if ruleset.now_us >= effective_at_us and grace_until_s is None:
                grace_until_s = time.monotonic() + WAIT_S_MAX
            if grace_until_s is not None and time.monotonic() > grace_until_s:
                text = f"version {version} is due, but the server has not loaded it"
                raise CtlError(text, "look into the server's log", exit_code=1)
            time.sleep(POLL_S)
    say(f"version {version} is in force")


def _live_version(ruleset: pb.GetRulesetResponse) -> int:
    """The highest version that is in memory and in force; 0 is none."""
    return max(
        (
            known.version
            for known in ruleset.versions
            if known.loaded and known.effective_at_us <= ruleset.now_us
        ),
        default=0,
    )
