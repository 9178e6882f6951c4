"""Each evaluator that a setting can name is called alike, as refunds call it too."""

from typing import Literal

import pytest

from server.main import _evaluator
from server.settings import Settings
from tests import make


@pytest.mark.parametrize("name", ["kernel", "reference"])
def test_only_some_promotions_take_part(name: Literal["kernel", "reference"]) -> None:
    evaluate, prepare = _evaluator(Settings(evaluator=name))
    rules = make.rules(make.percent(1_000), make.percent(2_000, "more", priority=9))
    prepare(rules)
    sale, facts = make.sale(make.line("tea", price_minor=1_000)), make.facts()
    whole, part = evaluate(rules, sale, facts), evaluate(rules, sale, facts, (1,))
    assert [one.amount_minor for one in whole.outcomes if one] == [800]
    assert [one.amount_minor for one in part.outcomes if one] == [900]
    assert part.raised() == evaluate(rules, sale, facts, only=(1,)).raised()
