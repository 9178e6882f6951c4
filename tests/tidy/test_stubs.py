"""The committed stubs are what the protos generate: none stale, missing, left over or edited."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.tidy.tree import ROOT, is_generated

PROTO_ROOT = ROOT / "protos"
OUTPUTS = ("python", "grpc_python", "mypy", "mypy_grpc")


def _generate(protos: list[Path], target: Path) -> None:
    """Run protoc as `make protos` does, into another directory."""
    site_packages = sysconfig.get_path("purelib")
    roots = ["-I", str(PROTO_ROOT), "-I", site_packages]
    outputs = [f"--{output}_out={target}" for output in OUTPUTS]
    # protoc finds the plugins of mypy-protobuf on the path, beside this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "grpc_tools.protoc", *roots, *outputs, *map(str, protos)]
    run = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def _stubs(root: Path) -> dict[str, str]:
    found = (path for path in root.rglob("*") if is_generated(path))
    return {str(path.relative_to(root)): path.read_text() for path in found}


def test_stubs_are_what_the_protos_generate(tmp_path: Path) -> None:
    protos = sorted(PROTO_ROOT.rglob("*.proto"))
    if protos:
        _generate(protos, tmp_path)
    committed, generated = _stubs(PROTO_ROOT), _stubs(tmp_path)
    assert sorted(committed) == sorted(generated), "run make protos"
    stale = [name for name, text in generated.items() if committed[name] != text]
    assert stale == [], "run make protos"
