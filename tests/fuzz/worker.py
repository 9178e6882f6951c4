"""A process that judges one seed after another, and says on stdout where it is.

It says so before it begins with a seed: should the kernel take the process down, the last line
names the seed.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.fuzz import kernel_build


class Begun(Struct, frozen=True, tag="begun"):
    """The worker begins with a seed."""

    seed: int


class Done(Struct, frozen=True, tag="done"):
    """A seed was judged; fields as `judge.Verdict` has them, but for texts in findings."""

    seed: int
    receipts: int
    refused: int
    findings: tuple[str, ...]


Report = Begun | Done


def main(kernel: str, first: str, step: str) -> None:
    """Judge seeds until killed.

    Args:
        kernel: directory of the kernel to use; empty is the installed one.
        first: seed to begin with.
        step: from one seed to the next.
    """
    if kernel:
        kernel_build.use(Path(kernel))
    # The kernel is chosen by now, and imported by this.
    from tests.fuzz.judge import judge

    seed = int(first)
    while True:
        _say(Begun(seed))
        verdict = judge(seed)
        findings = tuple(f"{one.change}: {one.text}" for one in verdict.findings)
        _say(Done(seed, verdict.receipts, verdict.refused, findings))
        seed += int(step)


def _say(report: Report) -> None:
    sys.stdout.buffer.write(_ENCODE(report) + b"\n")
    sys.stdout.buffer.flush()


_ENCODE: Callable[[Report], bytes] = msgspec.json.Encoder().encode

if __name__ == "__main__":
    main(*sys.argv[1:])
