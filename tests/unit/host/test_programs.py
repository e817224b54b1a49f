# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.programs: a program's path is found, and a missing one's hint has its package."""

import pytest

from harness.errors import BuildError, HypervisorError
from harness.host import programs


def test_the_first_installed_program_is_found() -> None:
    """Of several program names, the first one that is installed is found."""
    assert programs.find("no-such-tool", "sh", error=BuildError).endswith("/sh")


@pytest.mark.parametrize(
    ("name", "package"), [("libvirtd", "libvirt-daemon"), ("qemu-img", "qemu-utils")]
)
def test_a_missing_program_raises_the_callers_error_with_apt_get_install_of_its_package(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    """A missing program raises the caller's error class, and the hint has the command to run."""
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)

    with pytest.raises(HypervisorError, match=rf"^{name} is not installed$") as caught:
        programs.find(name, "another", error=HypervisorError)

    assert caught.value.hint.startswith(f"run apt-get install {package}; modlab setup installs")


def test_a_program_not_in_the_package_table_is_in_the_package_of_its_own_name() -> None:
    """A program that is not in the table is in the package of the same name."""
    assert programs.package("mmdebstrap") == "mmdebstrap"
