"""An SMSC that this project did not write, for tests: the npm package `smpp` under Node."""

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serving import free_port
from tests.starting import ROOT

PACKAGE, VERSION = "smpp", "0.5.1"
CACHE = ROOT / "var" / f"npm-{PACKAGE}-{VERSION}"
INSTALL_S = 120.0
EVENT_S = 30.0
PASSWORD = "secret"
THROTTLED = 0x58
"""ESME_RTHROTTLED."""


class Smsc:
    """A running SMSC; what it has seen is kept in order."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        """Read its events in a thread of their own."""
        self.port = port
        self.seen: list[dict[str, Any]] = []
        self._process = process
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Let go of a process that has ended."""
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def tell(self, do: str, **command: Any) -> None:
        """Give it a command; it has obeyed when this is back, and sees nothing before that."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self._process.stdin.flush()
        self._told.get(timeout=EVENT_S)

    def wait(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until it has seen so many more of an event; give those."""
        found: list[dict[str, Any]] = []
        deadline_s = time.monotonic() + EVENT_S
        while len(found) < count:
            one = self._events.get(timeout=max(0.0, deadline_s - time.monotonic()))
            self.seen.append(one)
            if one["event"] == event:
                found.append(one)
        return found

    def receipt(self, provider_id: str, phone: str, stat: str = "DELIVRD", **more: Any) -> None:
        """Send a delivery receipt in the words of SMPP 3.4, appendix B."""
        text = (
            f"id:{provider_id} sub:001 dlvrd:001 submit date:2611281200 done date:2611281201 "
            f"stat:{stat} err:000 Text:-"
        )
        self.tell("receipt", phone=phone, **{"text": text, "more": {}, **more})

    def forget(self) -> None:
        """Start anew: nothing was seen, and every submission is answered with ok."""
        self.tell("forget")
        self.submits()
        self.seen.clear()

    def submits(self) -> list[dict[str, Any]]:
        """All submissions so far."""
        while not self._events.empty():
            self.seen.append(self._events.get())
        return [one for one in self.seen if one["event"] == "submit"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            (self._told if event["event"] == "told" else self._events).put(event)


def _modules() -> Path:
    """The folder with the package, installed once; skips where that is not possible."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("the SMSC of this test needs Node and npm")
    if not CACHE.exists():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
            command = [npm, "install", "--no-save", "--no-package-lock", "--ignore-scripts"]
            try:
                done = subprocess.run(
                    [*command, "--prefix", folder, f"{PACKAGE}@{VERSION}"],
                    capture_output=True,
                    timeout=INSTALL_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm did not install {PACKAGE} in time")
            if done.returncode:
                pytest.skip(f"npm cannot install {PACKAGE} here")
            # Whoever is faster has installed the same.
            if not CACHE.exists():
                Path(folder, "node_modules").rename(CACHE)
    return CACHE


@contextmanager
def smsc(port: int | None = None) -> Iterator[Smsc]:
    """Run an SMSC; skip the test where Node or the package is not there."""
    modules, port = _modules(), port or free_port()
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_name("smsc_peer.js")), str(port)],
        env={**os.environ, "NODE_PATH": str(modules)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = Smsc(process, port)
    try:
        found.wait("listening")
        yield found
    finally:
        process.kill()
        process.wait()
        found.close()
