"""Goal: the benchmark of publishing never rots. Method: it runs small, and prints its figures."""

import json
import subprocess
import sys

import pytest

from tests.starting import ROOT

FIGURES = {
    "compile_s_10000",
    "longest_stall_ms",
    "longest_late_beat_ms",
    "p99_quote_ms_while_publishing",
    "p99_quote_ms_quiet",
    "publish_s",
}


@pytest.mark.timeout(180)
def test_publish_prints_one_json_object() -> None:
    """`python -m bench publish --json` prints one object with the promised figures."""
    command = [sys.executable, "-m", "bench", "publish", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures.keys() >= FIGURES
    assert figures["quotes_while_publishing"] > 0
    assert figures["p99_quote_ms_quiet"] > 0
