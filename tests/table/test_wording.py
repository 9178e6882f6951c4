"""What a program's texts may name is what the built-in texts name."""

from string import Formatter

import pytest

from rewards.wording import FIGURES
from server.built_in_texts import BUILT_IN


def test_every_built_in_text_can_be_replaced() -> None:
    assert FIGURES.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("code", BUILT_IN)
def test_a_template_may_name_what_the_built_in_one_names(code: str) -> None:
    for text in BUILT_IN[code].values():
        named = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        assert named == FIGURES[code]
