"""Programs as messages: the same fields as the types, and nothing is lost on the way."""

from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from loyalty.v1 import authored_pb2, benefit_pb2, condition_pb2, receipt_pb2
from loyalty.v1 import program_pb2 as pb
from rewards import authored, benefit, condition
from rewards import program as types
from rewards.benefit import ALL_PIECES, Benefit, BundlePart, BundlePrice, NPlusM, PercentOff
from rewards.condition import Condition, KnownCustomer, Products
from rewards.program import Program
from server.codec.program_pb import UNION_ONEOF, program_from_pb, program_to_pb
from server.program_shape import ProgramShapeError, shape_program
from tests.examples import at_most

UNIONS: dict[str, Any] = {"Condition": Condition, "Benefit": Benefit}
"""Messages that are one oneof; the messages of their kinds stand inside them."""

STRUCTS: list[type[msgspec.Struct]] = sorted(
    {
        found
        for module in (authored, condition, benefit, types)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, authored.Authored)
    }
    - {authored.Authored},
    key=lambda struct: struct.__name__,
)


FILES = [module.DESCRIPTOR for module in (authored_pb2, condition_pb2, benefit_pb2, pb)]
MESSAGES: dict[str, Descriptor] = {
    name: message for file in FILES for name, message in file.message_types_by_name.items()
}


def message_of(struct: type[msgspec.Struct]) -> Descriptor:
    """The message of the same name, on its own or inside the union that it is a kind of."""
    outer = [name for name, union in UNIONS.items() if struct in union.__args__]
    where = MESSAGES[outer[0]].nested_types_by_name if outer else MESSAGES
    return where[struct.__name__]


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
        case inspect.NoneType():
            return st.none()
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


NAMED = [{"language_code": "ru", "text": "x"}]
PROMOTION: dict[str, Any] = {
    "promotion_id": "x",
    "names": NAMED,
    "lane": "price",
    "gives": [{"code": "percent_off", "rate_bp": 100}],
}
MINIMAL: dict[str, Any] = {
    "program_id": "p",
    "chain_id": "c",
    "currency_code": "RUB",
    "language_code": "ru",
    "assets": [
        {
            "code": "points",
            "kind": "points",
            "names": [
                {"language_code": "ru", "forms": [{"category": "other", "text": "балла"}]},
            ],
        }
    ],
    "promotions": [PROMOTION],
}


@at_most(1_000)
@given(PROGRAMS)
def test_round_trip(program: Program) -> None:
    message = pb.Program.FromString(program_to_pb(program).SerializeToString())
    assert program_from_pb(message) == program


ONE_OF_EACH = {
    name: st.tuples(*[values_of(inspect.type_info(kind)) for kind in union.__args__])
    for name, union in UNIONS.items()
}


@pytest.mark.parametrize(("key", "union"), [("gives", "Benefit"), ("conditions", "Condition")])
@settings(max_examples=10)
@given(data=st.data())
def test_round_trip_of_every_kind(key: str, union: str, data: st.DataObject) -> None:
    items = data.draw(ONE_OF_EACH[union])
    promotions = [{**PROMOTION, "promotion_id": f"p{n}", key: [one]} for n, one in enumerate(items)]
    program = shape_program({**MINIMAL, "promotions": promotions})
    assert program_from_pb(program_to_pb(program)) == program


@pytest.mark.parametrize("struct", STRUCTS)
def test_message_and_type_have_the_same_fields(struct: type[msgspec.Struct]) -> None:
    fields = {field.name for field in msgspec.structs.fields(struct)}
    assert fields == {field.name for field in message_of(struct).fields}


def test_every_message_has_its_type() -> None:
    nested = [kind for name in UNIONS for kind in MESSAGES[name].nested_types_by_name]
    assert sorted([*(MESSAGES.keys() - UNIONS.keys()), *nested]) == [s.__name__ for s in STRUCTS]


