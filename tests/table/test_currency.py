"""Whose currency differs where a receipt is refused for it: what a till is told is true."""

import pytest

from rewards.refusal import Reason, Refusal
from server.reference import StoreInfo
from server.till.context import check_currency
from tests import make


@pytest.mark.parametrize(
    ("receipt", "program", "metadata"),
    [
        ("EUR", "RUB", {"expected": "RUB", "actual": "EUR"}),
        ("EUR", "EUR", {"expected": "RUB", "actual": "EUR"}),
        ("RUB", "EUR", {"expected": "RUB", "actual": "RUB", "program": "EUR"}),
    ],
)
def test_each_currency_is_said_of_whom_it_is(
    receipt: str, program: str, metadata: dict[str, str]
) -> None:
    """`expected` is the store's, `actual` the receipt's."""
    store = StoreInfo(make.store_record(currency_code="RUB"))
    rules = make.rules(currency_code=program)
    with pytest.raises(Refusal) as refused:
        check_currency(store, rules.program, receipt)
    assert (refused.value.reason, refused.value.metadata) == (Reason.CURRENCY_MISMATCH, metadata)


def test_one_currency_passes() -> None:
    rules = make.rules(currency_code="RUB")
    check_currency(StoreInfo(make.store_record(currency_code="RUB")), rules.program, "RUB")
