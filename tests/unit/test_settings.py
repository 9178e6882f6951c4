"""Settings come from the environment; what is not acceptable is said with its variable."""

import pytest

from server.settings import Settings, read_settings

WRONG = {
    "LOYALTY_DRAIN_S": ["-5", "nan", "inf", "soon", ""],
    "LOYALTY_EXPIRY_S": ["-1", "nan", "86401"],
    "LOYALTY_DATA_DIR": [""],
    "LOYALTY_EVALUATOR": ["Kernel"],
    "LOYALTY_LOG_LEVEL": ["loud"],
    "LOYALTY_LISTEN": [
        "",
        "nonsense",
        ":50051",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:٥٠٠٥١",
        "127.0.0.1:" + "5" * 5_000,
    ],
}


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_is_not_acceptable_is_said_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SystemExit, match=f"^{variable}: "):
        read_settings({variable: value})


WORDS = {
    "LOYALTY_EVALUATOR": "kernel, reference",
    "LOYALTY_LOG_LEVEL": "debug, info, warning, error",
    "LOYALTY_SMS_TRANSPORT": "none, file, smpp, http",
}


@pytest.mark.parametrize(("variable", "known"), WORDS.items())
def test_a_word_that_is_none_is_said_with_those_there_are(variable: str, known: str) -> None:
    with pytest.raises(SystemExit, match=f"^{variable}: 'loud' is none of {known}$"):
        read_settings({variable: "loud"})


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:50051", "localhost:65535"])
def test_addresses(listen: str) -> None:
    assert read_settings({"LOYALTY_LISTEN": listen}).listen == listen


def test_there_is_a_default_for_everything() -> None:
    assert read_settings({"PATH": "", "LOYALTY_TARGET": "x"}) == Settings()