@pytest.mark.parametrize("union", UNIONS)
def test_kinds_of_a_union_are_named_by_their_codes(union: str) -> None:
    kinds = {kind.__struct_config__.tag: kind.__name__ for kind in UNIONS[union].__args__}
    descriptor = MESSAGES[union]
    fields = descriptor.oneofs_by_name[UNION_ONEOF].fields
    assert {field.name: kind_of(field).name for field in fields} == kinds
    assert len(fields) == len(descriptor.fields)


def kind_of(field: FieldDescriptor) -> Descriptor:
    """The message that a field holds."""
    assert field.message_type is not None
    return field.message_type


@pytest.mark.parametrize("struct", STRUCTS)
def test_a_scalar_that_is_not_set_is_the_default_of_the_type(struct: type[msgspec.Struct]) -> None:
    """Without `optional` zero and not set are one on the wire, so zero must be the default."""
    descriptor = message_of(struct)
    for field in msgspec.structs.fields(struct):
        found = descriptor.fields_by_name[field.name]
        is_scalar = found.message_type is None and found.enum_type is None
        if is_scalar and not found.is_repeated and field.default is not msgspec.NODEFAULT:
            assert found.has_presence or field.default == found.default_value, field.name
            assert not (found.has_presence and field.default == found.default_value), field.name


@pytest.mark.parametrize("struct", STRUCTS)
def test_what_may_be_missing_is_a_message_of_its_own(struct: type[msgspec.Struct]) -> None:
    """A field that may be None must be told apart from one that is empty."""
    descriptor = message_of(struct)
    for field in msgspec.structs.fields(struct):
        if field.default is None:
            assert descriptor.fields_by_name[field.name].has_presence


def words_of(kind: inspect.Type) -> set[str]:
    """The words that a field, or each item of a list, may hold."""
    match kind:
        case inspect.Metadata():
            return words_of(kind.type)
        case inspect.VarTupleType():
            return words_of(kind.item_type)
        case inspect.LiteralType():
            return {str(value) for value in kind.values}
    return set()


def words_by_enum() -> dict[str, list[set[str]]]:
    """For every enum the words of each field that has it."""
    found: dict[str, list[set[str]]] = {}
    for struct in STRUCTS:
        descriptor, kind = message_of(struct), inspect.type_info(struct)
        assert isinstance(kind, inspect.StructType)
        for field in kind.fields:
            enum = descriptor.fields_by_name[field.name].enum_type
            words = words_of(field.type)
            assert (enum is None) == (not words), f"{struct.__name__}.{field.name}"
            if enum is not None:
                found.setdefault(enum.full_name, []).append(words)
    return found


def names_of(enum: Any) -> set[str]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower() for value in enum.values if value.number}


def test_words_are_the_names_of_enum_values() -> None:
    """Every word is a value, every value is a word somewhere; a place may take fewer of them."""
    found = words_by_enum()
    own = {enum.full_name for file in FILES for enum in file.enum_types_by_name.values()}
    assert own <= found.keys()
    enums = {
        field.enum_type.full_name: field.enum_type
        for struct in STRUCTS
        for field in message_of(struct).fields
        if field.enum_type is not None
    }
    for name, words in found.items():
        assert set().union(*words) == names_of(enums[name]), name


def minimal() -> pb.Program:
    return program_to_pb(shape_program(MINIMAL))


def refused(message: pb.Program) -> tuple[str, str]:
    """Path and reason of what is wrong with a message."""
    with pytest.raises(ProgramShapeError) as error:
        program_from_pb(message)
    return error.value.problem.path, error.value.problem.reason


def test_what_is_not_set_is_the_default() -> None:
    program = program_from_pb(minimal())
    promotion = program.promotions[0]
    assert promotion.when == types.When()
    assert promotion.products == authored.ProductSet()
    assert promotion.cost is None
    assert promotion.gives == (PercentOff(100, "half_up", "item", ALL_PIECES),)
    assert program.coupon_rules.any_case


