# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A copy of a kernel's headers that a test may change, and a copy of the driver to build with it.

The files of the copy are links to the cached headers, so that a copy takes a second. An edit
replaces the link by a file.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import source_copy

DRIVER = Path(__file__).parents[2] / "kernel"
_BUILD_S = 600.0
_HAVE = "-DOSQ_HAVE_"


@dataclass(frozen=True, kw_only=True)
class EditedHeaders:
    """The copied headers of one kernel: its own (`kdir`) and those common to its flavours."""

    kdir: Path
    common: Path
    driver: Path

    def edit(self, header: str, old: str, new: str) -> None:
        """Replace a text in a header; `header` is its path below the common folder.

        Raises: AssertionError when the header has no such text.
        """
        file = self.common / header
        text = file.read_text()
        assert old in text, f"{header} does not have: {old}"
        _replace(file, text.replace(old, new))

    def switch_off(self, *options: str) -> None:
        """Make the configuration that of a kernel without these options (CONFIG_IPV6 ...).

        Raises: AssertionError for an option that the kernel does not have either.
        """
        for name, line in (
            ("generated/autoconf.h", r"#define {} 1\n"),
            ("config/auto.conf", r"{}=y\n"),
        ):
            file = self.kdir / "include" / name
            text = file.read_text()
            for option in options:
                text, count = re.subn(f"^{line.format(option)}", "", text, flags=re.MULTILINE)
                assert count == 1, f"{name} does not have {option}"
            _replace(file, text)

    def build(self, *objects: str, **variables: str) -> None:
        """Compile objects of os/linux; warnings are errors.

        Raises: AssertionError with the compiler's messages.
        """
        done = self.make(*objects, **{"OSQ_WERROR": "y", **variables})

        assert done.returncode == 0, done.stdout

    def parts(self) -> set[str]:
        """Return the objects of os/linux of which the module would be made."""
        config = self.kdir / "include" / "config" / "auto.conf"
        return set(_asked(self.common, "$(osq-parts)", config))

    def make(self, *targets: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run make for targets in os/linux, and return its result; it may have failed."""
        words = [f"{name}={value}" for name, value in variables.items()]
        return subprocess.run(
            ["make", "-s", "-C", self.kdir, f"M={self.driver / 'os' / 'linux'}", *words, *targets],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_S,
        )


def copy_headers(kdir: Path, to: Path) -> EditedHeaders:
    """Return a copy of the headers in `kdir`, laid out as the cache has them, with the driver."""
    cached = kdir.parents[1]
    for name in ("src", "lib"):
        shutil.copytree(cached / name, to / name, symlinks=True, copy_function=_link)
    for makefile in (to / "src").glob("*/Makefile"):
        text = makefile.read_text()
        if str(cached) in text:
            _replace(makefile, text.replace(str(cached), str(to)))
    source_copy.mirror(DRIVER, to / "kernel")
    common = next((to / "src").glob("linux-headers-*-common*"))
    return EditedHeaders(kdir=to / "src" / kdir.name, common=common, driver=to / "kernel")


def macros(common: Path) -> set[str]:
    """Return what Kbuild finds in headers: the macros OSQ_HAVE_*, without that beginning."""
    words = _asked(common, "$(ccflags-y)")
    return {word.removeprefix(_HAVE) for word in words if word.startswith(_HAVE)}


def _asked(common: Path, expression: str, config: Path | None = None) -> list[str]:
    """Return the words of an expression, as make sees it after it has read the driver's Kbuild.

    Without a configuration, the kernel has fsnotify.
    """
    folder = DRIVER / "os" / "linux"
    options = f"include {config}" if config else "CONFIG_FSNOTIFY := y"
    rules = f"{options}\ninclude {folder}/Kbuild\nall:\n\t@echo {expression}\n"
    done = subprocess.run(
        ["make", "-s", "-f", "-", f"src={folder}", f"srctree={common}", "all"],
        input=rules,
        check=True,
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
    )
    return done.stdout.split()


def _link(source: str, target: str) -> None:
    if Path(source).is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        Path(target).symlink_to(source)


def _replace(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)
