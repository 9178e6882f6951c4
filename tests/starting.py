"""Processes of the product for tests, forked from one process that has imported it already.

Importing the server takes a second of a core, and the tests start some hundreds of processes. What
runs in a fork is what `python -m` runs, with its arguments, environment, files, signals and exit
code. That a new interpreter comes as far is shown where one is started: servers by the tests of
`bench` and of `pos_sim`'s runs, a cash server by those of the faults, `loyaltyctl` by one of it.
"""

import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parent.parent
RUN_S_MAX: Final = 60.0
_IMPORTED: Final = (
    "tests.starting",
    "server.main",
    "server.program_file",
    "server.store.inspection",
    "pos_sim.__main__",
)
"""Not `server.ctl`: it measures the terminal when it is imported."""
_INPUT, _OUTPUT = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(_IMPORTED))


class Started:
    """A process that runs, with the methods of `subprocess.Popen` that tests need."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        files: tuple[Path, ...],
        file_bytes_max: int = 0,
    ) -> None:
        """Start `python -m module arguments`.

        Args:
            module: to run.
            arguments: of the command.
            environment: the whole of it.
            files: its standard input, output and error; the last two are added to.
            file_bytes_max: no file may grow beyond this, as on a full disk; 0 is no bound.
        """
        for path in files[1:]:
            path.touch()
        words = (module, arguments, dict(environment), files, file_bytes_max)
        # Whoever forgets one still comes to an end: it is ended when the tests are.
        self._process = _forks.Process(target=_become, args=words, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def has_room(self) -> None:
        """From now on its files may grow."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, when it has ended; subprocess.TimeoutExpired after so many seconds."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()


def run(
    module: str, *arguments: str | Path, said: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` to its end; subprocess.TimeoutExpired after RUN_S_MAX.

    Args:
        module: to run.
        arguments: of the command.
        said: its input.
        settings: what differs from this process's environment.
    """
    words = tuple(map(str, arguments))
    with TemporaryDirectory() as folder:
        files = tuple(Path(folder) / name for name in ("input", "output", "error"))
        files[0].write_text(said, encoding="utf-8")
        process = Started(module, *words, environment={**os.environ, **settings}, files=files)
        try:
            code = process.wait(RUN_S_MAX)
        finally:
            process.kill()
        output, error = (path.read_text(encoding="utf-8") for path in files[1:])
    return subprocess.CompletedProcess((module, *words), code, output, error)


def _become(
    module: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    files: tuple[Path, ...],
    file_bytes_max: int,
) -> None:
    """In the fork: be the process that `python -m module arguments` is."""
    for number, (path, flags) in enumerate(zip(files, (_INPUT, _OUTPUT, _OUTPUT), strict=True)):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = [module, *arguments]
    if file_bytes_max:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, hard))
    # It was imported for what it imports; now it is run.
    sys.modules.pop(f"{module}.__main__", None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
