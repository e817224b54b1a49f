# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of modules.dkms: a dkms.conf is run as a shell file; its values depend on the kernel."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.errors import ConfigError
from harness.modules import dkms, namespace
from harness.modules.dkms import DkmsConf, DkmsModule

NAMED = 'PACKAGE_NAME="p"\nPACKAGE_VERSION="1.0"\n'
ONE = NAMED + 'BUILT_MODULE_NAME[0]="m"\nDEST_MODULE_LOCATION[0]="/extra"\n'


def read(folder: Path, text: str, *, release: str = "6.1.0-9-amd64", **options: str) -> DkmsConf:
    """Return the values of a dkms.conf with this text for a given kernel."""
    conf = folder / "dkms.conf"
    conf.write_text(text)
    kdir = folder / "kdir"
    kdir.mkdir(exist_ok=True)
    (kdir / ".config").write_text("".join(f"{key}={text}\n" for key, text in options.items()))
    return dkms.read(conf, release=release, kdir=kdir, tree=Path("/tree"))


def test_a_plain_dkms_conf_has_one_module_and_the_default_make(tmp_path: Path) -> None:
    """A plain dkms.conf gives one module, and dkms's default make command when it names none."""
    found = read(tmp_path, ONE)

    assert (found.package, found.version) == ("p", "1.0")
    assert found.modules == (DkmsModule(name="m"),)
    assert found.make == f"make -C {tmp_path / 'kdir'} M=/tree/p/1.0/build"
    assert (found.patches, found.before, found.after, found.excluded) == ((), "", "", "")


def test_each_module_of_a_dkms_conf_has_its_own_built_module_location(tmp_path: Path) -> None:
    """Each of several modules in a dkms.conf has its own folder below the build folder."""
    text = (
        'BUILT_MODULE_NAME[1]="n"\nBUILT_MODULE_LOCATION[1]="src/n/"\n'
        'DEST_MODULE_LOCATION[1]="/extra"\n'
    )

    assert read(tmp_path, ONE + text).modules == (
        DkmsModule(name="m"),
        DkmsModule(name="n", location="src/n"),
    )


def test_a_module_without_a_name_gets_that_of_the_package(tmp_path: Path) -> None:
    """The only module of a dkms.conf, if it has no name, gets the package's name."""
    found = read(tmp_path, NAMED + "DEST_MODULE_LOCATION=/updates\n")

    assert found.modules == (DkmsModule(name="p"),)


def test_a_dkms_conf_can_use_the_variables_that_dkms_sets(tmp_path: Path) -> None:
    """A dkms.conf can use the variables that dkms sets: release, headers, tree, its own name."""
    text = 'MAKE="make K=$kernelver D=$kernel_source_dir T=$dkms_tree/$module/$module_version"\n'

    words = read(tmp_path, ONE + text).make.split()

    assert words[1] == "K=6.1.0-9-amd64"
    assert words[2:] == [f"D={tmp_path / 'kdir'}", "T=/tree/p/1.0"]


def test_patterns_in_a_dkms_conf_choose_commands_and_patches_by_kernel(tmp_path: Path) -> None:
    """MAKE_MATCH and PATCH_MATCH are bash's regular expressions for the kernel's release."""
    text = (
        'PATCH[0]="always"\nPATCH[1]="old"\nPATCH_MATCH[1]="^5\\."\n'
        'PATCH[2]="new"\nPATCH_MATCH[2]="^6\\.[0-9]+"\n'
        'MAKE[0]="make old"\nMAKE_MATCH[0]="^5"\nMAKE[1]="make new"\nMAKE_MATCH[1]="^6"\n'
    )

    new, old = read(tmp_path, ONE + text), read(tmp_path, ONE + text, release="5.10.0-1-amd64")

    assert (new.make, new.patches) == ("make new", ("always", "new"))
    assert (old.make, old.patches) == ("make old", ("always", "old"))


