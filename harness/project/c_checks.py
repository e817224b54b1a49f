# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check kernel C: sparse, kernel style, clang-tidy, and limits on the core and compat.h.

Each check yields one line for each objection.
"""

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness.artefacts import build, kernels
from harness.errors import BuildError, HarnessError, Lost
from harness.host import config, tool
from harness.project import checkpatch as checkpatch_script
from harness.project.tree_checks import tracked

_SYSTEM_HEADER = re.compile(r"^\s*#\s*include\s*<(?!(?:stdint|stddef|stdbool)\.h>)")
_SYSTEM_CONDITION = re.compile(r"^\s*#\s*(?:el)?if.*(__linux__|__APPLE__|__FreeBSD__|__KERNEL__)")
# Questions about the kernel's version or configuration. Kbuild asks the kernel's headers, and only
# compat.h uses the answers, so that differences between kernels are in one file.
_KERNEL_CONDITION = re.compile(r"\b(OSQ_HAVE_\w+|LINUX_VERSION_CODE|KERNEL_VERSION)\b")
_STYLE_S = 120.0
_TIDY_S = 1800.0
_MAY_KNOW_KERNELS = {"compat.h", "Kbuild"}
# Two groups of checks are off: those that want Annex K, which no C library here has, and those
# that no kernel interface can follow.
_TIDY = (
    "-*",
    "clang-analyzer-*",
    "bugprone-*",
    "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    "-bugprone-easily-swappable-parameters",
)


def core_is_pure(project: Path) -> Iterator[str]:
    """Yield every line of kernel/core that includes a system header or tests for a system.

    The headers stdint.h, stddef.h and stdbool.h are allowed.
    """
    for path in sorted((project / "kernel" / "core").glob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if _SYSTEM_HEADER.search(line) or _SYSTEM_CONDITION.search(line):
                yield f"{path.relative_to(project)}:{number}: {line.strip()}"


def compat_is_one_file(project: Path) -> Iterator[str]:
    """Yield every line outside of compat.h that asks for the kernel's version or interfaces.

    Such a line has LINUX_VERSION_CODE, KERNEL_VERSION or a macro OSQ_HAVE_*, which Kbuild sets
    after a look into the kernel's headers. Conditions on CONFIG_* are allowed everywhere.
    """
    for path in _sources(project):
        if path.name in _MAY_KNOW_KERNELS:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if _KERNEL_CONDITION.search(line):
                yield f"{path.relative_to(project)}:{number}: {line.strip()}"


def style(project: Path) -> Iterable[str]:
    """Return the lines of kernel C that differ from kernel style, as .clang-format defines it.

    If clang-format is not installed, the only line says so.
    """
    formatter = Path(sys.executable).with_name("clang-format")
    if not formatter.exists():
        return ["clang-format is not in the project's environment; ./dev installs it"]
    files = [str(path) for path in _sources(project)]
    if not files:
        return []
    command = [str(formatter), "--dry-run", "--Werror", *files]
    done = tool.run(command, deadline_s=_STYLE_S, error=Lost, check=False)
    return _messages(done, "clang-format", r": error: ")


def sparse(project: Path) -> Iterable[str]:
    """Build the module and its variants with sparse, and return the warnings and errors of sparse.

    A build that fails gives the compiler's output, any other error its message and its hint, and a
    missing sparse a line that says so.
    """
    if shutil.which("sparse") is None:
        return ["sparse is not installed; apt-get install sparse, or ./dev check"]
    try:
        settings = config.load(project / "pyproject.toml")
        target = settings.targets[settings.default_target]
        cache = config.environment().cache
        spec = settings.kernels[target.kernel]
        shared = settings.shared_cache
        kernel = kernels.ensure(
            target.kernel, spec, root=cache, shared=shared, progress=lambda _text: None
        )
        module = settings.module
        specs = {"sparse": module} | {
            f"sparse-{key}": module.variant(key) for key in module.variants
        }
        logs = [
            build.build_module(
                one,
                kernel,
                project=project,
                out=build.output_folder(project, name, cache_root=cache),
                # C=2: sparse also reads files that need no compilation.
                variables={"C": "2", "W": "1", "CF": "-Wsparse-error"},
                progress=lambda _text: None,
            ).log
            for name, one in specs.items()
        ]
    except BuildError as error:
        return [error.message, *error.evidence]
    except HarnessError as error:
        return [error.message, error.hint]
    log = [line for one in logs for line in one.read_text(errors="replace").splitlines()]
    return [line for line in log if re.search(r": (warning|error): ", line)]


def checkpatch(project: Path, *, cache: Path, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Return the messages of the kernel's own checkpatch.pl about kernel/.

    Raises: KernelError when the script cannot be fetched; Lost when perl is not installed.
    """
    script = checkpatch_script.ensure(root=cache, progress=progress)
    return tuple(checkpatch_script.run(script, _sources(project), project=project))


def clang_tidy(project: Path) -> Iterable[str]:
    """Return the messages of clang-tidy about core and client, read as code for user space.

    If clang-tidy is not installed, the only line says so.
    """
    tidy = shutil.which("clang-tidy")
    if tidy is None:
        return ["clang-tidy is not installed; apt-get install clang-tidy, or ./dev check"]
    files = [str(path) for path in _sources(project) if path.parent.name in {"core", "client"}]
    folders = ("uapi", "core", "os/host", "client")
    include = ["-D_GNU_SOURCE", *(f"-I{project / 'kernel' / name}" for name in folders)]
    checks = ",".join(_TIDY)
    command = [tidy, "--quiet", f"--checks={checks}", *files, "--", "-std=c11", *include]
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    done = tool.run(command, deadline_s=_TIDY_S, error=Lost, check=False, within=within)
    return _messages(done, "clang-tidy", r": (warning|error): ")


def _messages(done: tool.Output, program: str, pattern: str) -> list[str]:
    """Return the lines that match `pattern`; every line when a program fails without one.

    The status None of a program that did not end in time is a failure, too.
    """
    lines = done.lines
    found = [line for line in lines if re.search(pattern, line)]
    if found or done.status == 0:
        return found
    return [*lines, f"{program} ended with status {done.status}"]


def _sources(project: Path) -> list[Path]:
    return [
        path
        for path in tracked(project)
        if path.suffix in {".c", ".h"} and "kernel" in path.relative_to(project).parts[:1]
    ]
