"""Spending in an answer: what may be spent, what is, and the words for it."""

from loyalty.v1 import answer_pb2 as pb
from rewards.facts import Spent
from rewards.runs import LineOutcome
from rewards.sale import Line
from rewards.spending import Offer
from server.codec.asked import Asked, SpendView
from server.codec.shape import shape_of
from server.codec.text_pb import cashier_text, slip_text
from server.texts import Speaker, wording_of

_SPENDABLE = shape_of(
    pb.Spendable,
    "asset_code",
    "spent_as",
    "usable_minor",
    "most_minor",
    "most_value_minor",
    "least_minor",
    "step_minor",
    "step_value_minor",
    "expiring_minor",
    "expires_at_us",
).one
_SPENT = shape_of(
    pb.Spent, "asset_code", "spent_as", "amount_minor", "value_minor", "held_until_us"
).one
_SPENT_PART = shape_of(
    pb.Adjustment, "kind", "amount_minor", "quantity_milli", "text", "asset_code"
).one
_SPENT_AS = {"discount": pb.SPENT_AS_DISCOUNT, "tender": pb.SPENT_AS_TENDER}


def spell_spendable(asked: Asked) -> list[bytes]:
    """Spell what may be spent, of a Quote that offers it."""
    view = asked.spend
    return [_spell_offer(view, offer) for offer in view.offers]


def _spell_offer(view: SpendView, offer: Offer) -> bytes:
    rule = offer.chosen.rule
    expiring_minor, expires_at_us = view.expiring.get(rule.asset_code, (0, 0))
    return _SPENDABLE(
        rule.asset_code,
        _SPENT_AS[rule.mode],
        offer.usable_minor,
        offer.most_minor,
        offer.most_value_minor,
        offer.least_minor,
        rule.step_minor,
        rule.value_minor,
        expiring_minor,
        expires_at_us,
    )


def spell_spent(asked: Asked) -> list[bytes]:
    """Spell what is spent."""
    return [
        _SPENT(
            spent.asset_code,
            _SPENT_AS["tender" if spent.is_tender else "discount"],
            spent.amount_minor,
            spent.value_minor,
            asked.spend.held_until.get(spent.asset_code, 0),
        )
        for spent in asked.facts.spends
    ]


def spell_spent_parts(line: Line, outcome: LineOutcome, asked: Asked) -> list[bytes]:
    """Spell what of a line the customer's assets pay, as adjustments."""
    amounts = {one.asset_code: one.amount_minor for one in asked.facts.spends}
    slip = asked.voice.slip
    return [
        _SPENT_PART(
            pb.ADJUSTMENT_KIND_SPENT,
            -minor,
            line.quantity_milli,
            _say(asked, slip, "spent", asset_code, amounts[asset_code]),
            asset_code,
        )
        for asset_code, minor in outcome.spent
    ]


def spent_off_minor(asked: Asked) -> int:
    """What the customer's own assets take off lines: they save nothing by it."""
    return sum([one.value_minor for one in asked.facts.spends if not one.is_tender])


def spell_spend_texts(asked: Asked) -> list[bytes]:
    """Spell to the cashier what may and will be spent; on the slip what is, and what expires."""
    voice, view = asked.voice, asked.spend
    if not (view.is_offered or view.expiring or asked.facts.spends):
        return []
    texts = _offered_texts(asked) if view.is_offered else []
    for spent in asked.facts.spends:
        if view.is_offered:
            texts.append(cashier_text(_spent(asked, voice.cashier, "cashier_spends", spent)))
        texts.append(slip_text(_spent(asked, voice.slip, "slip_spent", spent)))
    for asset_code, (minor, ends_us) in view.expiring.items():
        day = voice.slip.day(ends_us, voice.zone)
        text = _say(asked, voice.slip, "slip_expiring", asset_code, minor, day=day)
        texts.append(slip_text(text))
    return texts


def _offered_texts(asked: Asked) -> list[bytes]:
    spent_codes = {one.asset_code for one in asked.facts.spends}
    return [
        cashier_text(_offered(asked, offer))
        for offer in asked.spend.offers
        if offer.most_minor and offer.chosen.rule.asset_code not in spent_codes
    ]


def _offered(asked: Asked, offer: Offer) -> str:
    cashier, rule = asked.voice.cashier, offer.chosen.rule
    money = cashier.money(offer.most_value_minor)
    return _say(asked, cashier, "cashier_may_spend", rule.asset_code, offer.most_minor, money=money)


def _spent(asked: Asked, speaker: Speaker, text_code: str, spent: Spent) -> str:
    money = speaker.money(spent.value_minor)
    return _say(asked, speaker, text_code, spent.asset_code, spent.amount_minor, money=money)


def _say(
    asked: Asked,
    speaker: Speaker,
    text_code: str,
    asset_code: str,
    amount_minor: int,
    **figures: str,
) -> str:
    asset = asked.program.assets[asset_code]
    told = {"money": "", **speaker.owned(amount_minor, asset), **figures}
    return speaker.fill(f"{text_code}_{wording_of(asset)}", told)
