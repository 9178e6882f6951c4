"""What a customer would answer when the cashier asks; good enough to pass every check."""

import random

from loyalty.v1.answer_pb2 import AnswerCheck, Prompt

WORDS = {"surname": "Новикова", "first_name": "Мария", "address": "ул. Садовая, 12"}


def answer_prompt(prompt: Prompt, rng: random.Random) -> str:
    """Answer a prompt.

    Args:
        prompt: As the server sent it.
        rng: Chooses among possible answers.

    Returns:
        An answer that fits the prompt's check.
    """
    match prompt.check:
        case AnswerCheck.ANSWER_CHECK_PHONE:
            return f"+7916{rng.randrange(10**7):07d}"
        case AnswerCheck.ANSWER_CHECK_EMAIL:
            return f"asked{rng.randrange(10**6)}@mail.example"
        case AnswerCheck.ANSWER_CHECK_DATE:
            return f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        case AnswerCheck.ANSWER_CHECK_CHOICE:
            return rng.choice(list(prompt.choices))
        case AnswerCheck.ANSWER_CHECK_YES_NO:
            return rng.choice(("yes", "no"))
        case _:
            return WORDS.get(prompt.field_code, "-")
