"""Programs as messages: the same fields as the types, and nothing is lost on the way."""

from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from loyalty.v1 import program_pb2 as pb
from rewards import program as types
from rewards.program import Benefit, Program
from server.codec.program_pb import program_from_pb, program_to_pb
from server.program_shape import ProgramShapeError, shape_program

STRUCTS: list[type[msgspec.Struct]] = [
    found
    for found in vars(types).values()
    if isinstance(found, type)
    and issubclass(found, msgspec.Struct)
    and not found.__name__.startswith("_")
    and found is not msgspec.Struct
]
INT64_MAX = 2**63 - 1


def texts_of(kind: inspect.StrType) -> st.SearchStrategy[str]:
    if kind.pattern is not None:
        # `$` of a pattern lets a line feed stand at the end; authors cannot want one.
        found = st.from_regex(kind.pattern, fullmatch=True)
        return found.filter(lambda text: len(text) <= (kind.max_length or len(text)))
    alphabet = st.characters(exclude_categories=["Cs"])
    return st.text(alphabet, min_size=kind.min_length or 0, max_size=min(kind.max_length or 8, 8))


def lists_of(kind: inspect.VarTupleType) -> st.SearchStrategy[list[object]]:
    return st.lists(values_of(kind.item_type), min_size=kind.min_length or 0, max_size=2)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Whatever a type of the program allows, as a plain tree."""
    match kind:
        case inspect.Metadata():
            return values_of(kind.type)
        case inspect.StrType():
            return texts_of(kind)
        case inspect.IntType():
            least = kind.ge if kind.ge is not None else -INT64_MAX
            return st.integers(least, kind.le if kind.le is not None else INT64_MAX)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.VarTupleType():
            return lists_of(kind)
        case inspect.UnionType():
            return st.one_of([values_of(member) for member in kind.types])
        case inspect.StructType():
            return trees_of(kind)
    raise AssertionError(f"no strategy for {kind}")


def trees_of(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    required = {f.name: values_of(f.type) for f in kind.fields if f.required}
    optional = {f.name: values_of(f.type) for f in kind.fields if not f.required}
    tag = {kind.tag_field: st.just(kind.tag)} if kind.tag_field else {}
    return st.fixed_dictionaries({**required, **tag}, optional=optional)


PROGRAMS = values_of(inspect.type_info(Program)).map(shape_program)


@given(PROGRAMS)
def test_round_trip(program: Program) -> None:
    message = pb.Program.FromString(program_to_pb(program).SerializeToString())
    assert program_from_pb(message) == program


@pytest.mark.parametrize("struct", STRUCTS)
def test_message_and_type_have_the_same_fields(struct: type[msgspec.Struct]) -> None:
    message: type[Message] = getattr(pb, struct.__name__)
    fields = {field.name for field in msgspec.structs.fields(struct)}
    assert fields == {field.name for field in message.DESCRIPTOR.fields}


def test_every_message_has_its_type() -> None:
    messages = set(pb.DESCRIPTOR.message_types_by_name)
    assert messages - {"Benefit"} == {struct.__name__ for struct in STRUCTS}


def test_benefits_are_named_by_their_codes() -> None:
    kinds = {kind.__struct_config__.tag: kind.__name__ for kind in Benefit.__args__}
    fields = pb.Benefit.DESCRIPTOR.oneofs_by_name["kind"].fields
    named = {field.name: field.message_type and field.message_type.name for field in fields}
    assert named == kinds


@pytest.mark.parametrize("struct", STRUCTS)
def test_a_scalar_that_is_not_set_is_the_default_of_the_type(struct: type[msgspec.Struct]) -> None:
    """On the wire zero and not set are one, so no optional scalar may have another default."""
    descriptor = getattr(pb, struct.__name__).DESCRIPTOR
    for field in msgspec.structs.fields(struct):
        found = descriptor.fields_by_name[field.name]
        is_scalar = found.message_type is None and found.enum_type is None
        if is_scalar and not found.is_repeated and field.default is not msgspec.NODEFAULT:
            assert field.default == found.default_value, field.name


@pytest.mark.parametrize("struct", STRUCTS)
def test_words_are_the_names_of_enum_values(struct: type[msgspec.Struct]) -> None:
    descriptor = getattr(pb, struct.__name__).DESCRIPTOR
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    for field in kind.fields:
        enum = descriptor.fields_by_name[field.name].enum_type
        if enum is not None:
            assert isinstance(field.type, inspect.LiteralType)
            prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
            names = {v.name.removeprefix(prefix).lower() for v in enum.values if v.number}
            assert names == set(field.type.values)


def minimal() -> pb.Program:
    program = pb.Program(program_id="p", chain_id="c", currency_code="RUB", language_code="ru")
    asset = program.assets.add(code="points", kind=pb.ASSET_KIND_POINTS)
    asset.names.add(language_code="ru").forms.add(category="other", text="балла")
    promotion = program.promotions.add(promotion_id="x", lane=pb.LANE_PRICE)
    promotion.names.add(language_code="ru", text="x")
    promotion.gives.percent_off.rate_bp = 100
    return program


def test_what_is_not_set_is_the_default() -> None:
    promotion = program_from_pb(minimal()).promotions[0]
    assert promotion.when == types.When()
    assert promotion.what == types.What()
    assert promotion.gives == types.PercentOff(rate_bp=100, rounding="half_up")


def test_an_unknown_enum_value_is_refused() -> None:
    message = minimal()
    # An open enum keeps the numbers of a newer client.
    message.MergeFromString(pb.Program(promotions=[pb.Promotion()]).SerializeToString())
    message.promotions[1].MergeFromString(b"\x18\x63")
    with pytest.raises(ProgramShapeError) as refused:
        program_from_pb(message)
    assert refused.value.problem.path == "promotions[1].lane"
    assert "99 is not a value of this version; known: price" in refused.value.problem.reason


def test_a_missing_enum_value_is_refused() -> None:
    message = minimal()
    message.promotions[0].ClearField("lane")
    with pytest.raises(ProgramShapeError, match=r"promotions\[0\].lane: is required"):
        program_from_pb(message)


def test_a_missing_benefit_is_refused() -> None:
    message = minimal()
    message.promotions[0].ClearField("gives")
    with pytest.raises(ProgramShapeError, match=r"promotions\[0\].gives: is required"):
        program_from_pb(message)


def test_a_benefit_of_no_kind_is_refused() -> None:
    message = minimal()
    message.promotions[0].gives.ClearField("percent_off")
    message.promotions[0].gives.SetInParent()
    with pytest.raises(ProgramShapeError, match=r"promotions\[0\].gives.code: is required"):
        program_from_pb(message)
