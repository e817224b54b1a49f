# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The way of a newcomer on a fresh Debian, timed: `pip install` of the wheel, setup, a verdict.

The root file system is bootstrapped for the test and removed afterwards. It shares this machine's
package sources, pip's local folders, certificates and network, and nothing else: neither a cache
nor an installed package.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from harness.artefacts import bootstrap
from harness.artefacts.bootstrap import Bootstrap
from harness.host import apt
from tests.system.whole_run import copy_checkout

SUITE = "bookworm"
# What docs/howto/install-modlab.md installs before pip.
BEFORE = ("ca-certificates", "gcc", "libvirt-dev", "pkg-config", "python3-dev", "python3-venv")
BUILD_S = 600.0
WAY_S = 5400.0
HELLO = """#include <linux/module.h>
static int __init hello_init(void) { return 0; }
static void __exit hello_exit(void) { }
module_init(hello_init);
module_exit(hello_exit);
MODULE_LICENSE("GPL");
"""
_STEP = re.compile(r"^step (\w+) (\d+)$", re.MULTILINE)

# The arguments: $1 the root, then folders of this machine that it shows at the same place.
ENTER = """
root=$1
mount --bind "$root" "$root"
shift
for folder; do
	mkdir -p "$root$folder"
	mount --bind "$folder" "$root$folder"
done
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
# systemd makes this folder at boot; libvirt locks terminals there.
mkdir -m 1777 "$root/run/lock"
mount -t tmpfs tmpfs "$root/tmp"
# A process in a chroot may not make user namespaces; one whose root was exchanged may.
cd "$root"
mkdir before
pivot_root . before
umount -l /before
exec sh -eu /newcomer.sh
"""
NEWCOMER = """
begun=$(date +%s)
step() { echo "step $1 $(($(date +%s) - begun))"; }
python3 -m venv /root/environment
/root/environment/bin/pip install --quiet /wheel/*.whl
step install
/root/environment/bin/modlab setup --yes
step setup
cd /root/hello
/root/environment/bin/modlab test
step verdict
"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.getuid() != 0, reason="a root file system is entered as root"),
]


def pip_settings() -> dict[str, str]:
    """Return the settings of pip on this machine, from its files and from the environment."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    pairs = (line.partition("=") for line in shown.stdout.splitlines())
    return {key.rpartition(".")[2]: ast.literal_eval(value) for key, _, value in pairs}


def folders_in(settings: Iterable[str]) -> Iterator[str]:
    """Yield the folders of this machine that settings name; for a file, its folder.

    A local index is a folder `simple`, whose pages lead to files beside it.
    """
    for word in " ".join(settings).split():
        place = Path(word.removeprefix("file://"))
        if place.is_absolute() and place.exists():
            alone = place.is_dir() and place.name != "simple"
            yield str(place if alone else place.parent)


@pytest.fixture
def fresh_root(tmp_path: Path) -> Iterator[Path]:
    """Give the root file system of a minimal Debian with what pip needs for the wheel."""
    root = tmp_path / "root"
    what = Bootstrap(suite=SUITE, packages=BEFORE, sources=tuple(apt.debian_sources(SUITE)))
    bootstrap.run(what, ["--format=directory"], target=str(root), log=tmp_path / "bootstrap.log")
    yield root
    shutil.rmtree(root)


def wheel(folder: Path) -> Path:
    """Build the wheel of this checkout in a folder, and return it."""
    source = copy_checkout(folder / "source")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(
        [*line, str(source)], check=True, capture_output=True, cwd=folder, timeout=BUILD_S
    )
    return next(folder.glob("*.whl"))


def test_on_a_fresh_debian_pip_install_setup_and_modlab_test_end_in_a_passed_verdict(
    fresh_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a new Debian root without this machine's caches and packages, modlab tests hello.c.

    The seconds from the beginning of `pip install` to the end of each step are printed.
    """
    hello = fresh_root / "root" / "hello"
    hello.mkdir()
    (hello / "Makefile").write_text("obj-m := hello.o\n")
    (hello / "hello.c").write_text(HELLO)
    (fresh_root / "wheel").mkdir()
    shutil.copy2(wheel(tmp_path), fresh_root / "wheel")
    (fresh_root / "newcomer.sh").write_text(NEWCOMER)
    for file in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copyfile(file, f"{fresh_root}{file}")
    settings = pip_settings()
    lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
    (fresh_root / "etc" / "pip.conf").write_text(f"[global]\n{lines}")
    shared = dict.fromkeys([*folders_in(settings.values()), "/etc/ssl/certs"])

    alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    done = subprocess.run(
        [*alone, "sh", "-eu", "-c", ENTER, "enter", str(fresh_root), *shared],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "CI": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=WAY_S,
    )

    assert done.returncode == 0, done.stdout
    assert "verdict: passed" in done.stdout
    seconds = {name: int(text) for name, text in _STEP.findall(done.stdout)}
    assert list(seconds) == ["install", "setup", "verdict"]
    with capsys.disabled():
        sys.stdout.write(f"\nseconds since the beginning: {seconds}\n")
