# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the kernel's own checkpatch.pl over a tree's kernel C.

No package has the script alone: it comes out of the kernel's source package, 140 MB to fetch,
once; what is kept in the cache is the script and its word lists.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import KernelError
from harness.host import apt, cache

_PACKAGE = "linux-source"
_FILES = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")
# Help texts are split over lines, the protocol's header has user space's names for its types,
# and reading address 0 is what the crash points are for.
_IGNORED = ("SPLIT_STRING", "NEW_TYPEDEFS", "VOLATILE", "ARRAY_SIZE")


def ensure(*, root: Path, progress: Callable[[str], None]) -> Path:
    """Return the script in the cache, fetched when it is not there.

    Raises: KernelError when apt has no such package, or it holds no such file.
    """
    found = apt.depends(_PACKAGE)
    package = next((name for name in found if name.startswith("linux-source-")), "")
    version = apt.versions((package,)).get(package, "") if package else ""
    if not version:
        raise KernelError(f"apt knows no package {_PACKAGE}", hint="apt-get update, as root")
    home = root / "checkpatch" / cache.key_of(package, version)
    if not (home / _FILES[0]).is_file():
        progress(f"fetching {package} {version}: 140 MB, for the script in it")
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as work:
            _fetch(package, Path(work))
            home.mkdir(parents=True, exist_ok=True)
            for name in reversed(_FILES):
                shutil.move(Path(work) / name, home / name)
    return home / _FILES[0]


def _fetch(package: str, work: Path) -> None:
    (file,) = apt.download((package,), work)
    inner = f"./usr/src/{package}.tar.xz"
    wanted = [f"{package}/scripts/{name}" for name in _FILES]
    outer = _pipe(["dpkg-deb", "--fsys-tarfile", str(file)], None)
    tarball = _pipe(["tar", "-xO", inner], outer)
    done = subprocess.run(
        ["tar", "-xJ", "--strip-components=2", *wanted],
        stdin=tarball.stdout,
        cwd=work,
        check=False,
        capture_output=True,
        text=True,
    )
    for process in (outer, tarball):
        process.kill()
        process.wait()
    if done.returncode != 0:
        raise KernelError(f"{package} could not be unpacked", evidence=done.stderr.splitlines())


def _pipe(
    command: Sequence[str], source: "subprocess.Popen[bytes] | None"
) -> "subprocess.Popen[bytes]":
    stdin = source.stdout if source is not None else subprocess.DEVNULL
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE)


def run(script: Path, files: Sequence[Path], *, project: Path) -> list[str]:
    """Return every error and warning of the script, but the kinds that have a reason here."""
    done = subprocess.run(
        [
            "perl",
            str(script),
            "--no-tree",
            "--no-summary",
            "--terse",
            "--show-types",
            f"--ignore={','.join(_IGNORED)}",
            "-f",
            *(str(file.relative_to(project)) for file in files),
        ],
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 and not done.stdout.strip():
        return [*done.stderr.splitlines(), f"{script} ended with status {done.returncode}"]
    return [line for line in done.stdout.splitlines() if ": ERROR:" in line or "WARNING:" in line]
