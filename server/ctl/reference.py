"""How an operator names a customer, and how amounts are shown."""

from typing import Annotated

import typer

from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import receipt_pb2
from server.ctl.say import CtlError

Chain = Annotated[str, typer.Option(help="chain", show_default=False)]
Customer = Annotated[str, typer.Option(help="the chain's number of the customer")]
Identifier = Annotated[str, typer.Option(help="or an identifier: card:4000123, phone:+7916...")]

KINDS = {
    "card": receipt_pb2.IDENTIFIER_KIND_CARD,
    "phone": receipt_pb2.IDENTIFIER_KIND_PHONE,
    "qr_token": receipt_pb2.IDENTIFIER_KIND_QR_TOKEN,
    "email": receipt_pb2.IDENTIFIER_KIND_EMAIL,
    "app": receipt_pb2.IDENTIFIER_KIND_APP,
}


def reference(customer: str, identifier: str) -> cs.CustomerReference:
    """Name a customer by number or identifier.

    Raises:
        CtlError: neither or both are given, or the identifier has no kind.
    """
    if bool(customer) == bool(identifier):
        raise CtlError("name the customer either by --customer or by --identifier")
    return (
        reference_of(identifier) if identifier else cs.CustomerReference(customer_number=customer)
    )


def reference_of(text: str) -> cs.CustomerReference:
    """Read `kind:value` as an identifier, and anything else as a customer's number.

    Raises:
        CtlError: the kind is not known.
    """
    kind, colon, value = text.partition(":")
    if not colon:
        return cs.CustomerReference(customer_number=text)
    if kind not in KINDS:
        raise CtlError(f"{kind!r} is no kind of identifier", f"known: {', '.join(KINDS)}")
    return cs.CustomerReference(identifier=receipt_pb2.Identifier(kind=KINDS[kind], value=value))


def show_amount(amount_minor: int, decimals: int = 0) -> str:
    """Spell an amount with its decimals and groups of three."""
    whole, part = divmod(abs(amount_minor), 10**decimals)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")
