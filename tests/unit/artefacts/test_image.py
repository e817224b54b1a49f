# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.image: descriptions are checked, and intact cached images are reused."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.artefacts import image
from harness.errors import ConfigError, ImageError
from harness.host import apt
from harness.model.machines import ImageChange, ImageSpec
from harness.model.settings import Image


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the bootstrap by a stand-in; the returned list records the folder of each image."""
    folders: list[Path] = []

    def bootstrap(_spec: ImageSpec, _sources: list[str], folder: Path, _progress: object) -> None:
        folders.append(folder)
        (folder / "root.qcow2").write_bytes(bytes(1000))
        (folder / "host_key.pub").write_text("ssh-ed25519 AAAA harness\n")
        facts = {"disk_bytes": 1000, "made": f"{len(folders):08x}"}
        (folder / "image.json").write_text(json.dumps(facts))

    monkeypatch.setattr(image, "_bootstrap", bootstrap)
    monkeypatch.setattr(apt, "debian_sources", lambda suite: [f"deb http://x {suite} main"])
    return folders


@pytest.fixture
def spec(tmp_path: Path) -> ImageSpec:
    """Give the description of a small image."""
    setup = tmp_path / "one.setup.sh"
    setup.write_text("true\n")
    return ImageSpec(name="one", suite="bookworm", packages=("a", "b"), setup=setup)


def ensure(spec: ImageSpec, root: Path, said: list[str] | None = None) -> Image:
    """Return the image from the cache in `root`, made first if it is missing."""
    return image.ensure(spec, root=root, progress=(said if said is not None else []).append)


def test_a_cached_image_is_reused_until_its_setup_script_changes(
    spec: ImageSpec, tmp_path: Path, made: list[Path]
) -> None:
    """The guest image is made again only for another set-up script, not for a second call."""
    first, second = ensure(spec, tmp_path), ensure(spec, tmp_path)
    spec.setup.write_text("false\n")
    third = ensure(spec, tmp_path)

    assert first == second
    assert first.key != third.key
    assert len(made) == 2
    assert first.host_key == "ssh-ed25519 AAAA harness"


@pytest.mark.parametrize("harm", ["truncate", "no disk", "no facts", "no key"])
def test_a_damaged_image_is_made_again(
    spec: ImageSpec, tmp_path: Path, made: list[Path], harm: str
) -> None:
    """A cached image with a missing or cut file is deleted, made again and has another key."""
    first, said = ensure(spec, tmp_path), list[str]()
    folder = first.disk.parent
    if harm == "truncate":
        first.disk.write_bytes(bytes(999))
    else:
        name = {"no disk": "root.qcow2", "no facts": "image.json", "no key": "host_key.pub"}[harm]
        (folder / name).unlink()

    second = ensure(spec, tmp_path, said)

    assert said[0].startswith("image one in the cache is replaced: ")
    assert first.disk == second.disk
    assert first.key != second.key
    assert len(made) == 2


def test_a_failed_bootstrap_leaves_no_image(
    spec: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[Path]
) -> None:
    """After a guest image could not be made, the cache has no part of it."""

    def fail(_spec: ImageSpec, _sources: list[str], folder: Path, _progress: object) -> None:
        (folder / "root.qcow2").write_bytes(b"half")
        raise ImageError("mmdebstrap failed")

    with monkeypatch.context() as patch:
        patch.setattr(image, "_bootstrap", fail)
        with pytest.raises(ImageError):
            ensure(spec, tmp_path)

    assert [path for path in (tmp_path / "images").iterdir() if path.is_dir()] == []
    assert ensure(spec, tmp_path).disk.exists()
    assert len(made) == 1


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("suite = 5", "suite", "string"),
        ('suite = "x"\npackages = ["a"]\nsetup = "no.sh"', "setup", "no such file"),
        ('suite = "x"\npackages = ["a"]\nsetup = "s.sh"\nmore = 1', "more", ""),
        ("suite = ", "-", "not valid TOML"),
    ],
)
def test_the_error_for_a_wrong_image_description_names_file_and_key(
    tmp_path: Path, text: str, key: str, says: str
) -> None:
    """The error for a wrong image description names the file, the key and the reason."""
    (tmp_path / "one.toml").write_text(text)
    (tmp_path / "s.sh").write_text("")

    with pytest.raises(ConfigError) as caught:
        image.load_spec(tmp_path, "one")

    assert (caught.value.file, caught.value.key) == (tmp_path / "one.toml", key)
    assert says in str(caught.value)


def test_the_error_for_an_unknown_image_lists_the_known_images(tmp_path: Path) -> None:
    """The error for an unknown image name lists the known images."""
    (tmp_path / "debian-12.toml").write_text("")

    with pytest.raises(ConfigError, match="there are: debian-12, debian-13"):
        image.load_spec(tmp_path, "debian-21")


def test_a_shipped_image_description_is_loaded_if_the_project_has_no_image_folder(
    tmp_path: Path,
) -> None:
    """A project without an image folder can use the images that ship with the harness."""
    spec = image.load_spec(tmp_path / "none", "debian-12")

    assert (spec.suite, spec.setup.name) == ("bookworm", "debian.setup.sh")
    assert spec.setup.is_file()
    assert image.load_spec(tmp_path, "debian-13").suite == "trixie"


def test_an_image_that_extends_a_base_image_has_the_base_images_packages_and_its_own(
    tmp_path: Path,
) -> None:
    """With `extends`, an image description adds packages to those of another, shipped or own."""
    base = image.load_spec(tmp_path, "debian-12")
    (tmp_path / "debian-12.toml").write_text('extends = "debian-12"\npackages = ["iptables"]\n')
    (tmp_path / "big.toml").write_text('extends = "debian-12"\nsize_mib = 4096\n')

    own = image.load_spec(tmp_path, "debian-12")
    big = image.load_spec(tmp_path, "big")
    inline = image.load_spec(tmp_path, ImageChange(extends="big", packages=("fio", "udev")))

    assert set(own.packages) - set(base.packages) == {"iptables"}
    assert (big.name, big.size_mib, big.packages) == ("big", 4096, own.packages)
    assert (inline.name, inline.size_mib) == ("big-extended", 4096)
    assert set(inline.packages) - set(own.packages) == {"fio"}
    assert len(inline.packages) == len(set(inline.packages))


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ('extends = "nothing"', "extends", "no image 'nothing'; there are: debian-12"),
        ('extends = "one"', "extends", "no image 'one'"),
        ('extends = "debian-12"\nsize_mib = -1', "size_mib", "-1 is not from 64"),
        ('extends = "debian-12"\nname = "x"', "name", "no such key"),
        ('extends = "debian-12"\nsuite = "x"', "suite", "argument"),
        ('extends = "debian-12"\nsetup = "no.sh"', "setup", "no such file"),
    ],
)
def test_an_image_with_an_unknown_base_unknown_key_or_missing_setup_script_is_a_config_error(
    tmp_path: Path, text: str, key: str, says: str
) -> None:
    """The ConfigError names the key of the image's description and says what is wrong with it."""
    (tmp_path / "one.toml").write_text(text)

    with pytest.raises(ConfigError, match=says) as caught:
        image.load_spec(tmp_path, "one")

    assert caught.value.key == key


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here (qemu-utils)")
def test_an_overlay_on_a_missing_image_is_an_error_that_names_the_image(tmp_path: Path) -> None:
    """Making a qcow2 overlay on a missing image fails with qemu-img's message and the path."""
    base = Image(name="x", key="k", disk=tmp_path / "no", ssh_key=tmp_path, host_key="")

    with pytest.raises(ImageError, match="qemu-img failed") as caught:
        image.make_overlay(base, tmp_path / "overlay")

    assert any(str(tmp_path / "no") in line for line in caught.value.evidence)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here (qemu-utils)")
