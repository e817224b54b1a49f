# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the emulated host gets on a disk: the wheel and its libraries, apt's lists, artefacts.

The artefacts come as a shared cache, which the emulated host mounts read-only. apt's lists come
with them, since the names of artefacts depend on what apt offers, and so do apt's answers, since
an emulated host needs minutes for them.
"""

import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.model.settings import Image, Kernel
from tests.kvm_host.steps import BROUGHT, KVM_FACTOR

ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE = ROOT / "tests" / "data" / "example_module"
# The emulated host is a Debian 12, and libraries are compiled for one version of Python.
PYTHON = (3, 11)
# A guest's second processor would wait for the host's only one, and memory is dumped slowly.
_MACHINE = 'image = "debian-12"\n', 'image = "debian-12"\nvcpus = 1\nmemory_mib = 512\n'
_KEYS = f"""
[tool.harness.timeouts]
kvm_factor = {KVM_FACTOR}
"""
# No guest answers so soon.
_NO_TIME = """
[tool.harness.timeouts]
kvm_factor = 1.0
boot_s = 0.01
"""


def fill(folder: Path, base: Image, kernel: Kernel, *, root: Path) -> None:
    """Put everything that the emulated host needs into an empty folder; `root` is the cache here.

    Raises: RuntimeError when this host has another version of Python than the emulated one.
    """
    if sys.version_info[:2] != PYTHON:
        raise RuntimeError(f"Python {PYTHON[0]}.{PYTHON[1]} is needed, as on the emulated host")
    _write_project(folder / "project")
    _pack_apt(folder / "apt.tar")
    (folder / "answers").mkdir()
    for answer in (root / "apt").glob("*.json"):
        shutil.copy(answer, folder / "answers")
    _copy_libraries(folder / "python")
    _build_wheel(folder)
    (folder / "cache").mkdir()
    for one in (base.disk.parent, kernel.vmlinuz.parent):
        share(one, folder / "cache")


def libraries(name: str) -> frozenset[str]:
    """Return the distributions that a distribution needs without any extra, directly or not."""
    found = {name}
    waiting = [name]
    while waiting:
        for line in metadata.requires(waiting.pop()) or ():
            wanted = Requirement(line)
            if wanted.name not in found and (
                wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            ):
                found.add(wanted.name)
                waiting.append(wanted.name)
    return frozenset(found - {name})


def _copy_libraries(folder: Path) -> None:
    """Copy pip and the wheel's libraries as they are installed here; no index is needed."""
    for name in (*libraries("modlab"), "pip"):
        for file in metadata.files(name) or ():
            # Programs lie outside of the folder of libraries.
            if ".." not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), folder / file)


def _build_wheel(folder: Path) -> None:
    """Build the wheel from a copy of its sources, since setuptools writes beside them."""
    with tempfile.TemporaryDirectory(prefix="modlab-wheel-") as place:
        source = Path(place) / "source"
        shutil.copytree(ROOT / "harness", source / "harness")
        shutil.copytree(ROOT / "LICENSES", source / "LICENSES")
        for name in ("pyproject.toml", "README.md"):
            shutil.copyfile(ROOT / name, source / name)
        line = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir")
        command = (*line, str(folder), str(source))
        subprocess.run(command, check=True, timeout=600, capture_output=True)


def share(made: Path, cache: Path) -> None:
    """Put an artefact that lies in this host's cache into a shared cache.

    Raises: RuntimeError when that fails.
    """
    said: list[str] = []
    wanted = Artefact(folder=made, what=made.name, lock_s=0.0, shared=cache)
    artefact.give(wanted, said.append)
    if said:
        raise RuntimeError(said[0])


def _write_project(folder: Path) -> None:
    """Write the example module's project with two configurations: one to pass, one to be lost."""
    shutil.copytree(_EXAMPLE, folder, ignore=shutil.ignore_patterns("build"))
    shutil.copytree(ROOT / "vm-images", folder / "vm-images")
    text = (folder / "pyproject.toml").read_text()
    text = text.replace('"../../../vm-images"', '"vm-images"')
    text = text.replace(*_MACHINE)
    first = "[tool.harness]\n"
    text = text.replace(first, f'{first}shared_cache = "{BROUGHT}/cache"\n')
    (folder / "pyproject.toml").write_text(text + _KEYS)
    (folder / "lost.toml").write_text(text + _NO_TIME)


def _pack_apt(file: Path) -> None:
    """Pack apt's configuration and its lists, by which artefacts get the same names.

    The times are kept to the nanosecond, since answers of apt are stored for lists of one time.
    """
    form = ("tar", "--format=posix", "--exclude=lock", "--exclude=partial", "-cf", file)
    folders = ("-C", "/", "etc/apt", "var/lib/apt/lists")
    subprocess.run((*form, *folders), check=True, timeout=60)
