# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.kernel_build: fragments are read and compared, and a source is built once."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import kernel_symbols, kernels, own_kernels
from harness.artefacts.kernel_build import fragments, source
from harness.errors import KernelError
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel

RELEASE = "6.1.7-checks"
VERSION = f"{RELEASE} (me@here) #1 SMP"
# As kconfig does, allnoconfig drops what the source does not know or what is not allowed.
MAKEFILE = """VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 7
all:
\techo made >> made
\tmkdir -p $(O)/arch/x86/boot $(O)/include/config $(O)/init $(O)/scripts
\tcp bzImage $(O)/arch/x86/boot/bzImage
\tcp vmlinux $(O)/vmlinux
\techo 6.1.7-checks > $(O)/include/config/kernel.release
\ttouch $(O)/init/main.o $(O)/scripts/sign.o $(O)/modules.order
\tcp Install $(O)/Makefile
allnoconfig:
\tgrep -v -e UNKNOWN -e NEEDY $(KCONFIG_ALLCONFIG) > $(O)/.config
"""
INSTALL = """modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.1.7-checks
\tprintf 'kernel/%s.ko\\n' virtio_pci virtio_blk ext4 \\
\t\t> $(INSTALL_MOD_PATH)/lib/modules/6.1.7-checks/modules.builtin
"""
KCONFIG = """config NEEDY
\tbool "Needs something"
\tdepends on SOMETHING
\thelp
\t  Text.

config OTHER
\tbool
"""


def test_the_last_line_for_an_option_wins_and_lines_for_other_kernels_are_left_out(
    tmp_path: Path,
) -> None:
    """In kernel config fragments, the comments 'before 6.9' and 'from 6.9' limit a line."""
    first, second = tmp_path / "a.config", tmp_path / "b.config"
    first.write_text('# A comment.\n\nCONFIG_A=y\nCONFIG_S="two words"\nCONFIG_N=7\n')
    second.write_text(
        "# CONFIG_A is not set\nCONFIG_OLD=y # before 6.9\nCONFIG_NEW=y # from 6.9\n"
    )

    found = fragments.read((first, second), (6, 1))

    texts = ['CONFIG_S="two words"', "CONFIG_N=7", "# CONFIG_A is not set", "CONFIG_OLD=y"]
    assert [line.text for line in found] == texts
    assert [line.text for line in fragments.read((second,), (6, 9))][-1] == "CONFIG_NEW=y"
    assert str(found[2]) == f"{second}:1: # CONFIG_A is not set"


@pytest.mark.parametrize("text", ["CONFIG_A", "A=y", "CONFIG_A = y", "CONFIG_A=y no"])
def test_a_line_that_no_configuration_can_have_is_an_error_with_file_and_line(
    text: str, tmp_path: Path
) -> None:
    """A misspelt line of a kernel config fragment is refused before anything is built."""
    file = tmp_path / "a.config"
    file.write_text(f"\n{text}\n")

    with pytest.raises(KernelError, match=rf"^{file}:2: '{text}' is no line"):
        fragments.read((file,), (6, 1))


