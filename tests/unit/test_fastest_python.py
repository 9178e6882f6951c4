"""`make` builds .venv of the fastest usable Python 3.11 on the path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python_that_takes(place: Path, time_s: str | None) -> Path:
    """Something on the path that is measured at so many seconds; None: that cannot be used."""
    place.mkdir()
    found = place / "python3.11"
    found.write_text(f"#!/bin/sh\necho {time_s}\n" if time_s else "#!/bin/sh\nexit 1\n")
    found.chmod(0o755)
    return found


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        (("0.1", "0.05"), 1),
        (("0.05", "0.1"), 0),
        (("0.1", "0.09"), 0),  # not by so little
        ((None, "0.2"), 1),
        (("0.2", None, "0.1"), 2),
        (("no number", "0.2"), 1),
    ],
)
def test_the_fastest_is_chosen(tmp_path: Path, times: tuple[str | None, ...], chosen: int) -> None:
    made = [python_that_takes(tmp_path / f"{n}", time_s) for n, time_s in enumerate(times)]
    path = os.pathsep.join(str(one.parent) for one in made)
    run = run_on(path)
    assert (run.returncode, run.stdout) == (0, str(made[chosen]))


def test_what_disturbs_one_for_a_while_does_not_decide(tmp_path: Path) -> None:
    steady, disturbed = (python_that_takes(tmp_path / name, "0.1") for name in ("1", "2"))
    seen = tmp_path / "seen"
    disturbed.write_text(
        f"#!/bin/sh\nif [ -e {seen} ]; then echo 0.05; else : > {seen}; echo 0.3; fi\n"
    )
    run = run_on(os.pathsep.join((str(steady.parent), str(disturbed.parent))))
    assert (run.returncode, run.stdout) == (0, str(disturbed))


def test_what_cannot_be_run_is_left_out(tmp_path: Path) -> None:
    made = [python_that_takes(tmp_path / name, "0.1") for name in ("first", "second")]
    made[0].write_bytes(b"\x7fELF but not for this machine")
    run = run_on(os.pathsep.join(str(one.parent) for one in made))
    assert (run.returncode, run.stdout) == (0, str(made[1])), run.stderr


def test_without_any_it_says_what_to_do(tmp_path: Path) -> None:
    python_that_takes(tmp_path / "0", None)
    run = run_on(str(tmp_path / "0"))
    assert run.returncode == 1
    assert "name it with PYTHON=" in run.stderr


def test_a_real_one_is_measured() -> None:
    """The one that runs this, under the name that is looked for."""
    home = Path(sys.base_prefix) / "bin"
    run = run_on(str(home))
    assert (run.returncode, Path(run.stdout).parent) == (0, home), run.stderr


def run_on(path: str) -> "subprocess.CompletedProcess[str]":
    """Let it choose among what is on a path."""
    return subprocess.run(
        [sys.executable, "bench/fastest_python.py"],
        cwd=ROOT,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
