"""Coupons as they are imported, from protobuf, checked before any work."""

from typing import NamedTuple

from loyalty.v1 import back_office_service_pb2 as pb
from rewards import limits
from rewards.instrument import spelled
from server.codec import check
from server.codec.back_office_pb import code_of

COUPONS_MAX = 1_000
EXPIRES_AT_US_MAX = 4_102_444_800_000_000


class ImportedCoupon(NamedTuple):
    """A coupon as sent; its code as it is hashed, `expires_at_us` 0 is without end."""

    code: str
    expires_at_us: int


def coupons_from_pb(request: pb.ImportCouponsRequest) -> tuple[str, str, list[ImportedCoupon]]:
    """Read the chain, the series and the coupons of an import.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    series_code = code_of(request.series_code, "series_code")
    check.count_of(len(request.coupons), "coupons", COUPONS_MAX, least=1)
    coupons = [_coupon(coupon, f"coupons[{n}]") for n, coupon in enumerate(request.coupons)]
    seen: dict[str, int] = {}
    for n, coupon in enumerate(coupons):
        first = seen.setdefault(coupon.code, n)
        if first != n:
            check.refuse_inconsistent(f"coupons[{n}].code", f"is also at coupons[{first}]")
    return chain_id, series_code, coupons


def _coupon(coupon: pb.ImportedCoupon, path: str) -> ImportedCoupon:
    code = check.text_of(coupon.code, f"{path}.code", limits.TEXT_CODE_MAX)
    ends = check.number_of(coupon.expires_at_us, f"{path}.expires_at_us", 0, EXPIRES_AT_US_MAX)
    if not spelled(code):
        check.refuse_inconsistent(f"{path}.code", "holds nothing but blanks")
    return ImportedCoupon(spelled(code), ends)
