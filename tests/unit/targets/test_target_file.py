# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of targets.target_file: the shared file and the user's file make one target."""

from pathlib import Path

import pytest

from harness.errors import ConfigError, UsageError
from harness.model.settings import System
from harness.targets import target_file
from harness.targets.target_file import Kind, RemoteSpec

ROOT = Path(__file__).resolve().parents[3]
SHARED = 'type = "ssh"\nsystem = "macos"\nport = 2222\n[libvirt]\nmemory_mib = 4096\n'
OWN = 'host = "mac.local"\nuser = "me"\nkey_file = "key"\nhost_key = "ssh-ed25519 AAAA"\n'


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Make the folder of the project's target files and that of the user's."""
    images, targets = tmp_path / "vm-images", tmp_path / "targets"
    images.mkdir()
    targets.mkdir()
    (images / "macos.toml").write_text(SHARED)
    (images / "debian.toml").write_text('suite = "bookworm"\n')
    return images, targets


def test_a_target_has_the_values_of_the_shared_file_and_those_of_the_users_file(
    folders: tuple[Path, Path],
) -> None:
    """The user's file adds values, also within a table; its paths are relative to its folder."""
    images, targets = folders
    (targets / "macos.toml").write_text(OWN + '[libvirt]\ndisk = "mac.qcow2"\n')

    target = target_file.find("macos", images=images, targets=targets)

    assert target is not None
    assert (target.type, target.system, target.port) == (Kind.SSH, System.MACOS, 2222)
    assert (target.host, target.key_file) == ("mac.local", targets / "key")
    assert (target.libvirt.memory_mib, target.libvirt.disk) == (4096, targets / "mac.qcow2")


def test_a_target_with_only_a_user_file_is_found_but_neither_an_image_nor_an_unknown_name(
    folders: tuple[Path, Path],
) -> None:
    """Names of images that the harness boots are no targets that the user boots."""
    images, targets = folders
    (targets / "lab.toml").write_text('type = "ssh"\nsystem = "linux"\n' + OWN)

    assert target_file.names(images=images, targets=targets) == ("lab", "macos")
    target = target_file.find("lab", images=images, targets=targets)
    assert target is not None
    assert target.system is System.LINUX
    assert target_file.find("debian", images=images, targets=targets) is None
    assert target_file.find("nobody", images=images, targets=targets) is None
    assert target_file.find(None, images=images, targets=targets) is None
    assert target_file.find("../macos", images=images, targets=targets) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('typo = "x"\n', "typo"),
        ('type = "cloud"\n', "type"),
        ('port = "ssh"\n', "port"),
        ("[libvirt]\nosk = 1\n", "libvirt.osk"),
        ("host = \n", "-"),
    ],
)
def test_the_error_for_a_wrong_key_names_the_target_file_and_the_key(
    folders: tuple[Path, Path], text: str, key: str
) -> None:
    """The error for a wrong key in a target's file names the file and the key."""
    images, targets = folders
    (targets / "macos.toml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        target_file.find("macos", images=images, targets=targets)

    assert caught.value.file == targets / "macos.toml"
    assert caught.value.key == key


def test_the_error_for_an_incomplete_target_lists_all_missing_values(tmp_path: Path) -> None:
    """The error lists all values that the user must add, and the command for the host key."""
    bare = RemoteSpec(name="mac", type=Kind.SSH, system=System.MACOS)
    with pytest.raises(UsageError, match="host, user, host_key is not said") as caught:
        target_file.endpoint(bare)
    assert "ssh-keyscan -t ed25519 HOST" in caught.value.hint

    whole = RemoteSpec(
        name="mac",
        type=Kind.SSH,
        system=System.MACOS,
        host="h",
        user="u",
        host_key="ssh-ed25519 AAAA",
        key_file=tmp_path / "none",
    )
    with pytest.raises(UsageError, match="no such key"):
        target_file.endpoint(whole)


def test_the_shipped_macos_target_file_lacks_only_host_user_and_host_key(
    tmp_path: Path,
) -> None:
    """In the shipped vm-images/macos.toml only values of the user are missing."""
    target = target_file.find("macos", images=ROOT / "vm-images", targets=tmp_path)

    assert target is not None
    assert target.system is System.MACOS
    with pytest.raises(UsageError, match="host, user, host_key"):
        target_file.endpoint(target)


def test_a_number_in_the_place_of_a_table_is_refused(folders: tuple[Path, Path]) -> None:
    """`libvirt = 3` in the user's target file, in place of the shared table, is a ConfigError."""
    images, targets = folders
    (targets / "macos.toml").write_text(OWN + "libvirt = 3\n")

    with pytest.raises(ConfigError, match="libvirt"):
        target_file.find("macos", images=images, targets=targets)


def test_the_home_of_an_unknown_user_is_a_missing_file(folders: tuple[Path, Path]) -> None:
    """A key path ~nobody-here/key in a target's file stays as it is, and the error names it."""
    images, targets = folders
    (targets / "macos.toml").write_text(OWN.replace('"key"', '"~nobody-here/key"'))

    target = target_file.find("macos", images=images, targets=targets)

    assert target is not None
    with pytest.raises(UsageError, match=r"no such key: .*~nobody-here/key"):
        target_file.endpoint(target)
