# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Limits from the configuration: the deadlines of a run, and how many memory dumps are kept."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

# As in `settings`, a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds, each multiplied by the factor of the accelerator.

    Attributes:
        boot_s: From power on until the guest answers over SSH; up to three times as long while
            its console goes on printing, as on a busy host.
        ssh_s: To connect over SSH to a guest that runs already.
        load_s: For insmod and rmmod, and for device nodes to appear.
        test_s: For one test; when several modules are loaded, each further one adds `load_s`.
        silence_s: How long the heartbeat of the guest's kernel may be missing on the console
            before the guest counts as hung.
        kvm_factor: By what every deadline is multiplied under KVM. It is for slow hosts, such as
            one that is a virtual machine itself.
        tcg_factor: By what every deadline is multiplied when the guest is emulated.
        long_factor: By what the deadlines of one test and of one suite are multiplied with --long.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    boot_s: float = 90.0
    ssh_s: float = 10.0
    load_s: float = 10.0
    test_s: float = 60.0
    silence_s: float = 10.0
    kvm_factor: float = 1.0
    tcg_factor: float = 4.0
    long_factor: float = 15.0

    def for_modules(self, count: int) -> "Timeouts":
        """Return deadlines that let one test unload and load this many modules again."""
        return replace(self, test_s=self.test_s + self.load_s * (count - 1))


@dataclass(frozen=True, kw_only=True)
class VmcoreLimits:
    """How many dumps of guests' memory all runs of the project keep. The oldest go first.

    Attributes:
        keep: The largest number of dumps.
        total_mib: The largest size of all dumps together, in MiB.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    keep: int = 10
    total_mib: int = 4096
