# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Checks on kernel C: sparse, checkpatch, clang-tidy, and that the core knows no system.

The kernel's own tools come with its headers, which `kernels` has in the cache or the host has
installed. Each check yields one line for what it objects to.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import build, config, kernels
from harness.errors import BuildError, HarnessError
from harness.tree_checks import tracked

_SYSTEM_HEADER = re.compile(r"^\s*#\s*include\s*<(?!(?:stdint|stddef|stdbool)\.h>)")
_SYSTEM_CONDITION = re.compile(r"^\s*#\s*(?:el)?if.*(__linux__|__APPLE__|__FreeBSD__|__KERNEL__)")
# What checkpatch says of a patch to the kernel's tree and not of a module beside it.
_NOT_OURS = (
    *("FILE_PATH_CHANGES", "LINUX_VERSION_CODE", "SPDX_LICENSE_TAG", "EMBEDDED_FUNCTION_NAME"),
    *("CONST_STRUCT", "PREFER_DEFINED_ATTRIBUTE_MACRO", "AVOID_EXTERNS", "NEW_TYPEDEFS"),
    # Both appear in definitions for the test build outside of any kernel.
    *("VOLATILE", "MACRO_ARG_REUSE"),
)


def core_is_pure(project: Path) -> Iterator[str]:
    """Yield every line of kernel/core that includes a system's header or asks which it is."""
    for path in sorted((project / "kernel" / "core").glob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if _SYSTEM_HEADER.search(line) or _SYSTEM_CONDITION.search(line):
                yield f"{path.relative_to(project)}:{number}: {line.strip()}"


def checkpatch(project: Path) -> Iterable[str]:
    """Return what checkpatch objects to in kernel/, errors and warnings."""
    files = [str(path) for path in _sources(project)]
    if not files:
        return []
    script = _checkpatch()
    if script is None:
        return ["checkpatch.pl was not found; ./dev fetches the kernel's headers that hold it"]
    command = [
        str(script),
        "--no-tree",
        "--terse",
        "--quiet",
        "--no-summary",
        "--strict",
        "--file",
    ]
    done = subprocess.run(
        ["perl", *command, f"--ignore={','.join(_NOT_OURS)}", *files],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
    )
    found = [
        line for line in done.stdout.splitlines() if ": ERROR:" in line or ": WARNING:" in line
    ]
    return (
        found if done.returncode in {0, 1} else done.stderr.splitlines() or ["checkpatch failed"]
    )


def sparse(project: Path) -> Iterable[str]:
    """Build the module with sparse looking on, and return what it or the compiler says."""
    if shutil.which("sparse") is None:
        return ["sparse is not installed; ./dev installs it"]
    try:
        settings = config.load(project / "pyproject.toml")
        target = settings.targets[settings.default_target]
        cache = config.environment().cache
        spec = settings.kernels[target.kernel]
        kernel = kernels.ensure(target.kernel, spec, root=cache, progress=lambda _text: None)
        built = build.build_module(
            settings.module,
            kernel,
            project=project,
            out=project / "build" / "sparse",
            variables={"C": "2", "W": "1", "CF": "-Wsparse-error"},
            progress=lambda _text: None,
        )
    except BuildError as error:
        return [error.message, *error.evidence]
    except HarnessError as error:
        return [error.message, error.hint]
    log = built.log.read_text(errors="replace").splitlines()
    return [line for line in log if re.search(r": (warning|error): ", line)]


def clang_tidy(project: Path) -> Iterable[str]:
    """Return what clang-tidy says of the code that runs in user space, where it is installed."""
    tool = shutil.which("clang-tidy")
    if tool is None:
        return []
    files = [str(path) for path in _sources(project) if path.parent.name in {"core", "client"}]
    include = [f"-I{project / 'kernel' / name}" for name in ("uapi", "core", "os/host")]
    checks = "-*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters"
    command = [tool, "--quiet", f"--checks={checks}", *files, "--", "-std=c11", *include]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={"PATH": os.defpath}
    )
    return [line for line in done.stdout.splitlines() if re.search(r": (warning|error): ", line)]


def _sources(project: Path) -> list[Path]:
    return [
        path
        for path in tracked(project)
        if path.suffix in {".c", ".h"} and "kernel" in path.relative_to(project).parts[:1]
    ]


def _checkpatch() -> Path | None:
    """Return checkpatch.pl from the headers of a kernel in the cache, or from the host's."""
    places = (config.environment().cache / "kernels", Path("/usr/src"), Path("/usr/lib"))
    for place in places:
        found = sorted(place.glob("**/scripts/checkpatch.pl"))
        if found:
            return found[-1]
    return None
