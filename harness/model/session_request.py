# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is asked for when a guest is started: artefacts, machine and folders, as a value."""

from dataclasses import dataclass
from pathlib import Path

from harness.model.limits import Timeouts
from harness.model.machines import TargetSpec
from harness.model.settings import Accel, Image, Kernel


@dataclass(frozen=True, kw_only=True)
class SessionRequest:
    """The image, kernel and machine of a guest to be started, and the folders of its run.

    `folder` is the run's folder of results. `share` is a folder of the host. The guest gets a copy
    of the folder, or with `writable` the folder itself. `uri` is that of the user's libvirt, None
    for a private daemon. With `fresh` the guest is booted and not restored; with `keep` it stays
    after the session. `allowed` are patterns of kernel reports that are no faults.
    """

    run_id: str
    target_name: str
    target: TargetSpec
    image: Image
    kernel: Kernel
    timeouts: Timeouts
    cache: Path
    runtime: Path
    folder: Path
    accel: Accel | None = None
    uri: str | None = None
    fresh: bool = False
    keep: bool = False
    share: Path | None = None
    writable: bool = False
    allowed: tuple[str, ...] = ()
