"""A token is read only by who signed it, and only unchanged."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.limits import TOKEN_BYTES_MAX
from rewards.refusal import Reason, Refusal
from server.token import QuoteToken, TokenSigner
from tests import make

OLD, NEW = {1: b"a" * 32}, {1: b"a" * 32, 2: b"b" * 32}
TOKEN = QuoteToken(
    basket_id=bytes(16),
    chain_id="chain",
    store_id="store",
    account_id=7,
    account_version=3,
    fingerprint=b"\x01" + bytes(16),
    hold_ids=(),
    ruleset_version=5,
    instant_us=make.NOON_US,
    expires_at_us=make.NOON_US + make.HOUR_US,
    lines=(("1", 2_000, 180),),
)
SIGNED = TokenSigner(OLD).sign(TOKEN)


def refused(signed: bytes, secrets: Mapping[int, bytes] = OLD) -> bool:
    with pytest.raises(Refusal) as caught:
        TokenSigner(secrets).check(signed)
    return caught.value.reason is Reason.TOKEN_INVALID and caught.value.fields[0][0] == "token"


def test_a_token_comes_back_as_it_was_signed() -> None:
    assert TokenSigner(OLD).check(SIGNED) == TOKEN


@given(
    st.builds(
        QuoteToken,
        basket_id=st.binary(min_size=16, max_size=16),
        chain_id=st.text(max_size=64),
        store_id=st.text(max_size=64),
        account_id=st.integers(0, 2**63 - 1),
        account_version=st.integers(0, 2**63 - 1),
        fingerprint=st.binary(max_size=17),
        hold_ids=st.lists(st.binary(max_size=16), max_size=3).map(tuple),
        ruleset_version=st.integers(0, 2**63 - 1),
        instant_us=st.integers(0, 2**52),
        expires_at_us=st.integers(0, 2**52),
        lines=st.lists(
            st.tuples(st.text(max_size=64), st.integers(1, 10**7), st.integers(0, 10**12)),
            max_size=4,
        ).map(tuple),
    )
)
def test_every_token_comes_back(token: QuoteToken) -> None:
    assert TokenSigner(NEW).check(TokenSigner(NEW).sign(token)) == token


@pytest.mark.parametrize("position", range(len(SIGNED)))
def test_any_changed_byte_is_refused(position: int) -> None:
    for mask in (0x01, 0x80, 0xFF):
        changed = bytearray(SIGNED)
        changed[position] ^= mask
        assert refused(bytes(changed))
        assert refused(bytes(changed), NEW)


@pytest.mark.parametrize("length", range(len(SIGNED)))
def test_a_shortened_token_is_refused(length: int) -> None:
    assert refused(SIGNED[:length])


@given(st.binary(max_size=120))
def test_other_bytes_are_refused(body: bytes) -> None:
    assert refused(body)
    assert refused(SIGNED[:3] + body)
    assert refused(SIGNED + (body or b"x"))


def test_another_key_of_the_same_id_is_refused() -> None:
    assert refused(SIGNED, {1: b"c" * 32})


def test_a_key_that_is_not_known_is_refused() -> None:
    assert refused(TokenSigner(NEW).sign(TOKEN), OLD)


def test_the_newest_key_signs_and_the_old_one_still_reads() -> None:
    both = TokenSigner(NEW)
    assert both.check(SIGNED) == TOKEN
    assert both.sign(TOKEN) == TokenSigner({2: NEW[2]}).sign(TOKEN) != SIGNED


def test_a_token_beyond_the_limit_is_refused() -> None:
    lines = tuple((f"{n:060}", 1_000, 10**12) for n in range(8_000))
    longest = TokenSigner(OLD).sign(_with_lines(lines))
    assert len(longest) > TOKEN_BYTES_MAX
    with pytest.raises(Refusal) as refusal:
        TokenSigner(OLD).check(longest)
    assert refusal.value.reason is Reason.TOKEN_INVALID


@pytest.mark.parametrize("character", ["0", "ж", "🧀"])
def test_a_receipt_whose_every_line_changed_has_a_usable_token(character: str) -> None:
    """1,000 lines with ids of 64 characters, all of them discounted."""
    lines = tuple((f"{n:04}" + 60 * character, 10_000_000, 10**12) for n in range(1_000))
    signer = TokenSigner(OLD)
    assert signer.check(signer.sign(_with_lines(lines))).lines == lines


def _with_lines(lines: tuple[tuple[str, int, int], ...]) -> QuoteToken:
    return QuoteToken(bytes(16), "chain", "store", 7, 3, b"", (), 5, 1, 2, lines)
