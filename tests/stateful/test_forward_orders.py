"""Goal: in whatever order and how often what concerns one receipt comes, it is rewarded once.

Method: calls drawn at random against two real servers; a model says after each what the customer
has; the ledger is proved at the end.
"""

from typing import Any, NamedTuple

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty.v1 import till_service_pb2 as pb
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    PLAIN,
    QUARANTINED,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    UNKNOWN,
    Link,
    forward_request,
)
from tests.refunding import basket, refund_request
from tests.serving import receipt_key

LINES = ("sku1", "sku2")
EARNED = {"sku1": 450, "sku2": 900}
"""5% of what is left after 10% off."""
INSTEAD = {"sku1": ("points", 1_000), "sku2": ("later", 2_000)}
KINDS = (AS_ANSWERED, PLAIN, NOT_SOLD, UNKNOWN)


class Act(NamedTuple):
    """A call: of a forwarded statement its kind and number; of a refund its line."""

    name: str
    kind: int = 0
    number: int = 0
    line: str = ""


ACTS = st.one_of(
    st.sampled_from([Act("checkout"), Act("break off"), Act("void")]),
    st.builds(lambda line: Act("refund", line=line), st.sampled_from(LINES)),
    st.builds(
        lambda kind, number: Act("forward", kind, number),
        st.sampled_from(KINDS),
        st.integers(1, 4),
    ),
    st.builds(
        lambda kind, number: Act("forward", kind, number),
        st.sampled_from(KINDS),
        st.integers(1, 4),
    ),
)


class Model:
    """What a receipt comes to."""

    def __init__(self) -> None:
        self.is_fenced = False
        self.counts: int = 0
        """The kind of statement that counts; AS_ANSWERED of a live sale, 0 of none."""
        self.number = 0
        self.is_voided = False
        self.gone: set[str] = set()
        self.said: dict[int, int] = {}
        """By number the kind that was stated with it, where it was kept."""

    def act(self, act: Act) -> None:
        """Take note of a call that has been answered or refused."""
        match act.name:
            case "checkout":
                if not self.is_fenced and not self.counts:
                    self.counts = AS_ANSWERED
            case "break off":
                self.is_fenced = True
            case "void":
                self.is_voided = self.is_voided or bool(self.counts)
            case "refund":
                if self.counts in (AS_ANSWERED, PLAIN) and not self.is_voided:
                    self.gone.add(act.line)
            case "forward":
                self._state(act.kind, act.number)

    def _state(self, kind: int, number: int) -> None:
        is_first = not self.counts
        self.is_fenced = True
        is_late = not is_first and number <= self.number and self.counts != UNKNOWN
        if self.is_voided or is_late or self.said.get(number, kind) != kind:
            return
        if not is_first and kind == UNKNOWN:
            return
        # What was settled by lines, or undone, is not sold anew once goods have come back.
        settled = self.counts in (PLAIN, NOT_SOLD, UNKNOWN) and kind != NOT_SOLD
        if not (settled and self.gone):
            self.counts = kind
        self.number = number
        self.said[number] = kind

    def contradicts(self, act: Act) -> bool:
        """Whether a statement has the number of another one."""
        return act.name == "forward" and self.said.get(act.number, act.kind) != act.kind

    def owns(self) -> dict[str, int]:
        """What the customer has of it."""
        found = {"points": 0, "later": 0}
        if self.counts in (AS_ANSWERED, PLAIN) and not self.is_voided:
            for line in set(LINES) - self.gone:
                found["points"] += EARNED[line]
                if self.counts == PLAIN:
                    code, minor = INSTEAD[line]
                    found[code] += minor
        return {code: minor for code, minor in found.items() if minor}


def requests(link: Link, act: Act, made: Any, number: int) -> tuple[str, Any]:
    """The call and its request."""
    key = receipt_key(link.n(number))
    match act.name:
        case "checkout":
            return "Checkout", pb.CheckoutRequest(receipt_key=key, sale=made)
        case "break off":
            return "BreakOff", pb.BreakOffRequest(receipt_key=key)
        case "void":
            return "Void", pb.VoidRequest(receipt_key=key, reason_code="X", cashier_id="c1")
        case "refund":
            own = link.n(number) + 100 * (1 + LINES.index(act.line))
            return "Refund", refund_request(own, link.n(number), {act.line: 1_000})
        case _:
            return "Forward", forward_request(link.n(number), made, act.kind, act.number)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, min_size=1, max_size=9))
def test_any_order(link: Link, acts: list[Act]) -> None:
    link.begin()
    card = link.card()
    made = basket(("sku1", 1, 10_000), ("sku2", 1, 20_000), card=card)
    model = Model()
    for n, act in enumerate(acts):
        name, request = requests(link, act, made, 1)
        for till in (link.tills[n % 2], link.tills[(n + 1) % 2]):
            try:
                answer = getattr(till, name)(request)
            except grpc.RpcError:
                answer = None
            if act.name == "forward":
                states = (
                    (QUARANTINED,) if model.contradicts(act) else (RECORDED, SUPERSEDED, SETTLED)
                )
                assert answer.state in states, answer
        model.act(act)
        assert link.balances(card) == model.owns(), (acts[: n + 1], vars(model))
    purchases = link.sql("select min(purchases)::int from account")
    assert purchases[0][0] >= 0
