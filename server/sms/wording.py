"""A message in words: what the customer got, in their language."""

from collections.abc import Callable, Sequence
from datetime import tzinfo

from rewards.commit import MessageFigure
from rewards.program import Asset
from server.texts import Speaker

CodesOf = Callable[[MessageFigure], Sequence[str]]
"""Gives the codes that go with a figure."""

_SPACES = str.maketrans("\u00a0\u202f\u2009", "   ")
"""Spaces that only UCS-2 has, which would double what an English message costs."""


def body_of(
    speaker: Speaker,
    template_code: str,
    figures: Sequence[MessageFigure],
    assets: dict[str, Asset],
    codes_of: CodesOf,
    sold_at_us: int,
    zone: tzinfo,
) -> str:
    """Say what a receipt gave.

    Args:
        speaker: of the customer's language.
        template_code: of the text that leads it.
        figures: what there is to tell, at least one.
        assets: of the program under which the figures were decided.
        codes_of: the codes that go with a figure.
        sold_at_us: the sale, UTC microseconds.
        zone: of the store.
    """
    rewards = [_reward(speaker, one, assets, codes_of(one), zone) for one in figures]
    day = speaker.day(sold_at_us, zone)
    return speaker.say(template_code, day=day, rewards="; ".join(rewards)).translate(_SPACES)


def _reward(
    speaker: Speaker,
    figure: MessageFigure,
    assets: dict[str, Asset],
    codes: Sequence[str],
    zone: tzinfo,
) -> str:
    said = speaker.fill(f"sms_{figure.kind}", _figures(speaker, figure, assets))
    if codes:
        said = speaker.say("sms_code", reward=said, codes=", ".join(codes))
    if figure.expires_at_us:
        said = speaker.say("sms_until", reward=said, day=speaker.day(figure.expires_at_us, zone))
    return said


def _figures(speaker: Speaker, figure: MessageFigure, assets: dict[str, Asset]) -> dict[str, str]:
    match figure.kind:
        case "points" | "deferred_discount":
            return speaker.owned(figure.amount_minor, assets[figure.asset_code])
        case "gift_certificate" | "money_transfer":
            return {"amount": speaker.money(figure.amount_minor)}
        case "status":
            return {"tier": figure.detail_code}
        case "draw_entry":
            return {"count": speaker.counted("entry", figure.amount_minor)}
    return {"count": speaker.counted(figure.kind, figure.amount_minor)}
