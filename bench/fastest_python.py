"""Prints the Python 3.11 of this machine that runs Python code fastest: `make` builds .venv of it.

Builds of the same version differ by half: with or without profile-guided optimisation. Whatever
python3 there is runs this: only the standard library, and nothing of the project, is imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

CANDIDATES = ("python3.11", "python3")
MEASURE_TIMEOUT_S = 30.0
WORTH_IT = 0.85
"""Another one is chosen for a time below so much of that of the first on the path."""
_MEASURE = r"""
import ensurepip, os, sys, sysconfig, timeit, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
if sys.version_info[:2] != (3, 11) or not os.path.exists(header):
    sys.exit(1)
class Pair:
    __slots__ = ("left", "right")
    def __init__(self, left, right):
        self.left, self.right = left, right
def work():
    total, known = 0, {str(n): n for n in range(100)}
    for n in range(4_000):
        pair = Pair(n, 2)
        total += pair.left + pair.right + known["5"] + len(f"{total:,}")
        total += len("".join([str(one) for one in (1, 2, 3)]))
print(min(timeit.repeat(work, number=1, repeat=15)))
"""


def found_on_path() -> list[str]:
    """List the candidates, in the order of the path, each file once."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    files = [shutil.which(name, path=place) for name in CANDIDATES for place in places]
    return list({os.path.realpath(one): one for one in reversed(files) if one}.values())[::-1]


def time_of(python: str) -> float | None:
    """Measure one, in seconds; None if .venv cannot be made of it, or the kernel not be built."""
    command = [python, "-c", _MEASURE]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=MEASURE_TIMEOUT_S
        )
        return float(run.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # no Python, or not one that can be used: it is left out


def main() -> None:
    """Measure all, and print the path of the one to use."""
    times = [(time_of(python), python) for python in found_on_path()]
    usable = [(time_s, python) for time_s, python in times if time_s is not None]
    if not usable:
        sys.exit("Python 3.11 with its headers is needed; name it with PYTHON=...")
    (first_s, first), (fastest_s, fastest) = usable[0], min(usable)
    sys.stdout.write(fastest if fastest_s < WORTH_IT * first_s else first)


if __name__ == "__main__":
    main()
