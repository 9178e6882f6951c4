"""Prints the Python 3.11 of this machine that runs Python code fastest: `make` builds .venv of it.

Builds of the same version differ by half: with or without profile-guided optimisation. Whatever
python3 there is runs this: only the standard library, and nothing of the project, is imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from statistics import median

CANDIDATES = ("python3.11", "python3")
MEASURE_TIMEOUT_S = 30.0
ROUNDS = 9
"""Of measuring one after the other; the middle of each counts. A machine may be twice as fast at
times, and what else runs on it disturb one of them alone."""
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
print(min(timeit.repeat(work, number=1, repeat=6)))
"""


def found_on_path() -> list[str]:
    """List the candidates, in the order of the path, each once."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    files = [shutil.which(name, path=place) for name in CANDIDATES for place in places]
    return list(dict.fromkeys(_started_by(one) for one in dict.fromkeys(files) if one))


def _started_by(python: str) -> str:
    """What really runs behind a shim, a link or an environment, if it says so."""
    command = [python, "-c", "import sys; print(sys._base_executable)"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=MEASURE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return python
    said = run.stdout.strip()
    return os.path.realpath(said if os.path.isabs(said) else python)


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
    times_s: dict[str, list[float]] = {}
    candidates = found_on_path()
    for _ in range(ROUNDS):
        for python in candidates:
            time_s = time_of(python)
            if time_s is not None:
                times_s.setdefault(python, []).append(time_s)
    usable = [(median(found_s), python) for python, found_s in times_s.items()]
    if not usable:
        sys.exit("Python 3.11 with its headers is needed; name it with PYTHON=...")
    (first_s, first), (fastest_s, fastest) = usable[0], min(usable)
    sys.stdout.write(fastest if fastest_s < WORTH_IT * first_s else first)


if __name__ == "__main__":
    main()
