"""A Checkout read by its form is the one that the stubs and their checks give, or none at all.

Method: whole Checkouts with every field in use, one to three of whose fields then get other
values, go both ways: what the form reads is the same command, or the same refusal for fields that
do not fit each other; what the stubs read without a refusal the form reads, too. Bytes that were
damaged on the way are never read as something else. Canaries give the form a wrong bound.
"""

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from functools import partial
from itertools import combinations, count
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from ext.form import Form, split
from loyalty.v1 import receipt_pb2, till_service_pb2
from rewards.refusal import Refusal
from rewards.sale import Sale
from server.codec.form import Field, form_of
from server.codec.sale_form import (
    ReadCheckout,
    ReadForward,
    ReadQuote,
    ReadSale,
    read_checkout,
    read_forward,
    read_quote,
    sale_of,
)
from server.codec.sale_pb import sale_from_pb
from server.till.advice import Advised, advice_of
from server.till.checkout import CheckoutCommand, read_command
from server.till.forward_sale import SaleAdvice
from tests import make

CONTEXT: Any = SimpleNamespace(hash_identifier=make.hash_identifier)
TEXTS = st.sampled_from(["", "a", "Ё", "a\x00b", "rub", "x" * 31, "Ж" * 33, "я" * 65, "z" * 129])
NUMBERS = st.integers(-3, 8) | st.sampled_from(
    [
        200,
        201,
        999,
        1_000,
        1_001,
        10**7,
        10**12,
        10**12 + 1,
        10**15,
        2**31 - 1,
        2**32 - 1,
        2**63 - 1,
    ]
)
Told = CheckoutCommand | tuple[object, ...]
Lines = MutableSequence[receipt_pb2.Line]
Misfit = Callable[[Lines], None]


def full_checkout(n: int) -> till_service_pb2.CheckoutRequest:
    """A good Checkout; which of the optional parts it has follows the bits of a number."""
    lines = [make.pb_line(line_id=str(at)) for at in range(3)]
    lines[0].barcode = "4600000000017" if n & 1 else ""
    if n & 2:
        lines[1].department_id, lines[1].vat_code, lines[1].parent_line_id = "d1", "НДС", "0"
        lines[1].cashier_discount.reason_code = "damaged"
        lines[1].age_check = True
    if n & 4:
        lines[2].action = receipt_pb2.LINE_ACTION_RETURN
        origin = lines[2].return_origin
        if n & 8:
            origin.receipt_key.CopyFrom(make.pb_receipt_key(receipt_number="7"))
        origin.line_id = "1"
    request = make.checkout_request()
    request.sale.CopyFrom(make.pb_sale(*lines))
    header = request.sale.header
    header.control_totals.line_count = len(lines)
    header.control_totals.amount_minor = sum(
        -one.amount_minor if one.action == receipt_pb2.LINE_ACTION_RETURN else one.amount_minor
        for one in lines
    )
    if n & 16:
        header.coupon_codes.extend(["A-1", "Скидка"])
        header.manual_triggers.append("pensioner")
        header.capabilities.slip_width_chars = 40
    if n & 32:
        request.basket_id, request.token, request.attempt = bytes(range(16)), b"token", 3
    if n & 64:
        request.closed = True
        request.outcome.kind, request.outcome.number = receipt_pb2.OUTCOME_KIND_OTHER, 2
        request.outcome.lines.add(line_id="1", amount_minor=5)
    if n & 128:
        request.sale.tenders.add(
            kind=receipt_pb2.TENDER_KIND_CARD,
            state=receipt_pb2.TENDER_STATE_PAID,
            amount_minor=100,
            card_bin="12345678",
        )
        request.sale.cash_rounding_minor = -3
    return request


def parts_of(message: Message) -> list[Message]:
    """A message with all messages inside it."""
    found = [message]
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                found += parts_of(one)
    return found


def _one_of(data: st.DataObject, messages: list[Message]) -> Message:
    return messages[data.draw(st.integers(0, len(messages) - 1))]