def test_a_line_counts_as_refused_unless_the_configuration_has_exactly_its_value(
    tmp_path: Path,
) -> None:
    """A fragment's line is refused if the .config has m for its y, or y for its 'is not set'."""
    file = tmp_path / "a.config"
    file.write_text("CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\n")
    lines = fragments.read((file,), (6, 1))

    refused = fragments.refused(lines, "CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=y\n")

    assert [line.name for line in refused] == ["CONFIG_B", "CONFIG_D"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a source whose make leaves the files that a build of Linux leaves."""
    for name in ("mke2fs", "depmod", "objcopy", "flex", "bison", "bc"):
        if shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            pytest.skip(f"no {name} here")
    root = tmp_path / "linux"
    root.mkdir()
    (root / "Makefile").write_text(MAKEFILE)
    (root / "Install").write_text(INSTALL)
    (root / "Kconfig").write_text(KCONFIG)
    image = bytearray(0x1000)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x600)
    image[0x800 : 0x800 + len(VERSION)] = VERSION.encode()
    (root / "bzImage").write_bytes(image)
    banner = f"Linux version {RELEASE} (me@here) (gcc) #1 SMP\\n"
    code = f'const char linux_banner[] = "{banner}";\nint main(void) {{ return *linux_banner; }}\n'
    (tmp_path / "v.c").write_text(code)
    link: list[str | Path] = ["gcc", "-Wl,--build-id", "-o", root / "vmlinux", tmp_path / "v.c"]
    subprocess.run(link, check=True)
    return root


@pytest.fixture(autouse=True)
def busybox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the download of busybox by a stand-in."""
    monkeypatch.setattr(own_kernels, "_busybox", lambda _folder: b"busybox")


def ensure(tree: Path, options: str) -> Kernel:
    """Return the kernel that is built from a source with these options."""
    base, checks = (tree.with_name(f"{name}.config") for name in ("base", "checks"))
    base.write_text("CONFIG_BASE=y\n")
    checks.write_text(options)
    spec = KernelSpec(tree=tree, fragments=(base, checks))
    root = tree.with_name("cache")
    return kernels.ensure("6.1-checks", spec, root=root, progress=lambda _: None)


def count_of_builds(tree: Path) -> int:
    """Return how often make has built a kernel of a source, and remove the count."""
    made = tree / "made"
    count = len(made.read_text().splitlines()) if made.exists() else 0
    made.unlink(missing_ok=True)
    return count


def test_a_kernel_is_built_once_for_the_same_source_and_options_and_again_for_others(
    tree: Path,
) -> None:
    """A change of the source or of an option gives another kernel with another key."""
    first = ensure(tree, "CONFIG_A=y\n")
    assert count_of_builds(tree) == 1
    again = ensure(tree, "CONFIG_A=y\n")
    assert (again, count_of_builds(tree)) == (first, 0)

    other = ensure(tree, "CONFIG_A=m\n")
    assert count_of_builds(tree) == 1
    (tree / "Kconfig").write_text("")
    newer = ensure(tree, "CONFIG_A=y\n")

    assert len({first.key, other.key, newer.key}) == 3


def test_a_built_kernel_has_boot_files_symbols_and_a_folder_to_build_modules_against(
    tree: Path,
) -> None:
    """The build's object files are gone, and its vmlinux is where symbols are looked for."""
    made = ensure(tree, "CONFIG_A=y\n")

    assert made.release == RELEASE
    assert made.vmlinuz.is_file()
    assert made.initrd.is_file()
    assert made.modules_disk.is_file()
    assert 'CONFIG_LOCALVERSION="-checks"' in made.config.read_text().splitlines()
    assert (made.kdir / "scripts" / "sign.o").is_file()
    assert (made.kdir / ".config").is_file()
    assert not (made.kdir / "init" / "main.o").exists()
    assert not (made.kdir / "vmlinux").exists()
    symbols = kernel_symbols.find_all(made, tree.with_name("cache"))
    assert symbols is not None
    assert symbols.vmlinux.is_file()


def test_a_kernel_is_taken_from_a_host_that_has_its_source_in_the_same_place(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The symbols arrive with it. A host with the source in another place builds the kernel."""
    shared, fragment = tmp_path / "shared", tmp_path / "base.config"
    shared.mkdir()
    fragment.write_text("CONFIG_A=y\n")
    spec = KernelSpec(source="linux-source-6.1", fragments=(fragment,))
    found = replace(source.ensure(KernelSpec(tree=tree), root=tmp_path, progress=print), key="k")

    def ensure_on(host: str, folder: Path) -> Kernel:
        place = replace(found, folder=folder)
        monkeypatch.setattr(source, "ensure", lambda *_arguments, **_options: place)
        root = tmp_path / host
        return kernels.ensure("6.1", spec, root=root, shared=shared, progress=print)

    first, second = ensure_on("a", tree), ensure_on("b", tree)
    assert count_of_builds(tree) == 1
    symbols = kernel_symbols.find_all(second, tmp_path / "b")
    elsewhere = tree.rename(tree.with_name("elsewhere"))
    third = ensure_on("c", elsewhere)

    assert first.key == second.key != third.key
    assert second.vmlinuz.is_file()
    assert (second.kdir / "scripts" / "sign.o").is_file()
    assert symbols is not None
    assert symbols.vmlinux.is_file()
    assert count_of_builds(elsewhere) == 1


def test_a_kernel_whose_symbols_the_shared_cache_has_lost_is_used_without_them(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not built again; no symbols are found for it, and a message names its -dbg package."""
    shared, fragment = tmp_path / "shared", tmp_path / "base.config"
    shared.mkdir()
    fragment.write_text("CONFIG_A=y\n")
    spec = KernelSpec(source="linux-source-6.1", fragments=(fragment,))
    found = source.ensure(KernelSpec(tree=tree), root=tmp_path, progress=print)
    monkeypatch.setattr(source, "ensure", lambda *_arguments, **_options: found)
    kernels.ensure("6.1", spec, root=tmp_path / "a", shared=shared, progress=print)
    shutil.rmtree(next(shared.glob("*/symbols")))
    said: list[str] = []

    made = kernels.ensure("6.1", spec, root=tmp_path / "b", shared=shared, progress=said.append)

    assert count_of_builds(tree) == 1
    assert kernel_symbols.find_all(made, tmp_path / "b") is None
    assert f"linux-image-{made.release}-dbg" in said[-1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("CONFIG_UNKNOWN=y", "this source has no such option"),
        ("CONFIG_NEEDY=y", "it is off; it depends on SOMETHING"),
    ],
)
def test_an_option_that_the_source_refuses_is_an_error_with_file_line_and_reason(
    line: str, reason: str, tree: Path
) -> None:
    """An option that Kconfig drops silently is an error, and no kernel is built."""
    with pytest.raises(KernelError) as caught:
        ensure(tree, f"CONFIG_A=y\n{line}\n")

    place = f"{tree.with_name('checks.config')}:2: "
    assert caught.value.message == f"{place}6.1.7 refuses {line}"
    assert caught.value.evidence == (f"{place}{line}: {reason}",)
    assert count_of_builds(tree) == 0


def test_a_source_in_which_a_kernel_was_built_is_refused_with_a_cure(tree: Path) -> None:
    """Make cannot build such a source in another folder, so the error names `make mrproper`."""
    (tree / ".config").touch()

    with pytest.raises(KernelError, match=r"has a \.config") as caught:
        ensure(tree, "CONFIG_A=y\n")

    assert "make mrproper" in caught.value.hint


def test_a_folder_without_a_kernels_makefile_is_no_source(tree: Path) -> None:
    """A folder whose Makefile has no kernel version is refused as a kernel's source."""
    (tree / "Makefile").write_text("all:\n")

    with pytest.raises(KernelError, match="is no source of a kernel"):
        ensure(tree, "CONFIG_A=y\n")


def test_an_interrupted_build_leaves_no_folder_and_no_process(tree: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of make ends make, and removes what it has built so far."""
    (tree / "Makefile").write_text(MAKEFILE.replace("\techo made", "\tsleep 300\n\techo made"))
    (tmp_path / "base.config").write_text("CONFIG_A=y\n")
    script = tmp_path / "build.py"
    script.write_text(
        "from pathlib import Path\n"
        "from harness.artefacts import kernels\n"
        "from harness.model.machines import KernelSpec\n"
        f"spec = KernelSpec(tree=Path({str(tree)!r}), fragments=(Path('base.config'),))\n"
        "kernels.ensure('k', spec, root=Path('cache').absolute(), progress=print)\n"
    )
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )
    log = _awaited(tmp_path, "cache/kernels/.*.make.log", "sleep 300")

    process.send_signal(signal.SIGINT)
    process.wait(30)

    assert [one.name for one in log.parent.iterdir() if one.is_dir()] == []
    assert subprocess.run(["pgrep", "-f", f"O={tmp_path}"], check=False).returncode == 1


def _awaited(root: Path, pattern: str, text: str) -> Path:
    """Return the file that appears with a text."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for file in root.glob(pattern):
            if text in file.read_text():
                return file
        time.sleep(0.05)
    pytest.fail(f"no {pattern} with {text}")
