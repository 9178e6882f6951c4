"""A message in words: every kind of reward, plural forms, and no space that doubles the cost."""

from zoneinfo import ZoneInfo

import pytest

from rewards.commit import MessageFigure
from rewards.sms_parts import sms_text
from server.sms.wording import body_of
from server.texts import Speaker
from tests import make

SOLD_US = 1_790_000_000_000_000  # 21 September 2026
ASSETS = {"points": make.POINTS, "next": make.NEXT_DISCOUNT}
MOSCOW = ZoneInfo("Europe/Moscow")
ENDS_US = SOLD_US + 30 * 86_400_000_000


def said(language: str, *figures: MessageFigure, currency: str = "EUR") -> str:
    speaker = Speaker(language, currency, {})
    codes = {7: ("ABCD", "EFGH")}
    return body_of(
        speaker,
        "sms_reward",
        figures,
        ASSETS,
        lambda one: codes.get(one.number, ()),
        SOLD_US,
        MOSCOW,
    )


@pytest.mark.parametrize(
    ("figure", "english", "russian"),
    [
        (MessageFigure("deferred_discount", "next", 5_000), "€50.00 off", "скидка 50,00 € на"),
        (MessageFigure("coupon", "coupon.s", 1), "1 coupon", "1 купон"),
        (MessageFigure("coupon", "coupon.s", 3), "3 coupons", "3 купона"),
        (MessageFigure("prize", "prize.p", 5), "5 prizes", "5 призов"),
        (MessageFigure("status", "tier.gold", 1, "gold"), "status gold", "статус «gold»"),
        (MessageFigure("draw_entry", "draw.car", 21), "21 entries to", "21 шанс в розыгрыше"),
        (MessageFigure("money_transfer", "", 700), "€7.00 to your account", "7,00 € на ваш счёт"),
        (
            MessageFigure("gift_certificate", "money", 100_000, "", ENDS_US, 7),
            "a gift certificate for €1,000.00, code ABCD, EFGH (until Oct 21, 2026)",
            "подарочный сертификат на 1 000,00 €, код ABCD, EFGH (по 21 окт. 2026 г.)",
        ),
    ],
)
def test_every_kind_of_reward(figure: MessageFigure, english: str, russian: str) -> None:
    in_english, in_russian = said("en", figure), said("ru", figure)
    assert in_english.startswith(f"Your purchase on Sep 21, 2026: {english}")
    assert in_russian.startswith(f"Ваша покупка 21 сент. 2026 г.: {russian}")
    assert sms_text(in_english).is_gsm


def test_rewards_stand_side_by_side() -> None:
    points, status = MessageFigure("points", "points", 120), MessageFigure("status", "", 1, "x")
    assert said("en", points, status).endswith(": +120 points; status x")
