"""Programs that earlier builds stored are read as what they meant."""

import msgspec
import pytest

from rewards.authored import ProductSet
from rewards.benefit import PercentOff
from rewards.condition import Channels, KnownCustomer, ReceiptAmount, Segments, Zones
from rewards.older_form import read_programs
from tests import make


def first_form(**promotion: object) -> bytes:
    tree = msgspec.to_builtins(make.program(make.percent(1_000, "ten")))
    (own,) = tree["promotions"]
    for key in ("conditions", "products", "gives"):
        del own[key]
    own |= {"gives": {"code": "percent_off", "rate_bp": 1_000}, **promotion}
    return msgspec.msgpack.encode((tree,))


def test_the_present_form_is_read_as_it_is() -> None:
    program = make.program(make.percent(), make.points())
    assert read_programs(msgspec.msgpack.encode((program,))) == (program,)


def test_conditions_in_groups_become_conditions() -> None:
    content = first_form(
        what={"products": {"skus": ["tea"]}, "receipt_amount_from_minor": 500},
        when={"from_date": "2026-01-01", "zones": ["north"], "channels": ["pump"]},
        who={"segments": ["vip"], "customer_required": True},
    )
    (program,) = read_programs(content)
    (promotion,) = program.promotions
    assert promotion.gives == (PercentOff(1_000),)
    assert promotion.products == ProductSet(skus=("tea",))
    assert promotion.when.from_date == "2026-01-01"
    assert promotion.conditions == (
        Zones(("north",)),
        Channels(("pump",)),
        Segments(("vip",)),
        KnownCustomer(),
        ReceiptAmount(500),
    )


def test_without_conditions_there_are_none() -> None:
    (program,) = read_programs(first_form())
    assert program.promotions[0].conditions == ()


def test_what_is_of_no_form_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_programs(first_form(gives={"code": "unheard_of"}))
