"""How versions of the ruleset are stored: packed, to a tenth and less of their size.

What is stored and read passes the event loop in one piece, at about a millisecond a megabyte; ten
thousand promotions have eight megabytes of content. Packing and unpacking is for other threads and
processes (zlib lets the interpreter go meanwhile).
"""

import zlib

_MARK = b"zlib\x00"
"""Neither content nor a compiled form begins so."""
_LEVEL = 1


def pack(body: bytes) -> bytes:
    """Pack bytes."""
    return _MARK + zlib.compress(body, _LEVEL)


def unpack(stored: bytes) -> bytes:
    """Give back what was packed; what never was is given back as it is."""
    if not stored.startswith(_MARK):
        return stored
    return zlib.decompress(memoryview(stored)[len(_MARK) :])
