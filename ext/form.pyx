"""Reads messages of the protobuf wire format into values, a message in one step.

A `Form` knows the fields of a message with their kinds and bounds, and nothing of what they mean.
It reads only what is whole and within its bounds, and gives up on everything else: an unknown
field, another wire type, a value out of its bounds, a message given in two parts. Whoever calls it
then reads the message with the generated stubs, which are its reference twin, and says what is
wrong. So a form may be stricter than the stubs, never laxer. Source: protobuf.dev, "Encoding".
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject_CallObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr

cdef enum:
    FIELDS_MAX = 32
    NUMBERS_MAX = 64
    VALUE_BYTES = 10
    # Stubs take no more for a tag or length, however small its number is.
    SHORT_BYTES = 5
    NUMBER_BITS = 29
    WIRE_VARINT = 0
    WIRE_FIXED_64 = 1
    WIRE_OCTETS = 2
    WIRE_FIXED_32 = 5

cdef enum Kind:
    NUMBER    # an integer or enum, as a signed one of 64 bits
    ZIGZAG    # an integer, as sint64
    FLAG      # a bool
    TEXT      # a str without NUL; bounds are characters
    OCTETS    # bytes; bounds are their count
    RAW       # a message as its bytes; bounds are their count
    MESSAGE   # a message of another form; with least 1 it must be there
    TEXTS     # a tuple of str of 1 to `each_most` characters; bounds are their count
    MESSAGES  # a tuple of messages of another form; bounds are their count

ctypedef const unsigned char *Place

cdef struct Field:
    Kind kind
    int64_t least
    int64_t most
    int64_t each_most


def split(bytes message not None, Py_ssize_t most):
    """Split a message into its fields, as they stand, without knowing them.

    Args:
        message: whatever was sent.
        most: fields beyond one more than so many are not looked at.

    Returns:
        (number, value) of each field: an int of 64 bits without sign, or bytes; those of a fixed
        width are left out. None if the message is not whole, or has groups.
    """
    cdef Place at = <Place> PyBytes_AS_STRING(message)
    cdef Place end = at + len(message)
    cdef uint64_t tag, number, wire
    cdef int most_bytes
    cdef list found = []
    while at < end and len(found) <= most:
        at = _varint(at, end, SHORT_BYTES, &tag)
        if at == NULL or not 0 < tag >> 3 < 1 << NUMBER_BITS:
            return None
        wire = tag & 7
        if wire == WIRE_FIXED_32 or wire == WIRE_FIXED_64:
            number = 4 if wire == WIRE_FIXED_32 else 8
            if number > <uint64_t> (end - at):
                return None
            at += number
            continue
        most_bytes = VALUE_BYTES if wire == WIRE_VARINT else SHORT_BYTES
        at = _varint(at, end, most_bytes, &number)
        if at == NULL:
            return None
        if wire == WIRE_VARINT:
            found.append((tag >> 3, number))
        elif wire == WIRE_OCTETS and number <= <uint64_t> (end - at):
            found.append((tag >> 3, PyBytes_FromStringAndSize(<char *> at, <Py_ssize_t> number)))
            at += number
        else:
            return None
    return found


cdef class Form:
    """Reads messages of one type.

    Args:
        fields: (number, kind, least, most, most characters of each text, form of each message) of
            each field, in the order of the values; at most 32, numbers 1 to 63.
        make: called with the values, gives what the message is read as; None is their tuple.
        tail: from which value on they are gathered into one tuple, the last value: empty where
            none of them was sent, the first alone where only it was, else all. -1 is none.
        absent: what stands for a message of this form that was not sent.

    Raises:
        ValueError: the fields are not those of a form.
    """

    cdef Field fields[FIELDS_MAX]
    cdef signed char places[NUMBERS_MAX]
    cdef list forms, blank
    cdef uint64_t required, repeated
    cdef Py_ssize_t count, tail
    cdef object make
    cdef readonly object absent

    def __init__(self, tuple fields not None, make=None, Py_ssize_t tail=-1, absent=None):
        cdef int64_t number, kind, least, most, each_most
        if len(fields) > FIELDS_MAX or tail >= len(fields):
            raise ValueError(f"a form has at most {FIELDS_MAX} fields, a tail begins at one")
        self.make, self.tail, self.absent = make, tail, absent
        self.forms, self.blank = [], []
        self.count = 0
        self.required = self.repeated = 0
        for number in range(NUMBERS_MAX):
            self.places[number] = -1
        for number, kind, least, most, each_most, form in fields:
            if not 0 < number < NUMBERS_MAX or self.places[number] >= 0:
                raise ValueError("field numbers are 1 to 63, each once")
            if not 0 <= kind <= <int64_t> MESSAGES or (kind in (MESSAGE, MESSAGES)) != (
                isinstance(form, Form)
            ):
                raise ValueError("a field is of a kind, messages of a form")
            self.places[number] = <signed char> self.count
            self.fields[self.count] = Field(<Kind> kind, least, most, each_most)
            if not least <= 0 <= most:
                self.required |= _bit(self.count)
            if kind >= TEXTS:
                self.repeated |= _bit(self.count)
            self.forms.append(form)
            self.blank.append(_blank(<Kind> kind, form))
            self.count += 1

    def read(self, bytes message not None):
        """Read a message.

        Args:
            message: whatever was sent.

        Returns:
            What `make` gives; None if the form gives up.
        """
        cdef Place at = <Place> PyBytes_AS_STRING(message)
        return self._read(at, at + len(message))

    cdef object _read(self, Place at, Place end):
        cdef list values = self.blank.copy()
        cdef uint64_t seen = 0, sent = 0, tag, number, wire
        cdef Py_ssize_t place
        cdef int most_bytes
        cdef Field *field
        while at < end:
            at = _varint(at, end, SHORT_BYTES, &tag)
            if at == NULL or tag >> 3 >= NUMBERS_MAX:
                return None
            place = self.places[tag >> 3]
            if place < 0:
                return None
            field = &self.fields[place]
            if field.kind <= FLAG:
                wire, most_bytes = WIRE_VARINT, VALUE_BYTES
            else:
                wire, most_bytes = WIRE_OCTETS, SHORT_BYTES
            at = _varint(at, end, most_bytes, &number)
            if at == NULL or tag & 7 != wire:
                return None
            if field.kind <= FLAG:
                value = _number(field, number)
            elif number > <uint64_t> (end - at):
                return None
            else:
                if field.kind >= RAW and not self.repeated & _bit(place) and (
                    seen & _bit(place)
                ):
                    return None
                value = self._octets(place, at, at + number)
                at += number
            if value is None:
                return None
            if not self.repeated & _bit(place):
                values[place] = value
                sent = sent | _bit(place) if value else sent & ~_bit(place)
            elif seen & _bit(place):
                (<list> values[place]).append(value)
            else:
                values[place] = [value]
            seen |= _bit(place)
        if self.required & ~seen or not self._close(values, seen):
            return None
        return self._made(values, sent | seen & self.repeated)

    cdef object _octets(self, Py_ssize_t place, Place at, Place end):
        """A text, bytes or message of a field; None if it is not within the bounds."""
        cdef Field *field = &self.fields[place]
        if field.kind == TEXT:
            return _text(at, end, field.least, field.most)
        if field.kind == TEXTS:
            return _text(at, end, 1, field.each_most)
        if field.kind == OCTETS or field.kind == RAW:
            if not field.least <= end - at <= field.most:
                return None
            return PyBytes_FromStringAndSize(<char *> at, end - at)
        return (<Form> self.forms[place])._read(at, end)

    cdef bint _close(self, list values, uint64_t seen):
        """Make tuples of what is repeated; whether there is as much of it as may be."""
        cdef Py_ssize_t place
        for place in range(self.count):
            if self.repeated & seen & _bit(place):
                if not self.fields[place].least <= len(<list> values[place]) <= (
                    self.fields[place].most
                ):
                    return False
                values[place] = tuple(<list> values[place])
        return True

    cdef object _made(self, list values, uint64_t sent):
        cdef tuple found
        if self.tail >= 0:
            if not sent >> self.tail:
                found = (*values[:self.tail], ())
            elif not sent >> (self.tail + 1):
                found = (*values[:self.tail], (values[self.tail],))
            else:
                found = (*values[:self.tail], tuple(values[self.tail:]))
        else:
            found = tuple(values)
        return found if self.make is None else PyObject_CallObject(self.make, found)


cdef uint64_t _bit(Py_ssize_t place) noexcept:
    return <uint64_t> 1 << place


cdef object _blank(Kind kind, object form):
    """What stands for a field that was not sent."""
    if kind >= TEXTS:
        return ()
    if kind == MESSAGE:
        return (<Form> form).absent
    if kind == OCTETS or kind == RAW:
        return b""
    if kind == TEXT:
        return ""
    return False if kind == FLAG else 0


cdef object _number(const Field *field, uint64_t number):
    """The value of a number or flag; None if it is not within its bounds."""
    cdef int64_t value = <int64_t> number
    if field.kind == FLAG:
        return number != 0
    if field.kind == ZIGZAG:
        value = <int64_t> (number >> 1)
        if number & 1:
            value = -value - 1
    return value if field.least <= value <= field.most else None


cdef object _text(Place at, Place end, int64_t least, int64_t most):
    """A text; None if it is no UTF-8, holds NUL, or is not of so many characters."""
    # No character takes more than four bytes: longer ones need not be read to be known.
    if end - at < least or end - at > 4 * most or memchr(at, 0, <size_t> (end - at)) != NULL:
        return None
    try:
        text = PyUnicode_DecodeUTF8(<char *> at, end - at, NULL)
    except UnicodeDecodeError:
        return None
    return text if least <= len(<str> text) <= most else None


cdef inline Place _varint(Place at, Place end, int most_bytes, uint64_t *number) noexcept:
    """Read a varint; NULL if it is not whole, or has more than 64 bits or so many bytes."""
    # Nearly all have one byte.
    if at < end and at[0] < 0x80:
        number[0] = at[0]
        return at + 1
    return _long_varint(at, end, most_bytes, number)


cdef Place _long_varint(Place at, Place end, int most_bytes, uint64_t *number) noexcept:
    cdef int shift = 0, read
    cdef uint64_t found = 0, byte
    for read in range(1, most_bytes + 1):
        if at == end:
            return NULL
        byte = at[0]
        at += 1
        # The tenth byte has room for one bit.
        if read == VALUE_BYTES and byte > 1:
            return NULL
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            number[0] = found
            return at
        shift += 7
    return NULL
