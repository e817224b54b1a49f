# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The file by which a run shares its guest with another process, such as pytest.

The file is in the run's folder. It contains the path of the guest's key, and no other secret. It
is JSON with named fields, so that any program can read it.
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
    """The data about a run's guest that another process needs to work in this guest.

    `factor` multiplies the deadlines. `variants` are the module's variants by key. `control` means
    that the tests run without the module.
    """

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
        """The files with debug information of all modules, by the modules' names in the kernel."""
        builds = (self.build, *self.variants.values())
        return {one.name: one.debug for build in builds for one in build.loaded}


_ADAPTER = TypeAdapter(Handoff)


def write(handoff: Handoff, file: Path) -> None:
    """Write the data that another process needs to use a run's guest; replace an older file."""
    data = {**asdict(handoff), "accel": handoff.accel.value, "system": handoff.system.value}
    whole_file.write(file, json.dumps(data, default=str, indent=1) + "\n")


def read(file: Path) -> Handoff:
    """Return the data about a run's guest from the run's session file.

    Raises: UsageError when the file is gone because its run has ended, or is not such a file.
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
