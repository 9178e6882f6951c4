"""The tree keeps the rules of style, and each rule still notices when it is broken."""

from pathlib import Path

import pytest

from tests.tidy import rule
from tests.tidy.tree import Source, python_sources, sources

ALL_FILES = [rule.left_undone, rule.machine_paths, rule.registry_addresses]
CODE_FILES = [rule.banned_names, rule.long_files, rule.wide_lines]


@pytest.mark.parametrize("keep", ALL_FILES)
def test_every_file_keeps(keep: rule.Rule) -> None:
    assert [finding for source in sources() for finding in keep(source)] == []


@pytest.mark.parametrize("keep", CODE_FILES)
def test_every_code_file_keeps(keep: rule.Rule) -> None:
    assert [finding for source in sources() if source.is_code for finding in keep(source)] == []


def test_functions_are_short() -> None:
    assert [found for source in python_sources() for found in rule.long_functions(source)] == []


def test_money_and_quantity_are_divided_by_a_named_rule() -> None:
    product = [source for source in python_sources() if source.path.parts[0] != "tests"]
    assert [found for source in product for found in rule.unnamed_divisions(source)] == []


CANARIES = [
    (rule.left_undone, "x = 1  # FIX" + "ME later"),
    (rule.machine_paths, 'open("/' + 'tmp/x")'),
    (rule.machine_paths, "cd /" + "root"),
    (rule.registry_addresses, "https://pypi" + ".org/simple"),
    (rule.long_files, "\n" * 801),
    (rule.wide_lines, "x" * 101),
    (rule.long_functions, "def f():\n" + "    pass\n" * 70),
    (rule.unnamed_divisions, "x = line.price_minor / 2"),
    (rule.unnamed_divisions, "x = 100 // (a + sold_milli[0])"),
    (rule.unnamed_divisions, "x_minor //= 3"),
    (rule.unnamed_divisions, "x = sum_minor(lines) / 2"),
]


@pytest.mark.parametrize(("keep", "text"), CANARIES)
def test_canary_a_broken_rule_is_noticed(keep: rule.Rule, text: str) -> None:
    assert len(keep(Source(Path("canary.py"), text))) == 1


@pytest.mark.parametrize("path", ["server/utils.py", "rewards/common/points.py"])
def test_canary_a_name_that_says_nothing_is_noticed(path: str) -> None:
    assert len(rule.banned_names(Source(Path(path), ""))) == 1


HARMLESS = [
    (rule.machine_paths, "see docs/work/notes and pos_sim/tmp/x"),
    (rule.long_functions, 'def f():\n    """' + "Text.\n" * 90 + '"""\n' + "    pass\n" * 69),
    (rule.unnamed_divisions, "x = len(lines_minor) / 2; y = root / 'a_minor'"),
    (rule.unnamed_divisions, "x = floor_div(price_minor, 2)"),
]


@pytest.mark.parametrize(("keep", "text"), HARMLESS)
def test_what_keeps_the_rules_is_left_alone(keep: rule.Rule, text: str) -> None:
    assert keep(Source(Path("harmless.py"), text)) == []
