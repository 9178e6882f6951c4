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