def test_an_optional_field_that_is_set_to_zero_is_not_the_default() -> None:
    message = minimal()
    message.coupon_rules.any_case = False
    message.promotions[0].conditions.add().known_customer.known = False
    program = program_from_pb(message)
    assert not program.coupon_rules.any_case
    assert program.promotions[0].conditions == (KnownCustomer(known=False),)


def test_an_optional_field_that_is_not_set_is_its_default() -> None:
    message = minimal()
    gives = message.promotions[0].gives
    gives.add().n_plus_m.MergeFrom(benefit_pb2.Benefit.NPlusM(pay_count=2, free_count=1))
    bundle = gives.add().bundle_price
    bundle.rate_bp = 100
    bundle.parts.add().products.skus.append("1")
    part = BundlePart(authored.ProductSet(("1",)), 1)
    assert program_from_pb(message).promotions[0].gives[1:] == (
        NPlusM(2, 1, per_article=True, as_quantity=True, partly=True),
        BundlePrice((part,), rate_bp=100),
    )


def test_products_that_are_not_set_are_none_and_empty_ones_are_not() -> None:
    message = minimal()
    conditions = message.promotions[0].conditions
    conditions.add().products.articles_from = 2
    conditions.add().products.products.SetInParent()
    own, other = program_from_pb(message).promotions[0].conditions
    assert own == Products(None, articles_from=2)
    assert other == Products(authored.ProductSet())


def test_words_in_a_list_are_read_and_written() -> None:
    message = minimal()
    kinds = [receipt_pb2.TILL_TYPE_PUMP, receipt_pb2.TILL_TYPE_WEB]
    message.promotions[0].conditions.add().channels.any_of.extend(kinds)
    program = program_from_pb(message)
    assert program.promotions[0].conditions == (condition.Channels(("pump", "web")),)
    assert program_to_pb(program).promotions[0].conditions[0].channels.any_of == kinds


def test_an_unknown_enum_value_is_refused() -> None:
    message = minimal()
    # An open enum keeps the numbers of a newer client.
    message.MergeFromString(pb.Program(promotions=[pb.Promotion()]).SerializeToString())
    message.promotions[1].MergeFromString(b"\x18\x63")
    path, reason = refused(message)
    assert path == "promotions[1].lane"
    assert "99 is not a value of this version; known: price" in reason


def test_an_unknown_enum_value_in_a_list_is_refused() -> None:
    message = minimal()
    channels = message.promotions[0].conditions.add().channels
    channels.any_of.append(receipt_pb2.TILL_TYPE_PUMP)
    channels.MergeFromString(b"\x0a\x01\x63")
    path, reason = refused(message)
    assert path == "promotions[0].conditions[0].any_of[1]"
    assert "99 is not a value of this version; known: staffed" in reason


def test_an_unspecified_enum_value_in_a_list_is_refused() -> None:
    message = minimal()
    channels = message.promotions[0].conditions.add().channels
    channels.any_of.append(receipt_pb2.TILL_TYPE_UNSPECIFIED)
    assert refused(message)[0] == "promotions[0].conditions[0].any_of[0]"


def test_a_missing_enum_value_is_refused() -> None:
    message = minimal()
    message.promotions[0].ClearField("lane")
    assert refused(message) == ("promotions[0].lane", "is required")


def test_missing_products_of_a_part_are_refused() -> None:
    message = minimal()
    message.promotions[0].gives.add().bundle_price.parts.add(count=2)
    assert refused(message) == ("promotions[0].gives[1].parts[0].products", "is required")


def test_no_benefit_at_all_is_refused() -> None:
    message = minimal()
    message.promotions[0].ClearField("gives")
    path, reason = refused(message)
    assert path == "promotions[0].gives"
    assert "length >= 1" in reason


@pytest.mark.parametrize("union", ["gives", "conditions"])
def test_a_union_of_no_kind_is_refused(union: str) -> None:
    message = minimal()
    promotion = message.promotions[0]
    getattr(promotion, union).add()
    index = len(getattr(promotion, union)) - 1
    path, reason = refused(message)
    assert path == f"promotions[0].{union}[{index}].code"
    assert reason.startswith("is required; one of: ")
