"""Prices of a list as they are imported, from protobuf, checked before any work."""

from typing import NamedTuple

from loyalty.v1 import back_office_service_pb2 as pb
from rewards import limits
from rewards.list_price import Scope
from rewards.refusal import Reason, Refusal
from rewards.sale import Unit
from server.codec import check
from server.codec.back_office_pb import code_of

PRICES_MAX = 10_000
ANY_UNIT = 0
UNITS = {"": ANY_UNIT, **{unit.name.lower(): unit.value for unit in Unit}}
"""Units by the names that imports use."""
_SCOPES = {
    "zone": Scope.ZONE,
    "segment": Scope.SEGMENT,
    "customer_number": Scope.CUSTOMER,
}


class ImportedPrice(NamedTuple):
    """A price as sent; `price_minor` None removes it, `scope_name` is as its source names it."""

    list_code: str
    sku: str
    scope: Scope
    scope_name: str
    unit: int
    price_minor: int | None


def prices_from_pb(request: pb.ImportPricesRequest) -> tuple[str, list[ImportedPrice]]:
    """Read the chain and the prices of an import.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    list_code = code_of(request.list_code, "list_code")
    check.count_of(len(request.prices), "prices", PRICES_MAX, least=1)
    prices = [_price(price, list_code, f"prices[{n}]") for n, price in enumerate(request.prices)]
    return chain_id, prices


def _price(price: pb.ListedPrice, list_code: str, path: str) -> ImportedPrice:
    scope, scope_name = _scope(price, path)
    sku = check.text_of(price.sku, f"{path}.sku")
    if price.removed:
        if price.price_minor or price.unit:
            check.refuse_inconsistent(f"{path}.removed", "goes with no price_minor and no unit")
        return ImportedPrice(list_code, sku, scope, scope_name, ANY_UNIT, None)
    price_path = f"{path}.price_minor"
    price_minor = check.number_of(price.price_minor, price_path, 0, limits.AMOUNT_MINOR_MAX)
    unit = _unit(price.unit, f"{path}.unit")
    return ImportedPrice(list_code, sku, scope, scope_name, unit, price_minor)


def _scope(price: pb.ListedPrice, path: str) -> tuple[Scope, str]:
    field = price.WhichOneof("scope")
    if field is None:
        return Scope.EVERYBODY, ""
    return _SCOPES[field], check.text_of(getattr(price, field), f"{path}.{field}")


def _unit(name: str, path: str) -> int:
    if name not in UNITS:
        text = f"not one of: {', '.join(filter(None, UNITS))}"
        raise Refusal(Reason.UNKNOWN_ENUM_VALUE, f"{path}: {text}", fields=((path, text),))
    return UNITS[name]
