"""Built-in texts to show and print, by code and language; a program may replace any of them."""

from collections.abc import Mapping
from typing import Final

PLURAL_FORMS: Final = frozenset({"one", "few", "many", "other"})
"""CLDR categories in which counted things are worded; others are worded as `other`."""

BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "add_piece": {
        "ru": "Добавьте {quantity} шт. бесплатно: {promotion}",
        "en": "Add {quantity} free: {promotion}",
    },
    "add_piece_at_price": {
        "ru": "Добавьте {quantity} шт. за {amount} ({product}): {promotion}",
        "en": "Add {quantity} for {amount} ({product}): {promotion}",
    },
    "add_gift": {
        "ru": "Подарок — {product}, {quantity} шт.: {promotion}",
        "en": "A gift: {product}, {quantity} pcs: {promotion}",
    },
    "choose_gift": {
        "ru": "Подарок на выбор — {product}, {quantity} шт.: {promotion}",
        "en": "A gift to choose: {product}, {quantity} pcs: {promotion}",
    },
    "choose_piece_at_price": {
        "ru": "На выбор — {product}, {quantity} шт. за {amount}: {promotion}",
        "en": "To choose: {product}, {quantity} pcs for {amount}: {promotion}",
    },
    "reward_points": {
        "ru": "{promotion}: +{amount} {asset}",
        "en": "{promotion}: +{amount} {asset}",
    },
    "reward_deferred_discount": {
        "ru": "{promotion}: скидка {amount} на следующую покупку",
        "en": "{promotion}: {amount} off your next purchase",
    },
    "reward_coupon": {"ru": "{promotion}: {count}", "en": "{promotion}: {count}"},
    "reward_gift_certificate": {
        "ru": "{promotion}: подарочный сертификат на {amount}",
        "en": "{promotion}: a gift certificate for {amount}",
    },
    "reward_prize": {"ru": "{promotion}: {count}", "en": "{promotion}: {count}"},
    "reward_status": {"ru": "{promotion}: статус «{tier}»", "en": "{promotion}: status {tier}"},
    "reward_draw_entry": {
        "ru": "{promotion}: {count} в розыгрыше",
        "en": "{promotion}: {count} to the draw",
    },
    "reward_money_transfer": {
        "ru": "{promotion}: {amount} на ваш счёт",
        "en": "{promotion}: {amount} to your account",
    },
    "slip_saved": {"ru": "Вы сэкономили {amount}", "en": "You saved {amount}"},
    "slip_earned_points": {
        "ru": "Начислено: {amount} {asset}",
        "en": "Earned: {amount} {asset}",
    },
    "slip_earned_deferred_discount": {
        "ru": "Скидка на следующую покупку: {amount}",
        "en": "Off your next purchase: {amount}",
    },
    "slip_earned_coupon": {"ru": "Вы получаете: {count}", "en": "You get {count}"},
    "slip_earned_gift_certificate": {
        "ru": "Подарочный сертификат: {amount}",
        "en": "Gift certificate: {amount}",
    },
    "slip_earned_prize": {"ru": "Вы получаете: {count}", "en": "You get {count}"},
    "slip_earned_status": {"ru": "Ваш статус: {tier}", "en": "Your status: {tier}"},
    "slip_earned_draw_entry": {
        "ru": "Вы участвуете в розыгрыше: {count}",
        "en": "You are in the draw: {count}",
    },
    "slip_earned_money_transfer": {
        "ru": "На ваш счёт: {amount}",
        "en": "To your account: {amount}",
    },
    "slip_active_from": {"ru": "Можно тратить с {day}", "en": "Can be spent from {day}"},
    "slip_expires": {"ru": "Действует по {day}", "en": "Valid until {day}"},
    "slip_balance_points": {
        "ru": "Баланс: {amount} {asset}",
        "en": "Balance: {amount} {asset}",
    },
    "slip_balance_deferred_discount": {
        "ru": "Отложенные скидки: {amount}",
        "en": "Discounts to come: {amount}",
    },
    "slip_voided": {"ru": "Чек аннулирован", "en": "Receipt voided"},
    "slip_taken_back_points": {
        "ru": "Списано: {amount} {asset}",
        "en": "Taken back: {amount} {asset}",
    },
    "slip_taken_back_deferred_discount": {
        "ru": "Отменена отложенная скидка: {amount}",
        "en": "Discount to come cancelled: {amount}",
    },
    "spent_points": {
        "ru": "Оплачено: {amount} {asset}",
        "en": "Paid with {amount} {asset}",
    },
    "spent_deferred_discount": {"ru": "Отложенная скидка", "en": "Discount earned before"},
    "slip_spent_points": {
        "ru": "Списано: {amount} {asset} (−{money})",
        "en": "Spent: {amount} {asset} (−{money})",
    },
    "slip_spent_deferred_discount": {
        "ru": "Использована отложенная скидка: −{money}",
        "en": "Discount earned before: −{money}",
    },
    "slip_expiring_points": {
        "ru": "{amount} {asset} действуют по {day}",
        "en": "{amount} {asset} valid until {day}",
    },
    "slip_expiring_deferred_discount": {
        "ru": "Отложенная скидка {amount} действует по {day}",
        "en": "{amount} off, valid until {day}",
    },
    "cashier_may_spend_points": {
        "ru": "Можно списать до {amount} {asset} (−{money})",
        "en": "Up to {amount} {asset} can be spent (−{money})",
    },
    "cashier_may_spend_deferred_discount": {
        "ru": "Можно использовать отложенную скидку до {money}",
        "en": "A discount earned before can be used, up to {money}",
    },
    "cashier_spends_points": {
        "ru": "Спишется {amount} {asset} (−{money})",
        "en": "{amount} {asset} will be spent (−{money})",
    },
    "cashier_spends_deferred_discount": {
        "ru": "Использована отложенная скидка: −{money}",
        "en": "A discount earned before is used: −{money}",
    },
    "cashier_earn_only": {
        "ru": "Карта только для накопления: списать нельзя",
        "en": "Card for earning only: nothing can be spent",
    },
    "slip_taken_back_gift_money": {
        "ru": "Снято с подарочной карты: {amount}",
        "en": "Taken off the gift card: {amount}",
    },
    "slip_taken_back_coupon": {"ru": "Отозвано: {count}", "en": "Taken back: {count}"},
    "slip_taken_back_status": {"ru": "Отозван статус: {tier}", "en": "Taken back: status {tier}"},
    "slip_given_back_points": {
        "ru": "Возвращено: {amount} {asset}",
        "en": "Given back: {amount} {asset}",
    },
    "slip_given_back_deferred_discount": {
        "ru": "Возвращена отложенная скидка: {amount}",
        "en": "Discount to come given back: {amount}",
    },
    "slip_given_back_gift_money": {
        "ru": "На подарочную карту возвращено: {amount}",
        "en": "Given back to the gift card: {amount}",
    },
    "slip_given_back_coupon": {"ru": "Возвращено: {count}", "en": "Given back: {count}"},
    "slip_owed_points": {
        "ru": "Долг {amount} {asset}: погасится из следующих начислений",
        "en": "Owed: {amount} {asset}, paid out of what is earned next",
    },
    "slip_owed_deferred_discount": {
        "ru": "Долг {amount}: погасится из следующих начислений",
        "en": "Owed: {amount}, paid out of what is earned next",
    },
    "slip_paid_back": {"ru": "Возврат: {amount}", "en": "Paid back: {amount}"},
    "slip_kept_back": {
        "ru": "Удержано скидок: {amount}",
        "en": "Discounts no longer due: {amount}",
    },
    "cashier_pay_back": {
        "ru": "Верните покупателю {amount}",
        "en": "Pay the customer {amount} back",
    },
    "cashier_unknown": {
        "ru": "Клиент не найден: продажа без начисления",
        "en": "Customer not found: nothing will be earned",
    },
    "cashier_blocked": {
        "ru": "Карта заблокирована: продажа без начисления",
        "en": "Card blocked: nothing will be earned",
    },
    "cashier_identified": {"ru": "Клиент: {name}", "en": "Customer: {name}"},
    "cashier_thanks": {
        "ru": "Анкета обновлена, поблагодарите клиента",
        "en": "Profile updated, thank the customer",
    },
    "cashier_expiring": {
        "ru": "Сгорит {day}: {amount} {asset}",
        "en": "Ends on {day}: {amount} {asset}",
    },
    "cashier_enrolled": {
        "ru": "Карта зарегистрирована",
        "en": "The card is registered",
    },
    "coupon_one": {"ru": "{count} купон", "en": "{count} coupon"},
    "coupon_few": {"ru": "{count} купона", "en": "{count} coupons"},
    "coupon_many": {"ru": "{count} купонов", "en": "{count} coupons"},
    "coupon_other": {"ru": "{count} купона", "en": "{count} coupons"},
    "prize_one": {"ru": "{count} приз", "en": "{count} prize"},
    "prize_few": {"ru": "{count} приза", "en": "{count} prizes"},
    "prize_many": {"ru": "{count} призов", "en": "{count} prizes"},
    "prize_other": {"ru": "{count} приза", "en": "{count} prizes"},
    "entry_one": {"ru": "{count} шанс", "en": "{count} entry"},
    "entry_few": {"ru": "{count} шанса", "en": "{count} entries"},
    "entry_many": {"ru": "{count} шансов", "en": "{count} entries"},
    "entry_other": {"ru": "{count} шанса", "en": "{count} entries"},
    "coupon_applied": {"ru": "Купон {code}: {promotion}", "en": "Coupon {code}: {promotion}"},
    "coupon_unknown": {"ru": "Купон {code} не найден", "en": "Coupon {code} is not known"},
    "coupon_not_chosen": {
        "ru": "Купон {code} не действует вместе с другим купоном",
        "en": "Coupon {code} cannot be combined with another coupon",
    },
    "coupon_lost": {
        "ru": "Купон {code} не действует вместе с акцией «{promotion}»",
        "en": "Coupon {code} cannot be combined with {promotion}",
    },
    "coupon_lost_to_several": {
        "ru": "Купон {code} не действует вместе с другими акциями",
        "en": "Coupon {code} cannot be combined with other offers",
    },
    "coupon_limit": {
        "ru": "Купон {code} больше не действует: лимит исчерпан",
        "en": "Coupon {code} is used up",
    },
    "coupon_not_now": {
        "ru": "Купон {code} сейчас не действует",
        "en": "Coupon {code} is not valid now",
    },
    "coupon_not_here": {
        "ru": "Купон {code} здесь не действует",
        "en": "Coupon {code} is not valid here",
    },
    "coupon_customer": {
        "ru": "Купон {code} не для этого покупателя",
        "en": "Coupon {code} is not for this customer",
    },
    "coupon_short_quantity": {
        "ru": "Купон {code}: не хватает ещё {quantity} шт.",
        "en": "Coupon {code}: {quantity} more needed",
    },
    "coupon_short_amount": {
        "ru": "Купон {code}: не хватает покупок ещё на {amount}",
        "en": "Coupon {code}: buy for {amount} more",
    },
    "coupon_products": {
        "ru": "Купон {code}: нет подходящих товаров",
        "en": "Coupon {code}: none of its products is on the receipt",
    },
    "coupon_used": {"ru": "Купон {code} уже использован", "en": "Coupon {code} was used before"},
    "coupon_expired": {"ru": "Срок купона {code} истёк", "en": "Coupon {code} has expired"},
    "coupon_not_yours": {
        "ru": "Купон {code} выдан другому клиенту",
        "en": "Coupon {code} was given to another customer",
    },
    "coupon_held": {
        "ru": "Купон {code} сейчас используется в другом чеке",
        "en": "Coupon {code} is being used on another receipt",
    },
    "coupon_may_not_spend": {
        "ru": "Купон {code}: по этой карте списывать нельзя",
        "en": "Coupon {code}: nothing can be spent with this card",
    },
    "coupon_no_effect": {
        "ru": "Купон {code}: условия не выполнены",
        "en": "Coupon {code}: its conditions are not met",
    },
    "hint_offer": {
        "ru": "Возьмите ещё {quantity} шт. бесплатно: {promotion}",
        "en": "Take {quantity} more free: {promotion}",
    },
    "hint_quantity": {
        "ru": "Ещё {quantity} шт., и сработает «{promotion}»",
        "en": "{quantity} more, and you get {promotion}",
    },
    "hint_amount": {
        "ru": "Ещё покупок на {amount}, и сработает «{promotion}»",
        "en": "Buy for {amount} more, and you get {promotion}",
    },
    "sms_reward": {
        "ru": "Ваша покупка {day}: {rewards}",
        "en": "Your purchase on {day}: {rewards}",
    },
    "sms_points": {"ru": "+{amount} {asset}", "en": "+{amount} {asset}"},
    "sms_deferred_discount": {
        "ru": "скидка {amount} на следующую покупку",
        "en": "{amount} off your next purchase",
    },
    "sms_coupon": {"ru": "{count}", "en": "{count}"},
    "sms_gift_certificate": {
        "ru": "подарочный сертификат на {amount}",
        "en": "a gift certificate for {amount}",
    },
    "sms_prize": {"ru": "{count}", "en": "{count}"},
    "sms_status": {"ru": "статус «{tier}»", "en": "status {tier}"},
    "sms_draw_entry": {"ru": "{count} в розыгрыше", "en": "{count} to the draw"},
    "sms_money_transfer": {"ru": "{amount} на ваш счёт", "en": "{amount} to your account"},
    "sms_code": {"ru": "{reward}, код {codes}", "en": "{reward}, code {codes}"},
    "sms_until": {"ru": "{reward} (по {day})", "en": "{reward} (until {day})"},
}
"""Templates by text code and language."""