def test_an_overlays_backing_image_is_still_found_after_the_cache_folder_is_moved(
    tmp_path: Path,
) -> None:
    """An overlay names its backing image by a relative path, so the cache folder can be moved."""
    first = tmp_path / "first"
    (first / "images").mkdir(parents=True)
    (first / "snapshots").mkdir()
    disk = first / "images" / "root.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
    base = Image(name="x", key="k", disk=disk, ssh_key=tmp_path, host_key="")
    image.make_overlay(base, first / "snapshots" / "overlay.qcow2")

    moved = first.rename(tmp_path / "second")

    line = ["qemu-img", "info", "--backing-chain", "--output=json"]
    done = subprocess.run(
        [*line, moved / "snapshots" / "overlay.qcow2"], check=True, capture_output=True
    )
    names = [Path(one["filename"]).resolve() for one in json.loads(done.stdout)]
    assert names == [moved / "snapshots" / "overlay.qcow2", moved / "images" / "root.qcow2"]


def test_the_cache_list_has_kind_and_name_of_an_image_and_a_snapshot_and_omits_unfinished_ones(
    spec: ImageSpec, tmp_path: Path, made: list[Path]
) -> None:
    """The list of the cache's contents omits a folder of an image that is still being made."""
    ensure(spec, tmp_path)
    (tmp_path / "snapshots" / "0123456789abcdef").mkdir(parents=True)
    (tmp_path / "images" / ".half.1.tmp").mkdir()

    found = image.list_cached(tmp_path)

    assert [(item.kind, item.name) for item in found] == [
        ("images", "one"),
        ("snapshots", "snapshot"),
        ("apt", "apt"),
    ]
    assert len(made) == 1


def test_images_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    """The ConfigError names the description's file whose `extends` closes the circle."""
    (tmp_path / "one.toml").write_text('extends = "two"\n')
    (tmp_path / "two.toml").write_text('extends = "one"\n')

    with pytest.raises(ConfigError) as caught:
        image.load_spec(tmp_path, "one")

    assert caught.value.message == (
        f"{tmp_path / 'two.toml'}: extends: one extends this image itself"
    )


def test_an_image_that_another_host_has_made_is_taken(
    spec: ImageSpec, tmp_path: Path, made: list[Path]
) -> None:
    """Its key is the same on both hosts, and a host with other apt sources makes its own."""
    shared = tmp_path / "shared"
    shared.mkdir()
    found = [
        image.ensure(spec, root=tmp_path / host, shared=shared, progress=lambda _: None)
        for host in ("a", "b")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apt, "debian_sources", lambda suite: [f"deb http://y {suite} main"])
        other = image.ensure(spec, root=tmp_path / "c", shared=shared, progress=lambda _: None)

    assert found[0].key == found[1].key != other.key
    assert found[0].disk != found[1].disk
    assert len(made) == 2
