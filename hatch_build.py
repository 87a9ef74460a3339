"""Builds the compiled part where that is possible; where it is not, the package is pure Python."""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "AUDIT_EMIT_SPEEDUPS"
"""``0`` in the environment builds without the compiled part; ``require`` does not build without."""

OFF = {"0", "false", "no", "off"}

MODULE = "audit_emit._speedups"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]
FLAGS += ["-Wno-missing-field-initializers", "-Wno-unused-parameter"]


def sources_flag(package: Path) -> str:
    """What has the compiled part say what it is made of, for the package that is built."""
    native = runpy.run_path(str(package / "_runtime" / "native_sources.py"))
    return f'-DSOURCES="{native["digest"](str(package / "_native"))}"'


class SpeedupsHook(BuildHookInterface[Any]):
    """Compiles ``audit_emit/_native`` to ``audit_emit._speedups``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell the wheel what platform it is for.

        Raises:
            Exception: it was required and cannot be built.
        """
        if self.target_name != "wheel":
            return
        if version != "editable":
            self._carry(build_data)
        wanted = os.environ.get(SWITCH, "").strip().lower()
        reason = "it is switched off" if wanted in OFF else self._why_not()
        if not reason:
            try:
                built = self._compile()
            except Exception as error:  # noqa: BLE001 - whatever is missing, Python goes on alone
                reason = f"it cannot be compiled here ({type(error).__name__}: {error})"
        if reason:
            if wanted == "require":
                raise RuntimeError(f"the compiled part was required, but {reason}")
            self.app.display_warning(f"audit_emit is built without its compiled part: {reason}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version != "editable":  # which imports it from where it was made
            build_data["force_include"][str(built)] = f"audit_emit/{built.name}"

    def _carry(self, build_data: dict[str, Any]) -> None:
        """The files that ``audit-emit vector`` writes."""
        for source, place in (("vector", "vector"), ("integrations/grafana", "vector/grafana")):
            build_data["force_include"][str(Path(self.root) / source)] = f"audit_emit/{place}"

    def _why_not(self) -> str:
        if sys.implementation.name != "cpython":
            return f"it is for CPython, not {sys.implementation.name}"
        if os.name != "posix":
            return f"it is for POSIX platforms, not {sys.platform}"
        if sysconfig.get_config_var("Py_GIL_DISABLED"):
            return "it relies on the interpreter's lock"
        return ""

    def _compile(self) -> Path:
        """The compiled module, in the source tree: an editable install imports it from there."""
        from setuptools import Distribution, Extension  # noqa: PLC0415 - only where it compiles
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415

        root = Path(self.root)
        sources = [str(path.relative_to(root)) for path in root.glob("audit_emit/_native/*.c")]
        extension = Extension(
            MODULE,
            sources=sorted(sources),
            depends=["audit_emit/_native/leaf.h"],
            extra_compile_args=[*FLAGS, sources_flag(root / "audit_emit")],
        )
        before = os.getcwd()
        with TemporaryDirectory() as scratch:
            os.chdir(root)
            try:
                command = build_ext(Distribution({"ext_modules": [extension]}))
                command.build_temp = command.build_lib = scratch
                command.inplace = True
                command.force = True
                command.finalize_options()
                command.run()
                return root / command.get_ext_filename(MODULE)
            finally:
                os.chdir(before)
