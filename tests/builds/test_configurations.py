# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds for kernels that were configured without something that the driver uses."""

import pytest

from tests.builds.edited_headers import EditedHeaders

# What of the driver uses each option.
_PROBES = (
    *("socket_hooks.o", "probes.o", "programs.o", "publish_cred.o", "publish_ptrace.o"),
    *("publish_namespace.o", "publish_bpf.o", "publish_kexec.o", "publish_signal.o"),
    *("module_calls.o", "publish_module.o", "scripts.o"),
)
USERS = {
    "IPV6": ("socket_record.o", "socket_hooks.o"),
    "CGROUPS": ("namespaces.o", "filter.o", "main.o"),
    "ARGUMENTS": _PROBES,
    "KPROBES": _PROBES,
}


@pytest.mark.parametrize("option", USERS)
def test_the_driver_builds_without_an_option(headers: EditedHeaders, option: str) -> None:
    """Without one option of the kernel, such as IPv6 or kprobes, the files that use it compile."""
    headers.build(*USERS[option], OSQ_WITHOUT=option)
