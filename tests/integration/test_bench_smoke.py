"""Goal: the benchmarks never rot. Method: each runs small, and must print its figures."""

import json
import signal
import subprocess
import sys

import psutil
import pytest

from tests.serving import wait_until
from tests.starting import ROOT

FIGURES = {
    "stream_rate",
    "stream_echo_rate",
    "stream_share",
    "together_rate",
    "together_echo_rate",
    "together_share",
    "unary_rate",
    "unary_echo_rate",
    "unary_share",
    "extra_cpu_us",
}


@pytest.mark.timeout(180)
def test_checkout_prints_one_json_object() -> None:
    """`python -m bench checkout --json` prints one object with the promised figures."""
    command = [sys.executable, "-m", "bench", "checkout", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures.keys() >= FIGURES
    assert all(figures[name] > 0 for name in FIGURES - {"extra_cpu_us"})


@pytest.mark.timeout(180)
def test_bytecodes_are_counted() -> None:
    """`python -m bench bytecodes --json` prints one object with the promised figures."""
    command = [sys.executable, "-m", "bench", "bytecodes", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures["checkouts"] == 128
    for kind in ("", "quote_", "quoted_checkout_"):
        assert 0 < figures[f"{kind}frames"] < figures[f"{kind}bytecodes"]
    assert "server/till/checkout.py" in found.stderr


LEDGER_FIGURES = {"postings_rate", "hot_postings_rate", "hot_share", "redeem_ms_1", "redeem_ms_100"}


@pytest.mark.timeout(180)
def test_ledger_prints_one_json_object() -> None:
    """`python -m bench ledger --json` prints one object with the promised figures."""
    command = [sys.executable, "-m", "bench", "ledger", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures.keys() >= LEDGER_FIGURES
    assert all(figures[name] > 0 for name in LEDGER_FIGURES)


FORWARD_FIGURES = {
    "forward_rate",
    "forward_share",
    "live_rate",
    "live_together_rate",
    "live_p99_ms",
}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_forward_prints_one_json_object_and_loses_nothing() -> None:
    """`python -m bench forward --json` prints one object, and all that was spooled is recorded."""
    command = [sys.executable, "-m", "bench", "forward", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert all(figures[name] > 0 for name in FORWARD_FIGURES)
    assert figures["recorded"] == figures["spooled"] > 0
    assert figures["set_aside"] == figures["live_unanswered"] == figures["live_refused"] == 0


@pytest.mark.timeout(180)
def test_tills_prints_one_json_object_and_all_are_answered() -> None:
    """`python -m bench tills --json` prints one object; nothing is refused, late or cut short."""
    command = [sys.executable, "-m", "bench", "tills", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures["offered"] == 40, "a quote and a checkout of each of twenty tills"
    assert figures["answered_share"] == figures["complete_share"] == 1
    assert 0 < figures["all_p50_ms"] <= figures["all_p99_ms"] <= figures["all_max_ms"]
    assert figures["server_memory_mib"] > 0


@pytest.mark.long
@pytest.mark.timeout(180)
def test_customers_prints_one_json_object() -> None:
    """`python -m bench customers --json` prints one object with the promised figures."""
    command = [sys.executable, "-m", "bench", "customers", "--smoke", "--json"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(found.stdout)
    assert figures["many_share"] > 0
    assert figures["customers"] == 2_000


@pytest.mark.timeout(180)
def test_a_benchmark_that_is_ended_leaves_nothing_behind() -> None:
    """SIGTERM amid the measurement: server, echo, load and PostgreSQL end with it."""
    command = [sys.executable, "-m", "bench", "checkout", "--smoke"]
    bench = psutil.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with bench:
        for line in bench.stderr:
            if "stream_echo" in line:
                break
        begun = bench.children(recursive=True)
        assert any("server" in one.cmdline() for one in begun)
        bench.send_signal(signal.SIGTERM)
        bench.stderr.read()
        assert bench.wait(timeout=60) == 128 + signal.SIGTERM
    wait_until(lambda: not any(map(_runs, begun)), "the end of all processes")


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
