"""Who pays: parts sum to the whole, nobody gets back more than was paid, in however many parts."""

from hypothesis import given
from hypothesis import strategies as st

from rewards.earning import funding_of
from rewards.ledger import Funding, part_of
from rewards.program import Funding as FundingRule

MINORS = st.integers(1, 10**9)
FUNDINGS = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", "c"]), MINORS), min_size=1, max_size=5
).map(tuple)


@st.composite
def rules(draw: st.DrawFn) -> tuple[FundingRule, ...]:
    """Shares that leave the chain what is not a party's."""
    left_bp, made = 10_000, []
    for party_id in draw(st.lists(st.sampled_from("abcd"), max_size=4, unique=True)):
        share_bp = draw(st.integers(0, left_bp))
        left_bp -= share_bp
        made.append(FundingRule(party_id, share_bp, draw(st.sampled_from([0, 1, 10, 10**6]))))
    return tuple(made)


def whole_of(funding: Funding) -> int:
    return sum(minor for _, minor in funding)


@given(FUNDINGS, st.data())
def test_parts_that_follow_each_other_give_each_party_what_it_paid(
    funding: Funding, data: st.DataObject
) -> None:
    whole_minor = whole_of(funding)
    cuts = data.draw(st.lists(st.integers(0, whole_minor), max_size=6).map(sorted))
    got = [0] * len(funding)
    for start, end in zip([0, *cuts], [*cuts, whole_minor], strict=True):
        parts = part_of(funding, end - start, start)
        assert whole_of(parts) == end - start
        assert [party_id for party_id, _ in parts] == [party_id for party_id, _ in funding]
        for n, (_, minor) in enumerate(parts):
            assert minor >= 0
            got[n] += minor
            assert got[n] <= funding[n][1]
    assert got == [minor for _, minor in funding]


@given(FUNDINGS, st.data())
def test_a_part_is_a_share_but_for_rounding(funding: Funding, data: st.DataObject) -> None:
    whole_minor = whole_of(funding)
    amount_minor = data.draw(st.integers(0, whole_minor))
    for (_, paid), (_, part) in zip(funding, part_of(funding, amount_minor), strict=True):
        assert abs(part * whole_minor - paid * amount_minor) < len(funding) * whole_minor


def test_many_small_parts_are_not_all_the_last_party_s() -> None:
    funding = (("a", 50), ("b", 50))
    parts = [dict(part_of(funding, 1, before)) for before in range(100)]
    assert sum(part["a"] for part in parts) == 50


def test_the_chain_alone() -> None:
    assert part_of((), 7) == (("", 7),)
    assert funding_of((), 7) == ()


@given(rules(), MINORS)
def test_parties_pay_their_share_up_to_their_cap_and_the_chain_the_rest(
    chosen: tuple[FundingRule, ...], amount_minor: int
) -> None:
    parts = funding_of(chosen, amount_minor)
    if not chosen:
        assert parts == ()
        return
    assert whole_of(parts) == amount_minor
    assert all(minor > 0 for _, minor in parts)
    paid = dict(parts)
    for rule in chosen:
        minor = paid.get(rule.party_id, 0)
        assert minor <= (rule.max_minor or amount_minor)
        assert minor * 10_000 < amount_minor * rule.share_bp + 10_000
        capped = minor == rule.max_minor
        assert capped or (minor + 1) * 10_000 > amount_minor * rule.share_bp