def change(data: st.DataObject, message: Message) -> None:
    """Give one field of a message another value."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    field = data.draw(st.sampled_from(fields))
    value: Any = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if data.draw(st.booleans()):
            message.ClearField(field.name)
        elif field.is_repeated:
            value.add()
        else:
            value.SetInParent()
        return
    if field.type == FieldDescriptor.TYPE_STRING:
        drawn: Any = data.draw(TEXTS)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        drawn = data.draw(st.binary(max_size=17))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        drawn = data.draw(st.booleans())
    else:
        drawn = data.draw(NUMBERS)
    try:
        if field.is_repeated:
            value.append(drawn)
        else:
            setattr(message, field.name, drawn)
    except ValueError:
        message.ClearField(field.name)  # a number that the field cannot hold


def told(request: till_service_pb2.CheckoutRequest | ReadCheckout) -> Told:
    """The command that a request is, or why it is refused."""
    try:
        return read_command(CONTEXT, request)
    except Refusal as refusal:
        return (refusal.reason, refusal.message, dict(refusal.metadata), refusal.fields)


@given(n=st.integers(0, 255))
def test_a_good_checkout_is_read_by_its_form(n: int) -> None:
    request = full_checkout(n)
    read = read_checkout(request.SerializeToString())
    assert read is not None
    assert isinstance(told(request), CheckoutCommand)
    assert told(read) == told(request)


@given(n=st.integers(0, 255), data=st.data())
def test_other_values(n: int, data: st.DataObject) -> None:
    request = full_checkout(n)
    for _ in range(data.draw(st.integers(1, 3))):
        change(data, _one_of(data, parts_of(request)))
    expected, read = told(request), read_checkout(request.SerializeToString())
    if read is not None:
        assert told(read) == expected
    elif isinstance(expected, CheckoutCommand):
        assert request.choices, "only what a form does not know is left to the stubs"


def sold_with_an_origin(lines: Lines) -> None:
    lines[2].action = receipt_pb2.LINE_ACTION_SALE


def of_no_line(lines: Lines) -> None:
    lines[2].return_origin.receipt_key.CopyFrom(make.pb_receipt_key(receipt_number="7"))
    lines[2].return_origin.line_id = ""


def above_its_amount(lines: Lines) -> None:
    lines[2].minimum_amount_minor = 10**7


def of_a_part(lines: Lines) -> None:
    lines[0].quantity_milli = 1_001


def an_origin_before(lines: Lines) -> None:
    lines[1].return_origin.line_id = "1"


def twice(lines: Lines) -> None:
    lines[1].line_id = "0"


def of_no_parent(lines: Lines) -> None:
    lines[1].parent_line_id = "nope"


def asks_and_pays(tender: receipt_pb2.Tender) -> None:
    tender.kind = receipt_pb2.TENDER_KIND_GIFT_CARD
    tender.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_BALANCE


def with_letters(tender: receipt_pb2.Tender) -> None:
    tender.card_bin = "4276XX"


@pytest.mark.parametrize("misfit", [asks_and_pays, with_letters])
def test_of_a_tender_that_does_not_fit_the_same_is_said(
    misfit: Callable[[receipt_pb2.Tender], None],
) -> None:
    request = full_checkout(128)
    misfit(request.sale.tenders[0])
    read = read_checkout(request.SerializeToString())
    assert read is not None
    assert not isinstance(told(request), CheckoutCommand)
    assert told(read) == told(request)


def belongs_to_itself(lines: Lines) -> None:
    lines[0].parent_line_id, lines[1].parent_line_id = "1", "0"


MISFITS = [
    sold_with_an_origin,
    of_no_line,
    above_its_amount,
    of_a_part,
    an_origin_before,
    twice,
    of_no_parent,
    belongs_to_itself,
]


@pytest.mark.parametrize("two", [*combinations(MISFITS, 2), *zip(MISFITS, strict=True)])
def test_of_lines_that_do_not_fit_the_same_is_said_first(two: Sequence[Misfit]) -> None:
    request = full_checkout(2 | 4 | 64)
    for misfit in two:
        misfit(request.sale.lines)
    read, spooled = read_checkout(request.SerializeToString()), forwarded(request)
    assert read is not None
    assert not isinstance(told(request), CheckoutCommand)
    assert told(read) == told(request)
    read_spooled = read_forward(spooled.SerializeToString())
    assert read_spooled is not None
    assert advised(read_spooled) == advised(spooled)


@pytest.mark.parametrize("line_id", ["1", "nope"])
def test_of_an_outcome_that_does_not_fit_the_same_is_said(line_id: str) -> None:
    request = full_checkout(64)
    request.outcome.lines.add(line_id=line_id)
    read, spooled = read_checkout(request.SerializeToString()), forwarded(request)
    assert read is not None
    assert not isinstance(told(request), CheckoutCommand)
    assert told(read) == told(request)
    read_spooled = read_forward(spooled.SerializeToString())
    assert read_spooled is not None
    assert advised(read_spooled) == advised(spooled) == told(request)


@given(n=st.integers(0, 255), data=st.data())
def test_damaged_bytes(n: int, data: st.DataObject) -> None:
    body = bytearray(full_checkout(n).SerializeToString())
    for _ in range(data.draw(st.integers(1, 2))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(body[: data.draw(st.integers(0, len(body)))])
    read = read_checkout(damaged)
    if read is not None:
        assert told(read) == told(till_service_pb2.CheckoutRequest.FromString(damaged))


def forwarded(request: till_service_pb2.CheckoutRequest) -> till_service_pb2.ForwardRequest:
    """The same sale as it is forwarded."""
    return till_service_pb2.ForwardRequest(
        receipt_key=request.receipt_key,
        sale=request.sale,
        outcome=request.outcome if request.HasField("outcome") else None,
        sold_at_us=request.sale.header.till_time_us,
        clock_offset_us=-request.attempt,
        basket_id=request.basket_id,
        token=request.token,
        choices=request.choices,
    )


def advised(request: till_service_pb2.ForwardRequest | ReadForward) -> Advised | tuple[object, ...]:
    """What a forwarded sale is, or why it is refused."""
    try:
        return advice_of(CONTEXT, request)
    except Refusal as refusal:
        return (refusal.reason, refusal.message, dict(refusal.metadata), refusal.fields)


@given(n=st.integers(0, 255).map(lambda n: n | 64))
def test_a_good_forward_is_read_by_its_form(n: int) -> None:
    request = forwarded(full_checkout(n))
    read = read_forward(request.SerializeToString())
    assert read is not None
    assert read.body == request.SerializeToString()
    assert isinstance(advised(request), SaleAdvice)
    assert advised(read) == advised(request)


@given(n=st.integers(0, 255), data=st.data())
def test_a_forward_with_other_values(n: int, data: st.DataObject) -> None:
    request = forwarded(full_checkout(n))
    for _ in range(data.draw(st.integers(1, 3))):
        change(data, _one_of(data, parts_of(request)))
    expected, read = advised(request), read_forward(request.SerializeToString())
    if read is not None:
        assert advised(read) == expected
    elif isinstance(expected, SaleAdvice):
        assert request.choices, "only what a form does not know is left to the stubs"


@given(body=st.binary(max_size=60))
def test_noise(body: bytes) -> None:
    assert read_checkout(body) is None


@given(n=st.integers(0, 255), data=st.data())
def test_a_quote(n: int, data: st.DataObject) -> None:
    """Its sale is read like that of a Checkout; what it reserves is left as it is."""
    request = till_service_pb2.QuoteRequest(sale=full_checkout(n).sale, attempt=n)
    request.basket_id, request.token = bytes(16), b"token"
    request.reserve.amounts.add(asset_code="points", amount_minor=n)
    whole = read_quote(request.SerializeToString())
    assert whole is not None
    assert (whole.basket_id, whole.token, whole.attempt) == (bytes(16), b"token", n)
    assert whole.reserve == request.reserve
    change(data, _one_of(data, parts_of(request.sale)))
    read = read_quote(request.SerializeToString())
    try:
        expected: object = sale_from_pb(request.sale, make.hash_identifier)
    except Refusal:
        expected = None
    if read is not None and expected is not None:
        assert sale_of(read.sale, make.hash_identifier) == expected
    else:
        assert read is None or not isinstance(refusal_of(read.sale), Sale)


def refusal_of(read: ReadSale) -> Sale | Refusal:
    """What a sale is, or why its parts do not go together."""
    try:
        return sale_of(read, make.hash_identifier)
    except Refusal as refusal:
        return refusal


# --- how the wire may be spelled otherwise -------------------------------------------------------

Spelling = Callable[[int, int | bytes], bytes]
"""Spells a field of a number with a value or content."""
LONGS = range(2, 12)
"""So many bytes a varint is spelled with."""
Read = Callable[[bytes], object]


def long_varint(value: int, count: int) -> bytes:
    """Spell a number in so many bytes or more, although fewer would do."""
    found = bytearray()
    while value > 0x7F or len(found) < count - 1:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def spelled(
    number: int, content: int | bytes, tag_bytes: int = 1, bytes_after: int = 1, wire: int = -1
) -> bytes:
    """Spell a field, its tag and what follows that in so many bytes."""
    is_value = isinstance(content, int)
    tag = number << 3 | (wire if wire >= 0 else 0 if is_value else 2)
    after = content if isinstance(content, int) else len(content)
    rest = b"" if isinstance(content, int) else content
    return long_varint(tag, tag_bytes) + long_varint(after, bytes_after) + rest


def in_two_parts(number: int, content: int | bytes) -> bytes:
    """Spell a message with one half of its fields, and again with the other."""
    fields = split(content, len(content)) if isinstance(content, bytes) else None
    if not fields:
        return spelled(number, content)
    half = len(fields) // 2
    parts = [b"".join([spelled(*one) for one in part]) for part in (fields[:half], fields[half:])]
    return spelled(number, parts[0]) + spelled(number, parts[1])


SPELLINGS: dict[str, Spelling] = {
    **{f"tag in {n} bytes": partial(spelled, tag_bytes=n) for n in LONGS},
    **{f"value or length in {n} bytes": partial(spelled, bytes_after=n) for n in LONGS},
    **{f"wire type {n}": partial(spelled, wire=n) for n in range(8)},
    "tag of 33 bits": lambda number, content: spelled(number | 1 << 29, content),
    "number 0": lambda _, content: spelled(0, content),
    "number 0 of a fixed width": lambda number, content: b"\x05abcd" + spelled(number, content),
    "length beyond all": lambda number, _: spelled(number, 2**31, wire=2),
    "cut": lambda number, content: spelled(number, content)[:-1],
    "tag alone": lambda number, content: spelled(number, content)[:1],
    "twice": lambda number, content: spelled(number, content) * 2,
    "in two parts": in_two_parts,
    "field of a fixed width before": lambda *field: b"\x85\x7f1234" + spelled(*field),
}
"""Of the field ends of groups are wire type 4, and those that are never closed 3."""
LEFT_TO_STUBS: dict[str, Spelling] = {
    "group before": lambda number, content: b"\x83\x7f\x84\x7f" + spelled(number, content),
    "value of 70 bits": lambda number, content: (
        spelled(number, content, bytes_after=10)[:-1] + b"\x7e"
        if isinstance(content, int)
        else spelled(number, content)
    ),
}
ALL_SPELLINGS = {**SPELLINGS, **LEFT_TO_STUBS}


def respelled(body: bytes, kind: Any, spellings: Mapping[int, Spelling]) -> bytes:
    """A message of which some fields, counted through all messages inside it, are spelled anew."""
    places = count()

    def of(body: bytes, kind: Any) -> bytes:
        parts = []
        for number, content in split(body, len(body)) or ():
            spell = spellings.get(next(places), spelled)
            inner = kind.fields_by_number[number].message_type
            if inner is not None and isinstance(content, bytes):
                content = of(content, inner)
            parts.append(spell(number, content))
        return b"".join(parts)

    return of(body, kind)


def fields_in(message: Message) -> int:
    """How many fields a message has, with those of all messages inside it."""
    found: list[object] = []
    for one in parts_of(message):
        for field, value in one.ListFields():
            found += value if field.is_repeated else [value]
    return len(found)


def quote_request(n: int) -> till_service_pb2.QuoteRequest:
    """A good Quote of the same sale, that reserves something."""
    request = till_service_pb2.QuoteRequest(sale=full_checkout(n).sale, attempt=n, token=b"token")
    request.basket_id = bytes(range(16))
    request.reserve.amounts.add(asset_code="points", amount_minor=n + 1)
    request.reserve.coupon_codes.append("A-1")
    return request


def quoted(request: till_service_pb2.QuoteRequest | ReadQuote) -> tuple[object, ...]:
    """What is asked for by a Quote; of what is refused, why."""
    rest = (request.basket_id, request.reserve, request.token, request.attempt)
    try:
        if isinstance(request, ReadQuote):
            return (sale_of(request.sale, make.hash_identifier), *rest)
        return (sale_from_pb(request.sale, make.hash_identifier), *rest)
    except Refusal as refusal:
        return (refusal.reason, refusal.message, dict(refusal.metadata), refusal.fields, *rest)


class Twins(NamedTuple):
    """A request with its two ways of being read."""

    request: Callable[[int], Message]
    read: Callable[[bytes], Any]
    told: Callable[[Any], object]


TWINS = [
    Twins(full_checkout, read_checkout, told),
    Twins(lambda n: forwarded(full_checkout(n | 64)), read_forward, advised),
    Twins(quote_request, read_quote, quoted),
]


def check_alike(twins: Twins, request: Message, spellings: Mapping[int, Spelling]) -> bool:
    """What the form reads the stubs read, too, and as the same; whether it reads it."""
    body = respelled(request.SerializeToString(), request.DESCRIPTOR, spellings)
    read = twins.read(body)
    if read is not None:
        assert twins.told(read) == twins.told(type(request).FromString(body)), body
    return read is not None


@pytest.mark.parametrize("twins", TWINS)
@pytest.mark.parametrize("name", ALL_SPELLINGS)
def test_every_field_spelled_otherwise(twins: Twins, name: str) -> None:
    request = twins.request(255)
    spell = ALL_SPELLINGS[name]
    read = [check_alike(twins, request, {at: spell}) for at in range(fields_in(request))]
    if name in ("tag in 5 bytes", "value or length in 5 bytes"):
        assert all(read), "a form does not give up on what is merely longer than it need be"
    if name in ("tag in 6 bytes", "number 0", "wire type 4"):
        assert not any(read)


@pytest.mark.parametrize("twins", TWINS)
@given(n=st.integers(0, 255), data=st.data())
def test_several_fields_spelled_otherwise(twins: Twins, n: int, data: st.DataObject) -> None:
    request = twins.request(n)
    places = st.integers(0, fields_in(request) - 1)
    spellings = st.sampled_from(list(ALL_SPELLINGS.values()))
    check_alike(twins, request, data.draw(st.dictionaries(places, spellings, max_size=3)))


@pytest.mark.parametrize("name", SPELLINGS)
def test_only_what_stubs_refuse_is_not_split(name: str) -> None:
    """Its judge knows none of the fields, and looks at how they are spelled alone."""
    body = till_service_pb2.SessionRequest(
        correlation_id=2**64 - 1, timeout_ms=5, release=till_service_pb2.ReleaseRequest()
    ).SerializeToString()
    kind = till_service_pb2.SessionRequest.DESCRIPTOR
    for at in range(3):
        other = respelled(body, kind, {at: SPELLINGS[name]})
        try:
            receipt_pb2.ControlTotals.FromString(other)
            is_whole = True
        except DecodeError:
            is_whole = False
        assert (split(other, 9) is not None) == is_whole, other


@pytest.mark.parametrize("name", LEFT_TO_STUBS)
def test_what_is_not_split_though_it_is_whole(name: str) -> None:
    other = LEFT_TO_STUBS[name](1, 5)
    assert receipt_pb2.ControlTotals.FromString(other).line_count == 5 or name == "value of 70 bits"
    assert split(other, 9) is None


# --- the reading of single fields --------------------------------------------------------------

TOTALS = form_of(receipt_pb2.ControlTotals, Field("line_count", 0, 9), Field("amount_minor", -9, 9))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (0, 0)),
        (b"\x08\x05\x10\x03", (5, -2)),
        (b"\x10\x03\x08\x05\x08\x07", (7, -2)),  # the last one counts
        (b"\x08\x0a", None),
        (b"\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00", (5, 0)),
        (b"\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", None),
        (b"\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x02", None),
        (b"\x08", None),
        (b"\x0a\x01a", None),
        (b"\x08\x05\x18\x01", None),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
    ],
)
def test_numbers(body: bytes, expected: object) -> None:
    assert TOTALS.read(body) == expected


def test_texts_are_counted_in_characters() -> None:
    form = Form(((1, 3, 2, 3, 0, None),))
    assert form.read(b"\x0a\x06" + "ЖЖЖ".encode()) == ("ЖЖЖ",)
    assert form.read(b"\x0a\x08" + "ЖЖЖЖ".encode()) is None
    assert form.read(b"\x0a\x02" + "Ж".encode()) is None
    assert form.read(b"\x0a\x02\xff\xfe") is None
    assert form.read(b"\x0a\x03a\x00b") is None
    assert form.read(b"") is None, "a text that must be there"


def test_a_tail_has_what_was_sent() -> None:
    fields = tuple((number, 0, 0, 9, 0, None) for number in (1, 2, 3))
    form = Form(fields, tail=1)
    assert form.read(b"\x08\x05") == (5, ())
    assert form.read(b"\x08\x05\x10\x06") == (5, (6,))
    assert form.read(b"\x08\x05\x18\x07") == (5, (0, 7))
    assert form.read(b"\x08\x05\x10\x00\x18\x00") == (5, ())


def test_a_message_in_two_parts_is_left_to_the_stubs() -> None:
    form = form_of(
        till_service_pb2.CheckoutRequest,
        Field("receipt_key", form=form_of(receipt_pb2.ReceiptKey, Field("epoch", 0, 9))),
    )
    assert form.read(b"\x0a\x02\x38\x05") == ((5,),)
    assert form.read(b"\x0a\x02\x38\x05\x0a\x00") is None


def test_so_is_one_whose_bytes_are_kept_as_they_are() -> None:
    form = form_of(till_service_pb2.QuoteRequest, Field("reserve", 0, 9, is_raw=True))
    assert form.read(b"\x1a\x02\x38\x05") == (b"\x38\x05",)
    assert form.read(b"\x1a\x02\x38\x05\x1a\x00") is None
    assert form.read(b"\x1a\x00\x1a\x02\x38\x05") is None


def test_canary_a_wrong_bound_is_noticed() -> None:
    request = full_checkout(0)
    request.sale.cash_rounding_minor = 10_001
    assert not isinstance(told(request), CheckoutCommand)
    lax = form_of(receipt_pb2.Sale, Field("cash_rounding_minor", -(10**6), 10**6))
    assert lax.read(receipt_pb2.Sale(cash_rounding_minor=10_001).SerializeToString()) == (10_001,)


@pytest.mark.parametrize(
    "body",
    [
        b"\x08",
        b"\x0a\x05abc",
        b"\x0d\x01\x02\x03",
        b"\x09\x01\x02\x03\x04\x05\x06\x07",
        b"\x0b",
        b"\x80",
    ],
)
def test_what_cannot_be_split(body: bytes) -> None:
    assert split(body, 9) is None


def test_fields_of_a_fixed_width_are_left_out_and_too_many_not_looked_at() -> None:
    assert split(b"\x0d1234\x08\x05\x0912345678", 9) == [(1, 5)]
    fields = b"\x08\x05" * 5
    assert [len(split(fields + b"\xff", most) or ()) for most in (0, 3, 4)] == [1, 4, 5]
    assert split(fields + b"\xff", 5) is None


def test_a_split_keeps_every_field() -> None:
    body = till_service_pb2.SessionRequest(
        correlation_id=2**64 - 1, timeout_ms=5, release=till_service_pb2.ReleaseRequest()
    ).SerializeToString()
    assert split(body, 3) == [(1, 2**64 - 1), (2, 5), (8, b"")]


@pytest.mark.parametrize(
    "fields",
    [
        ((1, 0, 0, 1, 0, None), (1, 0, 0, 1, 0, None)),
        ((64, 0, 0, 1, 0, None),),
        ((1, 9, 0, 1, 0, None),),
        ((1, 6, 0, 1, 0, None),),
        ((1, 0, 0, 1, 0, TOTALS),),
        tuple((n, 0, 0, 1, 0, None) for n in range(1, 34)),
    ],
)
def test_fields_of_no_form_are_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"field|form"):
        Form(fields)


def test_bytes_that_are_no_message_are_not_read() -> None:
    with pytest.raises(DecodeError):
        till_service_pb2.CheckoutRequest.FromString(b"\xff")
    assert read_checkout(b"\xff") is None
