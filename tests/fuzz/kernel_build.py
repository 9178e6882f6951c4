"""A checked build of the kernel beside the installed one, which stays as it is."""

import os
import shutil
import subprocess
import sys
from hashlib import blake2b
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Hidden, so that mypy and the rules of style do not take the copy for sources.
_PLACE = ROOT / "var" / ".fuzz"
_SOURCES = ("*.py", "*.pyx", "*.pxd", "*.pxi")
_DIGEST_NAME = "digest"
_LOG_NAME = "build.log"


class BuildError(Exception):
    """The checked kernel does not compile."""


def build_checked() -> Path:
    """Compile ext/ with every run-time check on, unless that was done; gives the directory."""
    digest = _digest()
    stamp = _PLACE / _DIGEST_NAME
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(_PLACE, ignore_errors=True)
        _compile()
        stamp.write_text(digest)
    return _PLACE / "ext"


def use(directory: Path) -> None:
    """Let the modules of `ext` come from a directory, in this process, before any is imported."""
    package = import_module("ext")
    package.__path__.insert(0, str(directory))
    engine = import_module("ext.engine")
    assert Path(str(engine.__file__)).parent == directory, "the installed kernel came first"


def _sources() -> list[Path]:
    found = [path for pattern in _SOURCES for path in sorted((ROOT / "ext").glob(pattern))]
    return [ROOT / "setup.py", *found]


def _digest() -> str:
    hashed = blake2b(digest_size=16)
    for path in _sources():
        hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()


def _compile() -> None:
    for source in _sources():
        copy = _PLACE / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    environment = {**os.environ, "LOYALTY_EXT_CHECKED": "1"}
    with (_PLACE / _LOG_NAME).open("wb") as log:
        run = subprocess.run(
            command, cwd=_PLACE, env=environment, stdout=log, stderr=log, check=False
        )
    if run.returncode != 0:
        raise BuildError((_PLACE / _LOG_NAME).read_text(errors="replace")[-4_000:])
