"""Programs as plain trees, as a file spells them; a test names only what it is about."""

from typing import Any

import msgspec

from rewards.problem import Problem
from rewards.program import Program
from rewards.program_check import check_program

Tree = dict[str, Any]
Wrong = dict[str, tuple[Tree, str, str]]
"""By what is wrong: keys of a program, the path of the one problem, a part of its reason."""

PERCENT: Tree = {"code": "percent_off", "rate_bp": 100}
SKU: Tree = {"skus": ["1"]}


def texts(*languages: str) -> list[Tree]:
    return [{"language_code": language, "text": "text"} for language in languages or ("ru",)]


def promotion(promotion_id: str = "p", *gives: Tree, **changes: Any) -> Tree:
    fields = {"promotion_id": promotion_id, "names": texts(), "lane": "price"}
    return fields | {"gives": list(gives) or [PERCENT]} | changes


def promotions(*gives: Tree, **changes: Any) -> Tree:
    """Keys of a program with one promotion."""
    return {"promotions": [promotion("p", *gives, **changes)]}


def asking(*conditions: Tree, **changes: Any) -> Tree:
    """Keys of a program with one promotion that has some conditions."""
    return promotions(conditions=list(conditions), **changes)


def rewarding(*gives: Tree, **changes: Any) -> Tree:
    """Keys of a program with one promotion of the reward lane."""
    return promotions(*gives, lane="reward", **changes)


def asset(code: str, kind: str = "points", **changes: Any) -> Tree:
    names = [{"language_code": "ru", "forms": [{"category": "other", "text": "балла"}]}]
    return {"code": code, "kind": kind, "names": names} | changes


def program(**changes: Any) -> Program:
    fields = {
        "program_id": "program",
        "chain_id": "chain",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [asset("points"), asset("stamps"), asset("later", "deferred_discount")],
        "profile_fields": [{"field_code": "birth_date", "questions": texts(), "check": "date"}],
        "point_value_micros": 1_000_000,
    }
    return msgspec.convert(fields | changes, Program)


def problems(changes: Tree) -> tuple[Problem, ...]:
    return check_program(program(**changes))


def check_wrong(changes: Tree, path: str, reason: str) -> None:
    """Hold that a program has one problem, there and for that reason."""
    found = problems(changes)
    assert [problem.path for problem in found] == [path]
    assert reason in found[0].reason
