# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The file by which a run lets another process use its guest: pytest, or any test program.

It is in the run's folder and holds no secret except the path of the guest's key. Any program may
read it: it is JSON, and every field is named.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.host import whole_file
from harness.model.provenance import Provenance
from harness.model.settings import Accel, Endpoint, ModuleBuild, System

# The name of the file in a run's folder.
SESSION_FILE = "session.json"


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """The data that a process needs to work in the guest of a run that another process owns."""

    run_id: str
    settings_file: Path
    target: str
    accel: Accel
    factor: float
    folder: Path
    console: Path
    endpoint: Endpoint
    build: ModuleBuild
    variants: dict[str, ModuleBuild]
    provenance: Provenance = field(default_factory=Provenance)
    control: bool = False
    system: System = System.LINUX

    @property
    def modules(self) -> dict[str, Path]:
        """The modules with symbols, by their names in the kernel."""
        builds = (self.build, *self.variants.values())
        return {one.name: one.debug for build in builds for one in build.loaded}


_ADAPTER = TypeAdapter(Handoff)


def write(handoff: Handoff, file: Path) -> None:
    """Write what another process needs to join this guest; the file is replaced at once."""
    data = {**asdict(handoff), "accel": handoff.accel.value, "system": handoff.system.value}
    whole_file.write(file, json.dumps(data, default=str, indent=1) + "\n")


def read(file: Path) -> Handoff:
    """Return the handoff that a run has written to its session file.

    Raises: UsageError when the file is gone because its run has ended, or is not a handoff.
    """
    try:
        return _ADAPTER.validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(
            f"the run of {file} has ended: {error.strerror}",
            hint="unset HARNESS_RUN to let pytest start a guest of its own",
        ) from error
    except ValidationError as error:
        raise UsageError(f"{file} is not the session file of a run") from error
