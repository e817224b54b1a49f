# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""programs: where a tool is, and what to type when it is not there."""

import pytest

from harness.errors import BuildError, HypervisorError
from harness.host import programs


def test_the_first_program_that_is_here_is_found() -> None:
    """Names are tried in their order."""
    assert programs.find("no-such-tool", "sh", error=BuildError).endswith("/sh")


@pytest.mark.parametrize(
    ("name", "package"), [("libvirtd", "libvirt-daemon"), ("qemu-img", "qemu-utils")]
)
def test_a_missing_program_names_its_package(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    """The error has the class that the caller gives, and a hint with the command to run."""
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)

    with pytest.raises(HypervisorError, match=rf"^{name} is not installed$") as caught:
        programs.find(name, "another", error=HypervisorError)

    assert caught.value.hint == f"run apt-get install {package}, or ./dev, which does"


def test_a_package_of_the_same_name_is_the_default() -> None:
    """A program that is not in the table is in the package of the same name."""
    assert programs.package("mmdebstrap") == "mmdebstrap"
