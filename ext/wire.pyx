"""Spells messages of the protobuf wire format from plain values, a message in one step.

A `Shape` knows the numbers and kinds of a message's fields and nothing of what they mean. Each
field is a tag (number << 3 | wire type) and then a varint, or a length and so many bytes; a field
at its default is left out, as proto3 has it. Bytes equal those of the generated stubs, which are
its reference twin; differential tests hold the two equal. Source: protobuf.dev, "Encoding".
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from ext.column cimport as_list

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLong(object value) except? -1

cdef enum:
    FIELDS_MAX = 16

cdef enum Kind:
    VARINT    # an integer or bool; negative ones take ten bytes
    ZIGZAG    # an integer, as sint64
    TEXT      # a str
    OCTETS    # bytes
    MESSAGE   # bytes that were spelled before, or None
    TEXTS     # a list of str
    MESSAGES  # a list of bytes that were spelled before

cdef struct Field:
    uint64_t tag
    Kind kind

cdef struct Part:
    # A field's value on its way into the message; which of the rest counts follows the kind.
    bint is_left_out
    uint64_t number
    const char *octets
    Py_ssize_t size
    Py_ssize_t first
    Py_ssize_t count


cdef class Shape:
    """Spells messages of one type.

    Args:
        fields: (number, kind) of each field that is ever spelled, by number: at most 16.

    Raises:
        ValueError: the fields are not those of a shape.
    """

    cdef Field fields[FIELDS_MAX]
    cdef Py_ssize_t count

    def __init__(self, tuple fields not None):
        cdef int64_t number, kind, last = 0
        self.count = 0
        if len(fields) > FIELDS_MAX:
            raise ValueError(f"a shape has at most {FIELDS_MAX} fields")
        for number, kind in fields:
            if not last < number < 1 << 29 or not 0 <= kind <= <int64_t> MESSAGES:
                raise ValueError("fields stand by number, each of a kind")
            self.fields[self.count] = Field(
                <uint64_t> number << 3 | (0 if kind <= ZIGZAG else 2), <Kind> kind
            )
            self.count += 1
            last = number

    def one(self, *values):
        """Spell a message.

        Args:
            values: one for each field, in their order.

        Raises:
            TypeError: a value is not of its field's kind, or one is missing.
            OverflowError: an integer does not fit 64 bits.
        """
        cdef Part parts[FIELDS_MAX]
        cdef Py_ssize_t n, size = 0
        if len(values) != self.count:
            raise TypeError(f"a message of this shape has {self.count} values")
        for n in range(self.count):
            if self.fields[n].kind >= TEXTS:
                parts[n].first, parts[n].count = 0, len(<list?> values[n])
                size += _measure_all(&self.fields[n], values[n], &parts[n])
            else:
                size += _measure(&self.fields[n], values[n], &parts[n])
        return self._spelled(values, parts, size)

    def rows(self, *columns):
        """Spell many messages.

        Args:
            columns: one for each field, in their order, with a value for each message; of a
                repeated field (how many values each message has, all of them in one row).

        Raises:
            TypeError: a value is not of its field's kind, or a column is missing.
            ValueError: columns do not go together.
            OverflowError: an integer does not fit 64 bits.
        """
        cdef Part parts[FIELDS_MAX]
        cdef list singles = [], many = [], found = []
        cdef tuple repeated
        cdef Py_ssize_t n, row, rows_count
        if len(columns) != self.count:
            raise TypeError(f"a message of this shape has {self.count} columns")
        for n in range(self.count):
            parts[n].first = parts[n].count = 0
            if self.fields[n].kind >= TEXTS:
                counts, values = columns[n]
                singles.append(as_list(counts))
                many.append(as_list(values))
            else:
                singles.append(as_list(columns[n]))
                many.append(None)
        repeated = tuple(many)
        rows_count = len(<list> singles[0]) if self.count else 0
        for n in range(self.count):
            if len(<list> singles[n]) != rows_count:
                raise ValueError("columns are not of one length")
        for row in range(rows_count):
            found.append(self._row(singles, repeated, parts, row))
        for n in range(self.count):
            if self.fields[n].kind >= TEXTS:
                if parts[n].first + parts[n].count != len(<list> repeated[n]):
                    raise ValueError("a repeated field has more values than its messages")
        return found

    cdef bytes _row(self, list singles, tuple repeated, Part *parts, Py_ssize_t row):
        """Spell the message of one row; its repeated values follow those of the row before."""
        cdef Py_ssize_t n, size = 0
        cdef object value
        for n in range(self.count):
            value = (<list> singles[n])[row]
            if self.fields[n].kind < TEXTS:
                size += _measure(&self.fields[n], value, &parts[n])
                continue
            parts[n].first += parts[n].count
            parts[n].count = _int_of(value)
            if not 0 <= parts[n].count <= len(<list> repeated[n]) - parts[n].first:
                raise ValueError("a repeated field has fewer values than its messages")
            size += _measure_all(&self.fields[n], repeated[n], &parts[n])
        return self._spelled(repeated, parts, size)

    cdef bytes _spelled(self, tuple values, const Part *parts, Py_ssize_t size):
        """Write what was measured; of the values only those of repeated fields are read."""
        cdef bytes message = PyBytes_FromStringAndSize(NULL, size)
        cdef unsigned char *start = <unsigned char *> PyBytes_AS_STRING(message)
        cdef unsigned char *at = start
        cdef Py_ssize_t n
        for n in range(self.count):
            if not parts[n].is_left_out:
                at = _write(&self.fields[n], values[n], &parts[n], at)
        assert at == start + size, "a message is as long as it was measured"
        return message


# --- what a field takes -----------------------------------------------------------------------

cdef Py_ssize_t _measure(const Field *field, object value, Part *part) except -1:
    """How many bytes a field takes with its tag; none at its default."""
    part.is_left_out = False
    if field.kind <= ZIGZAG:
        _read_number(field, value, part)
    elif field.kind == TEXT:
        part.octets = PyUnicode_AsUTF8AndSize(<str?> value, &part.size)
        part.is_left_out = not part.size
    else:
        part.is_left_out = value is None
        if not part.is_left_out:
            part.octets, part.size = PyBytes_AS_STRING(<bytes?> value), len(<bytes> value)
            part.is_left_out = field.kind == OCTETS and not part.size
    if part.is_left_out:
        return 0
    if field.kind <= ZIGZAG:
        return _varint_size(field.tag) + _varint_size(part.number)
    return _varint_size(field.tag) + _varint_size(<uint64_t> part.size) + part.size


cdef int64_t _int_of(object value) except? -1:
    """Only what is an int already: turning another value into one could run foreign code."""
    if not isinstance(value, int):
        raise TypeError(f"{type(value).__name__} is no integer")
    return PyLong_AsLongLong(value)


cdef int _read_number(const Field *field, object value, Part *part) except -1:
    cdef int64_t number = _int_of(value)
    part.number = <uint64_t> number
    if field.kind == ZIGZAG and number < 0:
        part.number = <uint64_t> -(number + 1) * 2 + 1
    elif field.kind == ZIGZAG:
        part.number *= 2
    part.is_left_out = not number
    return 0


cdef Py_ssize_t _measure_all(const Field *field, list values, Part *part) except -1:
    """How many bytes the values of a repeated field take."""
    cdef Py_ssize_t n, size, total = 0
    part.is_left_out = False
    for n in range(part.first, part.first + part.count):
        if field.kind == TEXTS:
            PyUnicode_AsUTF8AndSize(<str?> values[n], &size)
        else:
            size = len(<bytes?> values[n])
        total += _varint_size(field.tag) + _varint_size(<uint64_t> size) + size
    return total


cdef Py_ssize_t _varint_size(uint64_t number) noexcept:
    cdef Py_ssize_t size = 1
    while number > 0x7F:
        number >>= 7
        size += 1
    return size


# --- what is written --------------------------------------------------------------------------

cdef unsigned char *_write(
    const Field *field, object values, const Part *part, unsigned char *at
) except NULL:
    cdef const char *octets
    cdef Py_ssize_t n, size
    if field.kind <= ZIGZAG:
        return _write_varint(_write_varint(at, field.tag), part.number)
    if field.kind < TEXTS:
        return _write_octets(field, part.octets, part.size, at)
    for n in range(part.first, part.first + part.count):
        value = (<list> values)[n]
        if field.kind == TEXTS:
            octets = PyUnicode_AsUTF8AndSize(value, &size)
        else:
            octets, size = PyBytes_AS_STRING(value), len(<bytes> value)
        at = _write_octets(field, octets, size, at)
    return at


cdef unsigned char *_write_octets(
    const Field *field, const char *octets, Py_ssize_t size, unsigned char *at
) noexcept:
    at = _write_varint(_write_varint(at, field.tag), <uint64_t> size)
    memcpy(at, octets, <size_t> size)
    return at + size


cdef unsigned char *_write_varint(unsigned char *at, uint64_t number) noexcept:
    """Seven bits a byte, the lowest first; all but the last have the eighth bit set."""
    while number > 0x7F:
        at[0] = <unsigned char> (number & 0x7F | 0x80)
        number >>= 7
        at += 1
    at[0] = <unsigned char> number
    return at + 1
