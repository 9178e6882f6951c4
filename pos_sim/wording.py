"""The till's own words, by language; all that is about loyalty comes worded from the server."""

from msgspec import Struct

from loyalty.v1.answer_pb2 import PromptReason, TraceCondition, TraceOutcome
from pos_sim.amount import format_amount

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "till": "Till",
        "cashier": "Cashier",
        "piece": "pcs",
        "kilogram": "kg",
        "litre": "l",
        "metre": "m",
        "sum": "Sum",
        "discount": "Discount",
        "total": "TO PAY",
        "basket": "1. Basket",
        "article": "Article",
        "scanned": "Scanned",
        "sold": "Sold as",
        "amount": "Amount",
        "why": "What changed and why",
        "rewards": "2. Rewards",
        "reward": "Reward",
        "valid": "Valid",
        "balance": "Balance after it",
        "pending": "not active yet",
        "from": "from",
        "to": "to",
        "prompts": "3. Ask the customer",
        "missing": "not known",
        "expired": "out of date",
        "cross_sell": "4. Show the customer",
        "because": "goes with",
        "texts": "For the cashier",
        "coupons": "Coupons",
        "hints": "Within reach",
        "optimal": "best combination, proved",
        "not_proved": "best combination found, a better one is worth at most",
        "trace": "Why, by promotion",
        "slip": "The slip",
        "fired": "fired",
        "lost": "lost to",
        "failed": "did not fire",
        "limit": "limit reached",
        "lacking": "short by",
        "condition_period": "not in force now",
        "condition_segment": "not this customer's segment",
        "condition_quantity": "quantity",
        "condition_receipt_amount": "receipt amount",
        "condition_not_counted": "counted pieces only",
        "condition_customer": "known customers only",
        "condition_floor": "nothing left to lower",
        "condition_channel": "not at this kind of till",
        "condition_zone": "not in this zone",
        "condition_nothing_earns": "nothing earns",
        "condition_weekday": "not on this weekday",
        "condition_hour": "not at this hour",
        "condition_tier": "not this customer's tier",
        "condition_coupon": "no coupon for it",
        "condition_trigger": "not asked for by the cashier",
        "condition_tender": "not paid that way",
        "condition_birthday": "no birthday near",
        "condition_purchase": "not this purchase",
        "condition_history": "another purchase history",
        "condition_balance": "balance",
        "condition_products": "its products",
        "condition_articles": "different articles",
        "condition_products_amount": "amount of its products",
        "condition_excluded_products": "an excluded product is there",
        "condition_staff": "purchase of the staff",
        "condition_price": "would not be cheaper",
        "condition_own_offer": "no offer of the customer's own",
        "condition_customer_limit": "the customer's limit",
        "condition_total_limit": "limit of all receipts",
        "condition_budget": "budget spent",
    },
    "ru": {
        "till": "Касса",
        "cashier": "Кассир",
        "piece": "шт.",
        "kilogram": "кг",
        "litre": "л",
        "metre": "м",
        "sum": "Сумма",
        "discount": "Скидка",
        "total": "К ОПЛАТЕ",
        "basket": "1. Корзина",
        "article": "Товар",
        "scanned": "Считано",
        "sold": "Продать как",
        "amount": "Сумма",
        "why": "Что изменилось и почему",
        "rewards": "2. Награды",
        "reward": "Награда",
        "valid": "Действует",
        "balance": "Баланс после чека",
        "pending": "ещё не активно",
        "from": "с",
        "to": "по",
        "prompts": "3. Спросите покупателя",
        "missing": "не заполнено",
        "expired": "устарело",
        "cross_sell": "4. Предложите покупателю",
        "because": "к товару",
        "texts": "Кассиру",
        "coupons": "Купоны",
        "hints": "Чуть-чуть не хватает",
        "optimal": "лучшее сочетание, доказано",
        "not_proved": "найдено сочетание; лучшее дало бы ещё не более",
        "trace": "Почему, по акциям",
        "slip": "Чек",
        "fired": "сработала",
        "lost": "уступила",
        "failed": "не сработала",
        "limit": "достигнут предел",
        "lacking": "не хватило",
        "condition_period": "сейчас не действует",
        "condition_segment": "другой сегмент",
        "condition_quantity": "количество",
        "condition_receipt_amount": "сумма чека",
        "condition_not_counted": "только штучный товар",
        "condition_customer": "только для известных покупателей",
        "condition_floor": "снижать больше нечего",
        "condition_channel": "не на этом типе касс",
        "condition_zone": "не в этой зоне",
        "condition_nothing_earns": "начислять не на что",
        "condition_weekday": "не в этот день недели",
        "condition_hour": "не в этот час",
        "condition_tier": "другой статус",
        "condition_coupon": "нет купона",
        "condition_trigger": "кассир не отметил",
        "condition_tender": "другая оплата",
        "condition_birthday": "не день рождения",
        "condition_purchase": "не эта покупка по счёту",
        "condition_history": "другая история покупок",
        "condition_balance": "баланс",
        "condition_products": "нужные товары",
        "condition_articles": "разные товары",
        "condition_products_amount": "сумма нужных товаров",
        "condition_excluded_products": "есть исключённый товар",
        "condition_staff": "покупка сотрудника",
        "condition_price": "дешевле не станет",
        "condition_own_offer": "нет личного предложения",
        "condition_customer_limit": "лимит покупателя",
        "condition_total_limit": "лимит всех чеков",
        "condition_budget": "бюджет исчерпан",
    },
}
_OUTCOMES = {
    TraceOutcome.TRACE_OUTCOME_FIRED: "fired",
    TraceOutcome.TRACE_OUTCOME_LOST: "lost",
    TraceOutcome.TRACE_OUTCOME_FAILED: "failed",
    TraceOutcome.TRACE_OUTCOME_LIMIT_REACHED: "limit",
}


class Wording(Struct, frozen=True):
    """The words of one language; English for those that are not known."""

    language_code: str

    def __getitem__(self, code: str) -> str:
        """The word of a code."""
        words = _WORDS.get(self.language_code.partition("-")[0], _WORDS["en"])
        return words[code]

    def money(self, amount_minor: int) -> str:
        """Write an amount of money with two decimals."""
        return format_amount(amount_minor, 2, self.language_code)

    def outcome(self, outcome: TraceOutcome.ValueType) -> str:
        """Name what became of a promotion."""
        return self[_OUTCOMES[outcome]] if outcome in _OUTCOMES else str(outcome)

    def condition(self, condition: TraceCondition.ValueType) -> str:
        """Name a condition that did not hold."""
        name = TraceCondition.Name(condition).removeprefix("TRACE_CONDITION_").lower()
        words = _WORDS["en"]
        return self[f"condition_{name}"] if f"condition_{name}" in words else name

    def prompt_reason(self, reason: PromptReason.ValueType) -> str:
        """Say why a field is asked."""
        return self["expired" if reason == PromptReason.PROMPT_REASON_EXPIRED else "missing"]