@pytest.mark.parametrize(
    ("line", "excluded"),
    [
        ('BUILD_EXCLUSIVE_KERNEL="^5"', True),
        ('BUILD_EXCLUSIVE_KERNEL="^6"', False),
        ('BUILD_EXCLUSIVE_KERNEL_MIN="6.2"', True),
        ('BUILD_EXCLUSIVE_KERNEL_MIN="5.19"', False),
        ('BUILD_EXCLUSIVE_KERNEL_MAX="5.99"', True),
        ('BUILD_EXCLUSIVE_ARCH="aarch64"', True),
        ('BUILD_EXCLUSIVE_CONFIG="CONFIG_A"', False),
        ('BUILD_EXCLUSIVE_CONFIG="CONFIG_A CONFIG_B"', True),
        ('BUILD_EXCLUSIVE_CONFIG="!CONFIG_A"', True),
    ],
)
def test_when_a_dkms_directive_excludes_the_kernel_the_reason_names_the_directive(
    tmp_path: Path,
    line: str,
    excluded: bool,  # noqa: FBT001
) -> None:
    """The reason begins with the name of the line BUILD_EXCLUSIVE_*; without one it is empty."""
    found = read(tmp_path, f"{ONE}{line}\n", CONFIG_A="m")

    assert bool(found.excluded) is excluded
    assert found.excluded.startswith(line.partition("=")[0]) is excluded


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "PACKAGE_NAME"),
        ('PACKAGE_NAME="p"\n', "PACKAGE_VERSION"),
        (NAMED, "BUILT_MODULE_NAME"),
        (NAMED + 'BUILT_MODULE_NAME[0]="m.ko"\n', "BUILT_MODULE_NAME"),
        (NAMED.replace('"p"', '"../p"') + 'BUILT_MODULE_NAME[0]="m"\n', "PACKAGE_NAME"),
        ("exit 0\n", "-"),
        ("if true\n", "-"),
    ],
)
def test_the_error_for_a_bad_dkms_conf_names_the_bad_key_or_a_dash_if_its_shell_ended_early(
    tmp_path: Path, text: str, key: str
) -> None:
    """A dkms.conf is run by a shell; if that exits before the end, no key is known."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert caught.value.key == key
    assert caught.value.file == tmp_path / "dkms.conf"


def test_an_endless_dkms_conf_is_an_error_and_its_shell_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dkms.conf that never ends is an error at the deadline, and its shell is killed."""
    monkeypatch.setattr(dkms, "_DEADLINE_S", 0.5)

    with pytest.raises(ConfigError, match="has not ended"):
        read(tmp_path, "while :; do sleep 1; done\n")

    conf = str(tmp_path / "dkms.conf")
    lines = (process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"]))
    assert [line for line in lines if conf in line] == []


def test_text_printed_by_a_dkms_conf_changes_no_value_and_files_it_writes_are_removed(
    tmp_path: Path,
) -> None:
    """A dkms.conf is a shell script; what it prints or writes has no effect on the harness."""
    found = read(tmp_path, ONE + "echo package; printf 'name\\0evil\\0'; : > litter\n")

    assert found.modules == (DkmsModule(name="m"),)
    assert not (tmp_path / "litter").exists()


def test_a_command_run_in_the_namespace_has_no_network_device_except_loopback() -> None:
    """The namespaces in which a dkms.conf's shell runs have no network."""
    prefix = namespace.prefix()
    if not prefix:
        pytest.skip("this host allows no namespaces")
    done = subprocess.run(
        [*prefix, "cat", "/proc/net/dev"], check=True, capture_output=True, text=True
    )

    names = [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line]
    assert names == ["lo"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.replace(b"\n", b"\r\n"), "PACKAGE_NAME: .* has a control character"),
        (lambda data: b"\xef\xbb\xbf" + data, "-: begins with a byte order mark"),
        (lambda data: data + b'BUILT_MODULE_NAME="../x"\n', "without .ko is expected, not '../x'"),
    ],
)
def test_a_dkms_conf_from_windows_and_a_path_in_place_of_a_name_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    """The error says why a dkms.conf with CR LF, or a path as a module's name, cannot work."""
    conf = tmp_path / "dkms.conf"
    plain = b"PACKAGE_NAME=p\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=m\n"
    conf.write_bytes(change(plain))

    with pytest.raises(ConfigError, match=words):
        dkms.read(conf)
