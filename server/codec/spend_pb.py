"""Spending in an answer: what may be spent, what is, and the words for it."""

from loyalty.v1 import answer_pb2 as pb
from rewards.facts import Spent
from rewards.runs import LineOutcome
from rewards.sale import Line
from rewards.spending import Offer
from server.codec.asked import Asked
from server.texts import Speaker, wording_of

_SPENT_AS = {"discount": pb.SPENT_AS_DISCOUNT, "tender": pb.SPENT_AS_TENDER}


def fill_spending(answer: pb.Answer, asked: Asked) -> None:
    """Write what may be spent, and what is."""
    view = asked.spend
    for offer in view.offers if view.is_offered else ():
        rule = offer.chosen.rule
        expiring_minor, expires_at_us = view.expiring.get(rule.asset_code, (0, 0))
        answer.spendable.add(
            asset_code=rule.asset_code,
            spent_as=_SPENT_AS[rule.mode],
            usable_minor=offer.usable_minor,
            most_minor=offer.most_minor,
            most_value_minor=offer.most_value_minor,
            least_minor=offer.least_minor,
            step_minor=rule.step_minor,
            step_value_minor=rule.value_minor,
            expiring_minor=expiring_minor,
            expires_at_us=expires_at_us,
        )
    for spent in asked.facts.spends:
        answer.spent.add(
            asset_code=spent.asset_code,
            spent_as=_SPENT_AS["tender" if spent.is_tender else "discount"],
            amount_minor=spent.amount_minor,
            value_minor=spent.value_minor,
            held_until_us=view.held_until.get(spent.asset_code, 0),
        )


def fill_spent_parts(result: pb.LineResult, outcome: LineOutcome, line: Line, asked: Asked) -> None:
    """Write what of a line the customer's assets pay, as adjustments."""
    amounts = {one.asset_code: one for one in asked.facts.spends}
    for asset_code, minor in outcome.spent:
        spent = amounts[asset_code]
        result.adjustments.add(
            kind=pb.ADJUSTMENT_KIND_SPENT,
            amount_minor=-minor,
            quantity_milli=line.quantity_milli,
            text=_say(asked, asked.voice.slip, "spent", spent.asset_code, spent.amount_minor),
            asset_code=asset_code,
        )


def spent_off_minor(asked: Asked) -> int:
    """What the customer's own assets take off lines: they save nothing by it."""
    return sum([one.value_minor for one in asked.facts.spends if not one.is_tender])


def fill_spend_texts(answer: pb.Answer, asked: Asked) -> None:
    """Write to the cashier what may and will be spent; on the slip what is, and what expires."""
    voice, view = asked.voice, asked.spend
    spent_codes = {one.asset_code for one in asked.facts.spends}
    for offer in view.offers if view.is_offered else ():
        if offer.most_minor and offer.chosen.rule.asset_code not in spent_codes:
            _put(answer, pb.TEXT_PLACE_CASHIER, _offered(asked, offer))
    for spent in asked.facts.spends:
        if view.is_offered:
            text = _spent(asked, voice.cashier, "cashier_spends", spent)
            _put(answer, pb.TEXT_PLACE_CASHIER, text)
        _put(answer, pb.TEXT_PLACE_SLIP, _spent(asked, voice.slip, "slip_spent", spent))
    for asset_code, (minor, ends_us) in view.expiring.items():
        day = voice.slip.day(ends_us, voice.zone)
        text = _say(asked, voice.slip, "slip_expiring", asset_code, minor, day=day)
        _put(answer, pb.TEXT_PLACE_SLIP, text)


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
    amount, name = speaker.amount(amount_minor, asset), speaker.asset(amount_minor, asset)
    figures = {"money": "", **figures}
    return speaker.say(f"{text_code}_{wording_of(asset)}", amount=amount, asset=name, **figures)


def _put(answer: pb.Answer, place: pb.TextPlace.ValueType, words: str) -> None:
    answer.texts.add(place=place, style=pb.TEXT_STYLE_NORMAL, text=words)
