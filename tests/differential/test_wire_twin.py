"""Messages that a `Shape` spells are byte for byte those of the generated stubs.

Method: values of every kind of field go to both; messages are spelled one by one and in rows. A
canary gives a field another kind, and must be caught.
"""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from ext.wire import Shape
from loyalty.v1 import answer_pb2 as pb
from server.codec.shape import shape_of

RUNS = [pb.Run(quantity_milli=n, amount_minor=-n).SerializeToString() for n in (0, 1, 300, 2**40)]
MESSAGES: dict[str, tuple[type[Message], tuple[str, ...]]] = {
    "numbers, text, bytes": (
        pb.Reward,
        ("id", "kind", "promotion_id", "amount_minor", "active_from_us", "text", "count"),
    ),
    "signed numbers": (pb.Totals, ("amount_before_minor", "adjustments_minor", "amount_minor")),
    "repeated messages, truth": (pb.LineResult, ("line_id", "runs", "amount_minor", "unknown_sku")),
    "repeated texts": (pb.Prompt, ("id", "reason", "choices", "needed_for_reward_id")),
    "a message, high numbers": (
        pb.Answer,
        ("lines", "trace", "ruleset_version", "customer_state", "lane_proofs", "coupons", "hints"),
    ),
}
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300),
    FieldDescriptor.TYPE_SINT64: st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 4),
    FieldDescriptor.TYPE_STRING: st.text(),
    FieldDescriptor.TYPE_BYTES: st.binary(),
}


def values_of(field: Any) -> st.SearchStrategy[Any]:
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        scalar = _SCALARS[field.type]
        return st.lists(scalar, max_size=4) if field.is_repeated else scalar
    if field.message_type.name == "Run":
        return st.lists(st.sampled_from(RUNS), max_size=4)
    empty = st.just(b"")
    return st.lists(empty, max_size=3) if field.is_repeated else empty | st.none()


def by_stub(message: type[Message], names: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    made = message()
    for name, value in zip(names, values, strict=True):
        field: Any = message.DESCRIPTOR.fields_by_name[name]
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            made.MergeFrom(message(**{name: value}))
        elif field.is_repeated:
            for one in value:
                getattr(made, name).add().MergeFromString(one)
        elif value is not None:
            getattr(made, name).SetInParent()
            getattr(made, name).MergeFromString(value)
    return made.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_messages(name: str, data: st.DataObject) -> None:
    message, names = MESSAGES[name]
    fields = [message.DESCRIPTOR.fields_by_name[one] for one in names]
    many = data.draw(st.lists(st.tuples(*map(values_of, fields)), max_size=4))
    shape = shape_of(message, *names)
    expected = [by_stub(message, names, values) for values in many]
    assert [shape.one(*values) for values in many] == expected
    columns: list[Any] = []
    for n, field in enumerate(fields):
        column = [values[n] for values in many]
        if field.is_repeated:
            columns.append(
                ([len(all_) for all_ in column], [one for all_ in column for one in all_])
            )
        else:
            columns.append(column)
    assert shape.rows(*columns) == expected


def test_canary_another_kind_is_noticed() -> None:
    signed = shape_of(pb.Totals, "amount_minor")
    plain = shape_of(pb.LineResult, "amount_minor")
    assert signed.one(5) == by_stub(pb.Totals, ("amount_minor",), (5,))
    assert plain.one(5)[1:] != signed.one(5)[1:]


# --- what is refused ----------------------------------------------------------------------------

RUN = shape_of(pb.Run, "quantity_milli", "unit_price_minor", "amount_minor")
LINE = shape_of(pb.LineResult, "line_id", "runs", "amount_minor")


@pytest.mark.parametrize(
    "values", [(), (1, 2), (1, 2, 3, 4), (1, 2, "3"), (1, 2, None), (1, 2, 0.5)]
)
def test_values_of_another_shape_are_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        RUN.one(*values)
    with pytest.raises(TypeError):
        RUN.rows(*[[value] for value in values])


@pytest.mark.parametrize(
    "values",
    [(b"1", [], 0), ("1", (), 0), ("1", None, 0), ("1", ["run"], 0), ("1", [None], 0)],
)
def test_values_of_another_kind_are_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        LINE.one(*values)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_what_does_not_fit_64_bits_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        RUN.one(0, 0, number)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        LINE.one("\ud800", [], 0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((["1", "2"], ([0], []), [5]), "one length"),
        ((["1"], ([2], RUNS[:1]), [5]), "fewer values"),
        ((["1"], ([-1], RUNS[:1]), [5]), "fewer values"),
        ((["1"], ([0], RUNS[:1]), [5]), "more values"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(columns: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LINE.rows(*columns)


@pytest.mark.parametrize(
    "fields",
    [((2, 0), (1, 0)), ((1, 0), (1, 0)), ((0, 0),), ((1, 7),), ((1, -1),), tuple(
        (n, 0) for n in range(1, 18)
    )],
)  # fmt: skip
def test_fields_of_no_shape_are_refused(fields: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match=r"field"):
        Shape(fields)


def test_names_stand_by_number() -> None:
    with pytest.raises(ValueError, match="by number"):
        shape_of(pb.Run, "amount_minor", "quantity_milli")
    with pytest.raises(KeyError):
        shape_of(pb.Run, "quantity")
