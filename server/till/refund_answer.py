"""What a till is told of a refund or a void: amounts, what moves by asset, and the texts of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import ExceptionEntry
from rewards.instrument import is_tier, noun_of, tier_of
from rewards.program import Asset
from rewards.ruleset import CompiledProgram
from rewards.settling import SettledAsset
from server.codec.shape import shape_of
from server.reference import StoreInfo
from server.texts import Speaker, wording_of
from server.till.context import voice_of
from server.till.goods_back import Returned
from server.till.original import Moved

_EXCEPTION = shape_of(pb.CheckoutException, "kind", "detail").one
_SLIP, _CASHIER = answer_pb2.TEXT_PLACE_SLIP, answer_pb2.TEXT_PLACE_CASHIER
_EMPHASIS = answer_pb2.TEXT_STYLE_EMPHASIS
_SAID = (
    ("given_minor", "slip_given_back"),
    ("taken_minor", "slip_taken_back"),
    ("owed_minor", "slip_owed"),
)


def fill_returned(response: pb.RefundResponse, store: StoreInfo, returned: Returned) -> None:
    """Say what comes of a refund.

    Args:
        response: with its key and instant.
        store: where the goods come back; its language is spoken.
        returned: as decided.
    """
    program = returned.original.rules.program
    _fill_amounts(response, returned)
    cashier, slip = _speakers(store, program)
    _say_money(response, cashier, slip)
    fill_moved(response, slip, program, returned.moved)


def spell_returns(store: StoreInfo, returned: Sequence[Returned]) -> list[bytes]:
    """Spell what comes of the RETURN lines of a sale or of an open receipt, an original each."""
    if not returned:
        return []
    return [_told_of_return(store, one).SerializeToString() for one in returned]


def _told_of_return(store: StoreInfo, returned: Returned) -> pb.RefundResponse:
    told = pb.RefundResponse(receipt_id=returned.original.key_id, decided_at_us=returned.now_us)
    _fill_amounts(told, returned)
    program = returned.original.rules.program
    _, slip = _speakers(store, program)
    _fill_assets(told, slip, program, returned.moved)
    return told


def _fill_amounts(response: pb.RefundResponse, returned: Returned) -> None:
    refund, part = returned.refund, returned.part
    if refund is not None:
        for line in refund.lines:
            response.lines.add(
                line_id=line.line_id,
                amount_minor=line.amount_minor,
                quantity_milli=line.quantity_milli,
            )
        response.amount_minor = part.money_minor
        response.by_points_minor = part.by_points_minor
        for code, amount_minor in returned.to_cards:
            response.gift_cards.add(gift_card_id=code, amount_minor=amount_minor)
            response.by_gift_cards_minor += amount_minor
        response.short_minor = refund.short_minor
        response.kept_back_minor = refund.printed_minor - refund.pay_back_minor
    fill_exceptions(response.exceptions, returned.exceptions)


def fill_unsettled(
    response: pb.RefundResponse,
    store: StoreInfo,
    program: CompiledProgram,
    lines: Iterable[tuple[str, int, int]],
    exceptions: Sequence[ExceptionEntry],
) -> None:
    """Say what comes of a refund of which nothing is posted.

    Args:
        response: with its key and instant.
        store: where the goods come back.
        program: whose texts are spoken.
        lines: (line_id, thousandths, minor units) that are paid back as the till says.
        exceptions: what could not be settled.
    """
    for line_id, quantity_milli, amount_minor in lines:
        response.lines.add(
            line_id=line_id, amount_minor=amount_minor, quantity_milli=quantity_milli
        )
        response.amount_minor += amount_minor
    fill_exceptions(response.exceptions, exceptions)
    _say_money(response, *_speakers(store, program))


def fill_moved(
    response: Any, slip: Speaker, program: CompiledProgram, moved: Sequence[Moved]
) -> None:
    """Say what moves by asset: the customer's balances, and what was settled on all accounts.

    Args:
        response: a RefundResponse or a VoidResponse.
        slip: who speaks on the slip.
        program: whose assets they are.
        moved: the accounts.
    """
    for one in moved:
        for change in () if one.touched.is_bearer else one.movement.balance_changes:
            before_minor = one.touched.balances.get(change.asset_code, 0)
            response.changes.add(
                asset_code=change.asset_code,
                amount_minor=change.amount_minor,
                balance_minor=before_minor + change.amount_minor,
            )
    _fill_assets(response, slip, program, moved)


def _fill_assets(
    response: Any, slip: Speaker, program: CompiledProgram, moved: Sequence[Moved]
) -> None:
    sums: dict[str, dict[str, int]] = {}
    for asset in (asset for one in moved for asset in one.settled.assets):
        found = sums.setdefault(asset.asset_code, {})
        for name in ("given_minor", "taken_minor", "owed_minor", "waived_minor"):
            found[name] = found.get(name, 0) + getattr(asset, name)
    for asset_code in sorted(sums):
        settled = SettledAsset(asset_code, **sums[asset_code])
        response.assets.add(
            asset_code=asset_code,
            given_back_minor=settled.given_minor,
            taken_back_minor=settled.taken_minor,
            owed_minor=settled.owed_minor,
            waived_minor=settled.waived_minor,
        )
        _say_asset(response, slip, program, settled)


def _say_asset(
    response: Any, slip: Speaker, program: CompiledProgram, settled: SettledAsset
) -> None:
    for name, text_code in _SAID:
        minor = getattr(settled, name)
        if not minor:
            continue
        asset = program.assets.get(settled.asset_code)
        if asset is None:
            text = _counted_said(slip, text_code, minor, settled.asset_code)
        else:
            text = _amount_said(slip, text_code, minor, asset)
        response.texts.add(place=_SLIP, style=_EMPHASIS, text=text)


def _counted_said(slip: Speaker, text_code: str, minor: int, asset_code: str) -> str:
    """Of what is no asset of the program: a tier, or a number of coupons, prizes or entries."""
    if is_tier(asset_code):
        return slip.say(f"{text_code}_status", tier=tier_of(asset_code))
    return slip.say(f"{text_code}_coupon", count=slip.counted(noun_of(asset_code), minor))


def _amount_said(slip: Speaker, text_code: str, minor: int, asset: Asset) -> str:
    amount, name = slip.amount(minor, asset), slip.asset(minor, asset)
    # Money of a card is written as a discount is, and spoken of as what it is. It is never owed.
    words = "gift_money" if asset.kind == "gift_money" else wording_of(asset)
    return slip.say(f"{text_code}_{words}", amount=amount, asset=name)


def _say_money(response: pb.RefundResponse, cashier: Speaker, slip: Speaker) -> None:
    amount = slip.money(response.amount_minor)
    response.texts.add(
        place=_CASHIER,
        style=_EMPHASIS,
        text=cashier.say("cashier_pay_back", amount=cashier.money(response.amount_minor)),
    )
    response.texts.add(place=_SLIP, style=_EMPHASIS, text=slip.say("slip_paid_back", amount=amount))
    if response.kept_back_minor > 0:
        kept = slip.money(response.kept_back_minor)
        text = slip.say("slip_kept_back", amount=kept)
        response.texts.add(place=_SLIP, style=_EMPHASIS, text=text)


def _speakers(store: StoreInfo, program: CompiledProgram) -> tuple[Speaker, Speaker]:
    voice = voice_of(store, program, store.record.language_code or program.language_code, "")
    return voice.cashier, voice.slip


def spell_exceptions(exceptions: Sequence[ExceptionEntry]) -> list[bytes]:
    """Spell what could not be settled, each a CheckoutException."""
    if not exceptions:
        return []
    return [_EXCEPTION(entry.kind, entry.detail) for entry in exceptions]


def fill_exceptions(told: Any, exceptions: Iterable[ExceptionEntry]) -> None:
    """Say what could not be settled: into a repeated field of CheckoutException."""
    for entry in exceptions:
        told.add(kind=pb.ExceptionKind.ValueType(entry.kind), detail=entry.detail)
