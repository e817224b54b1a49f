# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of cpu_models: a real libvirt daemon lists the models, and the list is kept."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.guest import cpu_models, hypervisor
from harness.host import config
from harness.model.environment import Environment
from harness.model.machines import TargetSpec
from harness.model.settings import Settings

pytestmark = pytest.mark.skipif(
    shutil.which("libvirtd", path=f"{os.defpath}:/usr/sbin:/sbin") is None
    or shutil.which("qemu-system-x86_64") is None,
    reason="libvirtd or QEMU is not installed",
)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """Return an environment whose runtime folder has a short path, and whose cache is empty."""
    with tempfile.TemporaryDirectory(prefix="osq-t-") as folder:
        yield replace(config.environment({}), cache=tmp_path / "cache", runtime=Path(folder))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a project with one module."""
    (tmp_path / "Kbuild").write_text("obj-m := thing.o\n")
    (tmp_path / "thing.c").write_text("")
    (tmp_path / "modlab.toml").write_text("")
    return config.load(tmp_path / "modlab.toml")


def test_an_unknown_processor_model_is_refused_with_file_key_and_similar_models(
    environment: Environment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target's wrong `cpu` raises ConfigError; libvirt's list of models is then in the cache."""
    wrong = TargetSpec(cpu="SkylakeClient")

    with pytest.raises(ConfigError) as caught:
        cpu_models.check_model(settings, environment, "lab", wrong)

    assert caught.value.message == (
        f"{settings.file}: targets.lab.cpu: QEMU and libvirt know no processor model "
        "'SkylakeClient'"
    )
    assert "Skylake-Client" in caught.value.hint
    assert list(environment.runtime.iterdir()) == []

    def no_connection(*_arguments: object, **_options: object) -> None:
        pytest.fail("libvirt is asked again")

    monkeypatch.setattr(hypervisor, "connect", no_connection)
    cpu_models.check_model(settings, environment, "lab", TargetSpec(cpu="Skylake-Client"))
    with pytest.raises(ConfigError) as caught:
        cpu_models.check_model(settings, environment, "lab", TargetSpec(cpu="x"))
    assert "the models are " in caught.value.hint


def test_without_a_processor_model_libvirt_is_not_asked(
    environment: Environment, settings: Settings
) -> None:
    """For a target without `cpu`, no list of models is fetched into the cache."""
    cpu_models.check_model(settings, environment, "lab", TargetSpec())

    assert not environment.cache.exists()
