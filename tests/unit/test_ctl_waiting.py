"""Goal: who waits for a version is told what became of it, also if that is nothing."""

from typing import Any

import pytest

from loyalty.v1 import back_office_service_pb2 as pb
from server.ctl.published import wait_until_in_force
from server.ctl.say import CtlError

NOW_US = 1_000


class _Office:
    """A server that has these versions in memory, as (version, effective_at_us)."""

    def __init__(self, *versions: tuple[int, int]) -> None:
        self._versions = versions

    def GetRuleset(self, request: pb.GetRulesetRequest, timeout: float) -> pb.GetRulesetResponse:
        """Say what is there."""
        found = pb.GetRulesetResponse(now_us=NOW_US)
        for version, effective_at_us in self._versions:
            found.versions.add(version=version, effective_at_us=effective_at_us, loaded=True)
        return found


def _waited(version: int, effective_at_us: int, *versions: tuple[int, int]) -> None:
    office: Any = _Office(*versions)
    wait_until_in_force(office, version, effective_at_us)


@pytest.mark.parametrize("versions", [((2, NOW_US),), ((3, NOW_US),), ((2, NOW_US), (3, 9_999))])
def test_it_or_a_later_one_is_in_force(
    versions: tuple[tuple[int, int], ...], capsys: pytest.CaptureFixture[str]
) -> None:
    _waited(2, NOW_US, *versions)
    assert "version 2 is in force" in capsys.readouterr().out


def test_a_version_that_is_replaced_meanwhile_is_not_said_to_be_in_force() -> None:
    with pytest.raises(CtlError) as told:
        _waited(2, NOW_US + 1, (3, NOW_US))
    assert told.value.lines[0] == "version 2 never comes into force: version 3 does"
