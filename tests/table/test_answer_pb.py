"""What an answer says of the sets that may be left out, and the words of a cross-sell item."""

from datetime import UTC
from functools import partial
from typing import Any

import pytest

from loyalty.v1 import answer_pb2 as pb
from rewards.allocate import allocate
from rewards.authored import LocalText, ProductSet
from rewards.decide import decide_cross_sell, decide_lines_and_rewards, decide_prompts
from rewards.evaluate import evaluate
from rewards.product import Catalogue
from rewards.program import CrossSellLink
from rewards.sale import Capabilities
from server.codec.answer_pb import fill_answer
from server.codec.asked import Asked, Skipped, Voice
from server.texts import Speaker
from tests import make

EVALUATE = partial(evaluate, allocate=allocate)
CATALOGUE = Catalogue({"spray": make.product("spray", "Spray {750 ml}")})
COMPLETE = (pb.SET_COMPLETENESS_COMPLETE, pb.SET_REASON_UNSPECIFIED)
SWITCHED_OFF = (pb.SET_COMPLETENESS_SKIPPED, pb.SET_REASON_SWITCHED_OFF)
DEADLINE = (pb.SET_COMPLETENESS_SKIPPED, pb.SET_REASON_DEADLINE)


def link(text: str = "{product}?") -> CrossSellLink:
    show = ProductSet(skus=("spray",))
    return CrossSellLink("link", ProductSet(), show, (LocalText("en", text),))


def answered(
    can: Capabilities = make.ABLE,
    cross_sell_max: int = 1,
    skipped: Skipped = Skipped(),  # noqa: B008 - immutable
    text: str = "{product}?",
) -> pb.Answer:
    changes: dict[str, Any] = {
        "profile_fields": (make.field("mobile"),),
        "prompts_max": 1,
        "cross_sell_links": (link(text),),
        "till_groups": (make.till_group(cross_sell_max=cross_sell_max),),
    }
    rules, facts = make.rules(**changes), make.facts()
    sale = make.sale(make.line("shoes"), capabilities=can)
    decision = decide_lines_and_rewards(rules, sale, facts, EVALUATE)
    if not skipped.prompts:
        decision = decide_prompts(decision, rules, {}, make.NOON_US)
    if not skipped.items:
        decision = decide_cross_sell(decision, rules, sale, facts, lambda link: ("spray",))
    speaker = Speaker("en", "RUB", {})
    voice = Voice(speaker, speaker, UTC)
    answer = pb.Answer()
    asked = Asked(
        b"id", rules.program, 1, make.NOON_US, sale, facts, decision, skipped, CATALOGUE, voice
    )
    fill_answer(answer, asked)
    return answer


def status(of: Any) -> tuple[int, int]:
    return of.status.completeness, of.status.reason


def test_four_sets_are_complete() -> None:
    answer = answered()
    for one in (answer.lines, answer.rewards, answer.prompts, answer.cross_sell):
        assert status(one) == COMPLETE
    assert [prompt.field_code for prompt in answer.prompts.prompts] == ["mobile"]
    assert [item.sku for item in answer.cross_sell.items] == ["spray"]


def test_a_till_that_cannot_ask_is_given_no_prompts() -> None:
    answer = answered(Capabilities(True, True, True, ask_question=False))
    assert status(answer.prompts) == SWITCHED_OFF
    assert not answer.prompts.prompts
    assert status(answer.cross_sell) == COMPLETE


def test_a_till_group_without_cross_sell_says_so() -> None:
    answer = answered(cross_sell_max=0)
    assert status(answer.cross_sell) == SWITCHED_OFF
    assert not answer.cross_sell.items
    assert status(answer.prompts) == COMPLETE


def test_another_reason_comes_before_being_switched_off() -> None:
    skipped = Skipped(prompts=pb.SET_REASON_DEADLINE, items=pb.SET_REASON_DEADLINE)
    answer = answered(Capabilities(), 0, skipped)
    assert status(answer.prompts) == status(answer.cross_sell) == DEADLINE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("For wet days: {product}", "For wet days: Spray {750 ml}"),
        ("{{{product}}}, {{}}", "{Spray {750 ml}}, {}"),
        ("As ever", "As ever"),
    ],
)
def test_what_is_said_of_an_item(text: str, said: str) -> None:
    assert [item.text for item in answered(text=text).cross_sell.items] == [said]
