"""Goal: what is scheduled can be replaced, and then no server ever sells by it.

Two real servers on a clock that is moved past the instant for which the replaced version was
scheduled.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.program_pb2 import Program
from server.clock import set_offset, system_clock
from server.instant import iso_instant
from server.reference import PUBLISH_LEAD_US
from tests.serving import (
    ServerProcess,
    publish,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    wait_loaded,
    wait_until,
)

DAY_US = 86_400_000_000
BASKET = b"b" * 16
TEA = "2"
"""The line of the usual sale that has tea at 200.00."""


def tea_off(rate_bp: int) -> Program:
    """The program of the tests, with another discount on tea."""
    program = test_program()
    program.promotions[0].gives[0].percent_off.rate_bp = rate_bp
    return program


class Chain:
    """Two servers, and a till at each."""

    def __init__(self, servers: list[ServerProcess], clock: Path) -> None:
        self.servers = servers
        self._clock = clock
        self._channels = [grpc.insecure_channel(server.target) for server in servers]
        self.tills = [till_stub(channel) for channel in self._channels]
        self.offices: list[Any] = [BackOfficeServiceStub(channel) for channel in self._channels]

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def at(self, offset_us: int) -> None:
        """Move the clock of both servers to so much after now."""
        set_offset(self._clock, offset_us)

    def publish(self, program: Program) -> int:
        """Publish as always; the version is in force at both."""
        version = publish(self.offices[0], program, self._clock)
        self.wait_in_force(version)
        return version

    def schedule(self, program: Program, at_us: int) -> int:
        """Publish for later; the version is loaded at both."""
        request = bo.PublishProgramRequest(
            program=program, published_by="anna", effective_at_us=at_us
        )
        version: int = self.offices[0].PublishProgram(request).version
        wait_until(lambda: all(version in found for found in self.loaded()), "what is scheduled")
        return version

    def loaded(self) -> list[list[int]]:
        """What each server lists and has in memory."""
        listed = [office.GetRuleset(bo.GetRulesetRequest()).versions for office in self.offices]
        return [[one.version for one in versions if one.loaded] for versions in listed]

    def wait_in_force(self, version: int) -> None:
        for server in self.servers:
            wait_loaded(server, version)

    def quotes(self) -> list[pb.QuoteResponse]:
        """The usual sale, asked at both."""
        request = pb.QuoteRequest(basket_id=BASKET, sale=sale("card1"))
        return [till.Quote(request) for till in self.tills]

    def shown(self) -> list[tuple[int, int]]:
        """The version and the price of tea that each till shows."""
        return [_shown(quoted.answer) for quoted in self.quotes()]

    def sell(self, number: int, till: int = 0, token: bytes = b"") -> tuple[int, int]:
        """The version by which the usual sale is sold, and the price of tea."""
        request = pb.CheckoutRequest(receipt_key=receipt_key(number), sale=sale("card1"))
        if token:
            request.basket_id, request.token = BASKET, token
        sold = self.tills[till].Checkout(request)
        assert not sold.differs_from_quote
        return _shown(sold.answer)


def _shown(answer: Any) -> tuple[int, int]:
    lines = {line.line_id: line.amount_minor for line in answer.lines.lines}
    return answer.ruleset_version, lines[TEA]


@pytest.fixture
def chain(place: dict[str, str], tmp_path: Path) -> Iterator[Chain]:
    """Servers that sell by version 1: 10% off tea."""
    clock = tmp_path / "clock"
    set_offset(clock, 0)
    with serving({**place, "LOYALTY_CLOCK_FILE": str(clock)}, tmp_path, count=2) as servers:
        made = Chain(servers, clock)
        yield made
        assert made.offices[0].AuditLedger(bo.AuditLedgerRequest()).balanced
        made.close()


def replace(chain: Chain, program: Program) -> bo.PublishProgramResponse:
    """Publish in place of what is scheduled; it is in force at both."""
    request = bo.PublishProgramRequest(
        program=program, published_by="boris", replaces_scheduled=True
    )
    published: bo.PublishProgramResponse = chain.offices[1].PublishProgram(request)
    chain.at(PUBLISH_LEAD_US)
    chain.wait_in_force(published.version)
    return published


def test_a_replaced_version_never_comes_into_force(
    chain: Chain, place: dict[str, str], tmp_path: Path
) -> None:
    before = chain.quotes()[0]
    assert chain.sell(1) == (1, 18_000)
    tomorrow_us = system_clock() + DAY_US
    assert chain.schedule(tea_off(5_000), tomorrow_us) == 2
    published = replace(chain, tea_off(1_500))
    assert [(one.version, one.effective_at_us, one.published_by) for one in published.replaced] == [
        (2, tomorrow_us, "anna")
    ]
    assert published.effective_at_us < tomorrow_us
    assert chain.shown() == [(3, 17_000), (3, 17_000)]
    assert [chain.sell(2), chain.sell(3, till=1)] == [(3, 17_000), (3, 17_000)]
    assert chain.sell(4, till=1, token=before.token) == (1, 18_000), "what the customer was shown"
    wait_until(lambda: not any(2 in found for found in chain.loaded()), "the end of version 2")
    chain.at(2 * DAY_US)
    wait_until(lambda: chain.loaded() == [[3], [3]], "one version in force")
    assert chain.shown() == [(3, 17_000), (3, 17_000)]
    assert [chain.sell(5), chain.sell(6, till=1)] == [(3, 17_000), (3, 17_000)]
    with serving({**place, "LOYALTY_CLOCK_FILE": str(tmp_path / "clock")}, tmp_path) as (fresh,):
        with grpc.insecure_channel(fresh.target) as channel:
            request = pb.QuoteRequest(basket_id=BASKET, sale=sale("card1"))
            assert _shown(till_stub(channel).Quote(request).answer) == (3, 17_000)
    history = chain.offices[0].ListRulesetVersions(bo.ListRulesetVersionsRequest(page_size=3))
    told = [(one.version, one.base_version, one.replaced_by_version) for one in history.versions]
    assert (history.live_version, told) == (3, [(3, 1, 0), (2, 1, 3), (1, 0, 0)])
    assert chain.publish(tea_off(2_000)) == 4
    assert chain.shown() == [(4, 16_000), (4, 16_000)]


def test_a_roll_back_replaces_what_is_scheduled(chain: Chain) -> None:
    """The discount of today is wrong, and a change is scheduled for tomorrow."""
    assert chain.publish(tea_off(9_000)) == 2
    assert chain.schedule(tea_off(5_000), system_clock() + DAY_US) == 3
    plan = chain.offices[1].PlanProgram(bo.PlanProgramRequest(version=1, replaces_scheduled=True))
    assert [one.version for one in plan.replaced] == [3]
    assert (plan.base_version, plan.newest_version, len(plan.problems)) == (2, 3, 0)
    request = bo.RollBackRulesetRequest(
        version=1, published_by="boris", newest_version=3, replaces_scheduled=True
    )
    rolled = chain.offices[1].RollBackRuleset(request)
    assert (rolled.version, [one.version for one in rolled.replaced]) == (4, [3])
    chain.at(2 * PUBLISH_LEAD_US)
    chain.wait_in_force(4)
    assert chain.shown() == [(4, 18_000), (4, 18_000)]
    chain.at(2 * DAY_US)
    assert chain.shown() == [(4, 18_000), (4, 18_000)]
    assert [chain.sell(1), chain.sell(2, till=1)] == [(4, 18_000), (4, 18_000)]


@pytest.mark.parametrize("call", ["PublishProgram", "RollBackRuleset"])
@pytest.mark.parametrize("in_us", [0, DAY_US // 2], ids=["as soon as may be", "an instant"])
def test_what_would_wait_behind_a_scheduled_version_is_refused(
    chain: Chain, call: str, in_us: int
) -> None:
    tomorrow_us = system_clock() + DAY_US
    assert chain.schedule(tea_off(5_000), tomorrow_us) == 2
    request = getattr(bo, f"{call}Request")(published_by="boris")
    request.effective_at_us = in_us and system_clock() + in_us
    if call == "PublishProgram":
        request.program.CopyFrom(tea_off(1_500))
    else:
        request.version = 1
    with pytest.raises(grpc.RpcError) as refused:
        getattr(chain.offices[1], call)(request)
    code, reason, metadata = reason_of(refused.value)
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EFFECTIVE_TOO_EARLY")
    assert metadata["scheduled_version"] == "2"
    assert metadata["scheduled_at_us"] == str(tomorrow_us)
    text: Any = refused.value
    assert f"version 2 is scheduled for {iso_instant(tomorrow_us)}" in text.details()
    assert "publish again with replaces_scheduled" in text.details()
    chain.sell(1)
