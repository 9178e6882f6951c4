"""The answer, from the domain to protobuf, with its texts.

It is spelled without the stubs, a message in one step (`server.codec.shape`).
"""

from collections.abc import Sequence

from loyalty.v1 import answer_pb2 as pb
from rewards.benefit import Message
from rewards.best import LaneProof
from rewards.prompts import Prompt
from rewards.ruleset import CompiledLink
from server.codec.asked import Asked
from server.codec.line_pb import spell_lines
from server.codec.offer_pb import spell_coupons, spell_hints
from server.codec.reward_pb import spell_rewards
from server.codec.set_status import spell_extra_status
from server.codec.shape import shape_of
from server.codec.spend_pb import spell_spend_texts, spell_spendable, spell_spent, spent_off_minor
from server.codec.text_pb import cashier_text, message_text, said_of_state, slip_headline
from server.codec.trace_pb import spell_trace
from server.texts import Speaker, pick

_CHECKS = {
    "text": pb.ANSWER_CHECK_TEXT,
    "phone": pb.ANSWER_CHECK_PHONE,
    "email": pb.ANSWER_CHECK_EMAIL,
    "date": pb.ANSWER_CHECK_DATE,
    "choice": pb.ANSWER_CHECK_CHOICE,
    "yes_no": pb.ANSWER_CHECK_YES_NO,
}
# A message is its fields one behind the other: what is asked is the same whatever the id.
_PROMPT_ID = shape_of(pb.Prompt, "id").one
_QUESTION = shape_of(pb.Prompt, "field_code", "reason", "check", "choices", "text").one
_PROMPT_SET = shape_of(pb.PromptSet, "status", "prompts").one
_ITEM = shape_of(pb.CrossSellItem, "id", "link_id", "sku", "name", "because_line_id", "text").one
_ITEM_SET = shape_of(pb.CrossSellSet, "status", "items").one
_PROOF = shape_of(pb.LaneProof, "lane", "optimal", "bound_minor", "steps").one
_ANSWER = shape_of(
    pb.Answer,
    "lines",
    "rewards",
    "prompts",
    "cross_sell",
    "texts",
    "trace",
    "ruleset_version",
    "evaluated_at_us",
    "earning_estimated",
    "customer_state",
    "lane_proofs",
    "coupons",
    "hints",
    "spendable",
    "spent",
    "gift_cards",
).one
_GIFT_CARD = shape_of(
    pb.GiftCardState,
    "gift_card_id",
    "available_minor",
    "expires_at_us",
    "held_by_others_minor",
    "held_minor",
    "held_until_us",
).one

# Second part of an id: what it stands for. The first part is the basket or receipt.
_ID_PROMPT, _ID_ITEM = b"P", b"X"


def spell_answer(asked: Asked) -> bytes:
    """Spell an `Answer`: the four sets, texts and trace."""
    sale, facts, proofs = asked.sale, asked.facts, asked.decision.evaluation.proofs
    lines, saved_minor = spell_lines(asked)
    rewards, earned_texts = spell_rewards(asked)
    return _ANSWER(
        lines,
        rewards,
        _spell_prompts(asked),
        _spell_items(asked),
        _spell_texts(asked, saved_minor) + earned_texts,
        spell_trace(asked),
        asked.ruleset_version,
        asked.evaluated_at_us,
        not sale.tenders,
        facts.customer.state,
        _spell_proofs(proofs) if proofs else [],
        spell_coupons(asked) if sale.header.coupon_codes else [],
        spell_hints(asked) if asked.hints else [],
        spell_spendable(asked) if asked.spend.is_offered else [],
        spell_spent(asked) if facts.spends else [],
        _spell_gift_cards(asked) if facts.gift_cards else [],
    )


def _spell_gift_cards(asked: Asked) -> list[bytes]:
    found = []
    for card in asked.facts.gift_cards:
        hold = asked.spend.held_cards.get(card.account_id)
        held_minor, held_until_us = (hold.amount_minor, hold.expires_at_us) if hold else (0, 0)
        found.append(
            _GIFT_CARD(
                card.code,
                card.left_minor,
                card.expires_at_us,
                card.held_minor,
                held_minor,
                held_until_us,
            )
        )
    return found


def _spell_proofs(proofs: Sequence[LaneProof]) -> list[bytes]:
    return [_PROOF(proof.lane, proof.optimal, proof.gap_minor, proof.steps) for proof in proofs]


def _spell_prompts(asked: Asked) -> bytes:
    decided, cashier = asked.decision.prompts, asked.voice.cashier
    status = spell_extra_status(asked.skipped.prompts, decided)
    first, questions, prompts = asked.id_base + _ID_PROMPT, cashier.questions, []
    for prompt in decided or ():
        tag = prompt.compiled.tag
        question = questions.get((tag, prompt.reason)) or _spell_question(prompt, cashier)
        prompts.append(_PROMPT_ID(first + tag) + question)
    return _PROMPT_SET(status, prompts)


def _spell_question(prompt: Prompt, cashier: Speaker) -> bytes:
    """Spell all of a prompt but its id, and keep it."""
    compiled, field = prompt.compiled, prompt.compiled.field
    check, text = _CHECKS[field.check], pick(compiled.texts, cashier.language_code)
    question = _QUESTION(field.field_code, prompt.reason, check, list(field.choices), text)
    cashier.questions[compiled.tag, prompt.reason] = question
    return question


def _spell_items(asked: Asked) -> bytes:
    decided, cashier = asked.decision.items, asked.voice.cashier
    offers = cashier.offers
    status = spell_extra_status(asked.skipped.items, decided)
    first, items = asked.id_base + _ID_ITEM, []
    products, lines = asked.catalogue.products, asked.sale.lines
    for item in decided or ():
        link, sku = item.link, item.sku
        name = products[sku].name
        template = offers.get(link.tag) or _offer_of(link, cashier)
        items.append(
            _ITEM(
                first + link.tag + sku.encode(),
                link.link.link_id,
                sku,
                name,
                lines[item.position].line_id,
                template.format_map({"product": name}),
            )
        )
    return _ITEM_SET(status, items)


def _offer_of(link: CompiledLink, cashier: Speaker) -> str:
    """The template that offers what a link shows; kept."""
    template = cashier.offers[link.tag] = pick(link.texts, cashier.language_code)
    return template


def _spell_texts(asked: Asked, saved_minor: int) -> list[bytes]:
    """Spell what the cashier and the display show, what the slip says was saved, what is spent."""
    voice, facts, texts = asked.voice, asked.facts, []
    said = said_of_state(asked.program, facts.customer.state)
    if said:
        texts.append(cashier_text(voice.cashier.say(said)))
    for number, place in asked.decision.evaluation.messages:
        texts.append(_spell_message(asked, number, place))
    if facts.spends:
        saved_minor -= spent_off_minor(asked)
    if saved_minor:
        amount = {"amount": voice.slip.money(saved_minor)}
        texts.append(slip_headline(voice.slip.templates["slip_saved"].format_map(amount)))
    return texts + spell_spend_texts(asked)


def _spell_message(asked: Asked, number: int, place: int) -> bytes:
    """Spell what a promotion says where it belongs; a question must be acknowledged."""
    message = asked.program.promotions[number].gives[place]
    assert isinstance(message, Message)
    to_cashier = message.place == "cashier"
    speaker = asked.voice.cashier if to_cashier else asked.voice.slip
    words = {text.language_code: text.text for text in message.texts}
    return message_text(message.place, pick(words, speaker.language_code), message.is_question)
