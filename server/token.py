"""The token of a Quote: what Checkout needs to give what the Quote showed, signed.

Form: version byte, key id (2 bytes), HMAC-SHA256 (32 bytes), msgpack of `QuoteToken`. The keys are
shared by all servers through the database; old ones are kept for checking.
"""

import hmac
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from rewards.limits import TOKEN_BYTES_MAX
from rewards.refusal import Reason, Refusal

TOKEN_VERSION = 1
_HEAD_BYTES = 3
_MAC_BYTES = 32
_ENCODER = msgspec.msgpack.Encoder()


class QuoteToken(Struct, frozen=True, array_like=True, gc=False):
    """What a token binds.

    Attributes:
        account_version: version of the customer's facts.
        hold_ids: holds of the basket.
        instant_us: the frozen clock, UTC microseconds.
        expires_at_us: 60 minutes after the basket's first Quote.
        lines: (line_id, thousandths, quoted minor units) of the lines that promotions changed.
        shown: (promotion, minor units of money) given out of limits over many receipts.
        spends: (asset code, minor units of it, whether nobody asked for it) of what is spent as a
            discount.
        bearers: accounts that coupons and gift cards open, on which the basket holds something.
        holds_budgets: the basket holds something of limits over many receipts.
    """

    basket_id: bytes
    chain_id: str
    store_id: str
    account_id: int
    account_version: int
    fingerprint: bytes
    hold_ids: tuple[bytes, ...]
    ruleset_version: int
    instant_us: int
    expires_at_us: int
    lines: tuple[tuple[str, int, int], ...]
    shown: tuple[tuple[str, int], ...] = ()
    spends: tuple[tuple[str, int, bool], ...] = ()
    bearers: tuple[int, ...] = ()
    holds_budgets: bool = False


_DECODER = msgspec.msgpack.Decoder(QuoteToken)


class TokenSigner:
    """Signs and checks tokens."""

    def __init__(self, secrets: Mapping[int, bytes]) -> None:
        """Take the keys by id; the highest id signs.

        Args:
            secrets: 1 or more keys of 32 bytes.
        """
        assert secrets, "a server needs a signing key"
        self._secrets = dict(secrets)
        self._current = max(secrets)

    def sign(self, token: QuoteToken) -> bytes:
        """Spell and sign a token."""
        head = bytes((TOKEN_VERSION,)) + self._current.to_bytes(2, "big")
        body = _ENCODER.encode(token)
        return head + self._mac(self._current, head, body) + body

    def check(self, signed: bytes) -> QuoteToken:
        """Read a token that this server or one beside it has signed.

        Raises:
            Refusal: TOKEN_INVALID: it is mangled or signed by somebody else.
        """
        head, mac = signed[:_HEAD_BYTES], signed[_HEAD_BYTES : _HEAD_BYTES + _MAC_BYTES]
        body = signed[_HEAD_BYTES + _MAC_BYTES :]
        key_id = int.from_bytes(head[1:], "big")
        known = len(signed) <= TOKEN_BYTES_MAX and head[:1] == bytes((TOKEN_VERSION,))
        if not known or key_id not in self._secrets:
            raise _invalid()
        if not hmac.compare_digest(mac, self._mac(key_id, head, body)):
            raise _invalid()
        return _DECODER.decode(body)

    def _mac(self, key_id: int, head: bytes, body: bytes) -> bytes:
        return hmac.digest(self._secrets[key_id], head + body, "sha256")


def _invalid() -> Refusal:
    text = "the token is mangled or was signed by somebody else"
    return Refusal(Reason.TOKEN_INVALID, text, fields=(("token", text),))
