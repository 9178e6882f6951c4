"""Ids and fingerprints of receipts: stored for ever, so they come out as they always did."""

import pytest
from msgspec.structs import replace

from rewards.sale import FINGERPRINT_VERSION, derived_key_id, encode_sale, fingerprint_of, key_id_of
from tests import make

KEY = make.receipt_key()
SALE = make.sale(make.line("tea", 2, 100), tenders=(make.tender(amount_minor=200),))


def test_ids_are_what_they_always_were() -> None:
    assert key_id_of(KEY).hex() == "79cbf069221a287cb4e3fa8a3b8c4245"
    assert derived_key_id(b"void", b"one", b"two").hex() == "f8241080576c972283358c667faa3631"
    assert fingerprint_of(b"sale").hex() == "0140066e0b60cca1564b3dd561600efcee"


def test_an_id_has_16_bytes_and_a_fingerprint_its_version_before_them() -> None:
    assert len(key_id_of(KEY)) == len(derived_key_id(b"void", b"one")) == 16
    assert fingerprint_of(b"")[:1] == FINGERPRINT_VERSION
    assert len(fingerprint_of(b"")) == 17


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": "x"},
        {"store_id": "x"},
        {"till_id": "x"},
        {"business_date": "2026-11-23"},
        {"shift_id": "2"},
        {"receipt_number": "2"},
        {"epoch": 1},
    ],
)
def test_every_field_of_a_key_counts(change: dict[str, object]) -> None:
    assert key_id_of(replace(KEY, **change)) != key_id_of(KEY)


def test_a_derived_key_hangs_on_its_purpose_and_every_part() -> None:
    ids = {
        derived_key_id(b"void", b"one", b"two"),
        derived_key_id(b"void", b"two", b"one"),
        derived_key_id(b"void", b"onetwo"),
        derived_key_id(b"void", b"one"),
        derived_key_id(b"basket", b"one"),
    }
    assert len(ids) == 5


def test_a_fingerprint_covers_lines_header_and_tenders() -> None:
    others = [
        replace(SALE, cash_rounding_minor=1),
        replace(SALE, tenders=()),
        replace(SALE, lines=(replace(SALE.lines[0], rest=("x",)),)),
        replace(SALE, header=replace(SALE.header, order_number="1")),
    ]
    prints = {fingerprint_of(encode_sale(sale)) for sale in [SALE, *others]}
    assert len(prints) == 5
    assert encode_sale(SALE) == encode_sale(replace(SALE))
