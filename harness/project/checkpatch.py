# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the kernel's own checkpatch.pl over a tree's kernel C.

No package has the script alone. It is taken once from the kernel's source package, which is a
download of 140 MB; the cache keeps the script and its word lists.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import KernelError, Lost
from harness.host import apt, cache, tool

_PACKAGE = "linux-source"
_UNPACK_S = 600.0
_CHECK_S = 300.0
_FILES = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")
# Help texts are split over lines (SPLIT_STRING), the protocol's header uses the types of user
# space (NEW_TYPEDEFS), and the crash points read address 0 on purpose (VOLATILE).
_IGNORED = ("SPLIT_STRING", "NEW_TYPEDEFS", "VOLATILE", "ARRAY_SIZE")


def ensure(*, root: Path, progress: Callable[[str], None]) -> Path:
    """Return the script checkpatch.pl in the cache; fetch it first if it is missing.

    Raises: KernelError when apt has no such package, or the package has no such file.
    """
    dependencies = apt.depends(_PACKAGE)
    package = next((name for name in dependencies if name.startswith("linux-source-")), "")
    version = apt.versions((package,)).get(package, "") if package else ""
    if not version:
        raise KernelError(f"apt knows no package {_PACKAGE}", hint="run `apt-get update` as root")
    home = root / "checkpatch" / cache.key_of(package, version)
    if not (home / _FILES[0]).is_file():
        progress(f"fetching {package} {version}: 140 MB, to take checkpatch.pl from it")
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as work:
            _fetch(package, Path(work))
            home.mkdir(parents=True, exist_ok=True)
            # The script is moved last: where it exists, its word lists do, too.
            for name in reversed(_FILES):
                shutil.move(Path(work) / name, home / name)
    return home / _FILES[0]


def _fetch(package: str, work: Path) -> None:
    (file,) = apt.download((package,), work)
    inner = f"usr/src/{package}.tar.xz"
    wanted = [f"{package}/scripts/{name}" for name in _FILES]
    for command in (
        ["dpkg-deb", "--extract", str(file), str(work)],
        ["tar", "-xJf", str(work / inner), "--strip-components=2", *wanted],
    ):
        tool.run(command, deadline_s=_UNPACK_S, error=KernelError, cwd=work)


def run(script: Path, files: Sequence[Path], *, project: Path) -> list[str]:
    """Return checkpatch.pl's errors and warnings about `files`, without the kinds in _IGNORED.

    If the script fails and prints no message, its error output and its status are returned.
    Raises: Lost when perl is not installed.
    """
    command = ["perl", str(script), "--no-tree", "--no-summary", "--terse", "--show-types"]
    command += [f"--ignore={','.join(_IGNORED)}", "-f"]
    command += [str(file.relative_to(project)) for file in files]
    done = tool.run(command, deadline_s=_CHECK_S, error=Lost, check=False, cwd=project)
    if done.status != 0 and not done.text.strip():
        return [*done.lines, f"{script} ended with status {done.status}"]
    return [line for line in done.text.splitlines() if ": ERROR:" in line or "WARNING:" in line]
