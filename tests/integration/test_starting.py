"""A server that cannot start says in one line why, without a trace, and ends with 1."""

import pytest

from tests.serving import free_port
from tests.starting import run

NOBODY = f"127.0.0.1:{free_port()}"
"""Where no PostgreSQL is."""
EMBEDDED = {"LOYALTY_DSN": ""}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"LOYALTY_DSN": "nonsense"}, "the database cannot be reached: invalid DSN"),
        ({"LOYALTY_DSN": "postgresql://h:port/x"}, "the database cannot be reached: "),
        ({"LOYALTY_DSN": f"postgresql://u@{NOBODY}/x"}, "the database cannot be reached: "),
        (
            EMBEDDED | {"LOYALTY_DATA_DIR": "/dev/null"},
            "The data directory /dev/null cannot be used",
        ),
        (
            EMBEDDED | {"LOYALTY_DATA_DIR": "/proc/none"},
            "The data directory /proc/none cannot be used",
        ),
        ({"LOYALTY_CLOCK_FILE": "/dev/null/clock"}, "LOYALTY_CLOCK_FILE: /dev/null/clock cannot"),
        ({"LOYALTY_LISTEN": "127.0.0.1:99999"}, "LOYALTY_LISTEN: "),
    ],
)
def test_why_it_cannot_start(settings: dict[str, str], said: str, place: dict[str, str]) -> None:
    ended = run("server", **{**place, "LOYALTY_LISTEN": f"127.0.0.1:{free_port()}", **settings})
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(said), ended.stderr
    assert "Traceback" not in ended.stderr
