# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""dkms passes over a kernel for which the driver cannot be built; a failed build stops upgrades.

When a build fails, dkms autoinstall fails, and with it the installation of a kernel's package.
"""

import re
from pathlib import Path

import pytest

from harness.modules import dkms

CONF = Path(__file__).parents[2] / "packaging" / "dkms.conf"
# Without these the module does not link.
NEEDED = ("CONFIG_TRACEPOINTS", "CONFIG_INET")
# The driver does without these.
SPARED = ("CONFIG_CGROUPS", "CONFIG_FSNOTIFY", "CONFIG_IPV6", "CONFIG_KPROBES", "CONFIG_SECURITY")


def excluded(kdir: Path, *, without: str = "") -> str:
    """Return the directive by which dkms passes over a kernel that lacks one option."""
    options = [option for option in (*NEEDED, *SPARED) if option != without]
    (kdir / ".config").write_text("".join(f"{option}=y\n" for option in options))
    return dkms.read(CONF, kdir=kdir).excluded


@pytest.mark.parametrize("option", NEEDED)
def test_a_kernel_without_what_the_driver_needs_is_passed_over(
    tmp_path: Path, option: str
) -> None:
    """dkms.conf excludes a kernel without CONFIG_TRACEPOINTS or CONFIG_INET: no build is tried."""
    assert excluded(tmp_path, without=option) == f"BUILD_EXCLUSIVE_CONFIG: {option}"


@pytest.mark.parametrize("option", ["", *SPARED])
def test_a_kernel_without_what_the_driver_can_spare_is_built_for(
    tmp_path: Path, option: str
) -> None:
    """dkms.conf does not exclude a kernel without CONFIG_CGROUPS, IPV6, KPROBES or the like."""
    assert excluded(tmp_path, without=option) == ""


def test_other_architectures_are_passed_over() -> None:
    """dkms.conf names x86_64 and aarch64 alone, by a directive that Debian 11's dkms knows."""
    found = re.search(r'^BUILD_EXCLUSIVE_ARCH="(.*)"$', CONF.read_text(), re.MULTILINE)

    assert found is not None
    machines = ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv64")
    assert [one for one in machines if re.search(found[1], one)] == ["x86_64", "aarch64"]
