"""The extensions; LOYALTY_EXT_CHECKED=1 builds it with every run-time check of Cython on."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

checked = os.environ.get("LOYALTY_EXT_CHECKED", "0") == "1"
flags = ["-O1", "-g"] if checked else ["-O3"]
names = ["kernel", "packing", "engine", "wire", "form", "rows"]
kernels = [
    Extension(f"ext.{name}", [f"ext/{name}.pyx"], extra_compile_args=flags) for name in names
]
directives = {
    "language_level": 3,
    "embedsignature": True,
    "cdivision": False,  # division and its errors mean what they mean in the reference twin
    "boundscheck": checked,
    "wraparound": checked,
    "initializedcheck": checked,
    "overflowcheck": checked,
}
# cythonize compares file times only: without force a flipped switch would change nothing.
modules = cythonize(kernels, build_dir="build/cython", force=True, compiler_directives=directives)
setup(ext_modules=modules)
