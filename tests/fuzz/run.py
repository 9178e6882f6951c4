"""Runs workers for a time, and sees it when one dies, hangs or finds something."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, Queue
from signal import Signals
from tempfile import TemporaryFile
from threading import Thread
from typing import IO

import msgspec

from tests.fuzz.worker import Begun, Done, Report

_HANG_CPU_S = 120.0
_SILENT_S = 1_800.0
"""A worker that works so long on a seed, or waits so long, has hung; other work only slows it."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_WAIT_S = 0.2
_FINDINGS_MAX = 20
_STDERR_BYTES = 2_000
_DECODE: Callable[[bytes], Report] = msgspec.json.Decoder(Report).decode


class Finding(msgspec.Struct, frozen=True):
    """A seed with what went wrong."""

    seed: int
    text: str


class Totals(msgspec.Struct):
    """What a run came to so far."""

    seeds: int = 0
    receipts: int = 0
    refused: int = 0
    crashes: int = 0
    disagreements: int = 0
    findings: list[Finding] = []


class _Worker:
    """One process, started again behind the seed that it died of."""

    def __init__(self, command: Sequence[str], first: int, step: int, reports: "_Reports") -> None:
        self._command, self._step, self._reports = command, step, reports
        self._seed = first
        self._start()

    def take(self, report: Report | None, totals: Totals) -> None:
        """Count what the worker said; None is that it said the last."""
        self._hear()
        if report is None:
            self._died(totals)
        elif isinstance(report, Begun):
            self._seed = report.seed
        else:
            _count(report, totals)

    def kill_if_hung(self) -> None:
        """End a process that has been silent for long; its last seed is reported as a crash."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > _HANG_CPU_S and (
            silent_s > _SILENT_S or cpu_s(self._process.pid) - self._heard_cpu_s > _HANG_CPU_S
        ):
            self._process.kill()

    def _hear(self) -> None:
        self._heard_s, self._heard_cpu_s = time.monotonic(), cpu_s(self._process.pid)

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._stderr.close()

    def _start(self) -> None:
        self._stderr = TemporaryFile()
        self._process = subprocess.Popen(
            [*self._command, str(self._seed), str(self._step)],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._hear()
        assert self._process.stdout is not None
        self._reader = Thread(target=_read, args=(self, self._process.stdout, self._reports))
        self._reader.start()

    def _died(self, totals: Totals) -> None:
        text = _death(self._process.wait(), self._stderr)
        self._stderr.close()
        totals.crashes += 1
        totals.findings.append(Finding(self._seed, text))
        self._seed += self._step
        if len(totals.findings) < _FINDINGS_MAX:
            self._start()


_Reports = Queue[tuple[_Worker, Report | None]]


def worker_command(kernel: Path | None) -> list[str]:
    """What starts a worker on the kernel of a directory; None is the installed one."""
    return [sys.executable, "-m", "tests.fuzz.worker", str(kernel or "")]


def run(
    command: Sequence[str],
    seed: int,
    workers: int,
    seconds: float,
    show: Callable[[Totals], None] = lambda _: None,
) -> Totals:
    """Judge seeds from `seed` on for a time, or until there are enough findings.

    Args:
        command: starts a worker, given its first seed and the step to the next.
        seed: the first one; the others follow it.
        workers: processes.
        seconds: for how long.
        show: called often, with what it came to so far.
    """
    totals = Totals()
    reports: _Reports = Queue()
    started = [_Worker(command, seed + place, workers, reports) for place in range(workers)]
    until_s = time.monotonic() + seconds
    try:
        while time.monotonic() < until_s and len(totals.findings) < _FINDINGS_MAX:
            _take_all(reports, totals)
            show(totals)
            for worker in started:
                worker.kill_if_hung()
    finally:
        for worker in started:
            worker.stop()
    return totals


def _take_all(reports: _Reports, totals: Totals) -> None:
    """Count what was said, waiting a little if it is nothing."""
    try:
        worker, report = reports.get(timeout=_WAIT_S)
        worker.take(report, totals)
        while len(totals.findings) < _FINDINGS_MAX:
            worker, report = reports.get_nowait()
            worker.take(report, totals)
    except Empty:
        return


def cpu_s(pid: int) -> float:
    """Seconds that a process has worked so far; 0 if it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # Behind pid and name: the 12th and 13th field are ticks of the program and of the system.
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _read(worker: _Worker, stdout: IO[bytes], reports: _Reports) -> None:
    with stdout:
        for line in stdout:
            # A process that is killed may leave half a line.
            if line.endswith(b"\n"):
                reports.put((worker, _DECODE(line)))
    reports.put((worker, None))


def _count(report: Done, totals: Totals) -> None:
    totals.seeds += 1
    totals.receipts += report.receipts
    totals.refused += report.refused
    if report.findings:
        totals.disagreements += 1
        totals.findings.append(Finding(report.seed, "\n".join(report.findings)))


def _death(status: int, stderr: IO[bytes]) -> str:
    stderr.seek(0)
    said = stderr.read()[-_STDERR_BYTES:].decode(errors="replace").strip()
    how = f"was killed by {Signals(-status).name}" if status < 0 else f"ended with {status}"
    return f"the worker {how}\n{said}" if said else f"the worker {how}"
