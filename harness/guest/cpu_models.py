# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check the name of a target's processor model before anything is built for the target.

libvirt lists the models that both libvirt and QEMU know. A private daemon needs seconds to answer,
so its list is kept in the cache for as long as the programs stay the same.
"""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.errors import ConfigError, HypervisorError
from harness.guest import hypervisor, registry
from harness.guest.hypervisor import Hypervisor
from harness.host import cache, programs, whole_file
from harness.model.environment import Environment
from harness.model.machines import TargetSpec
from harness.model.settings import Settings

# libvirt's name of an emulated machine. It knows the same names of models for KVM.
_EMULATED = "qemu"
_MACHINE = "q35"
_MODELS = "./cpu/mode[@name='custom']/model"
_FOLDER = "cpu-models"
_MOST_NAMES = 5


def check_model(
    settings: Settings,
    environment: Environment,
    name: str,
    target: TargetSpec,
    *,
    uri: str | None = None,
) -> None:
    """Check that libvirt and QEMU know the processor model of a target, if it names one.

    Nothing is checked when libvirt lists no model. `name` is that of the target. `uri` is that of
    the user's libvirt, None for a private daemon.
    Raises: ConfigError with file, key and similar names for an unknown model; HypervisorError when
        libvirt does not answer.
    """
    if not target.cpu:
        return
    known = _known_models(environment, target.arch, uri)
    if known and target.cpu not in known:
        raise ConfigError(
            settings.file,
            f"tool.harness.targets.{name}.cpu",
            f"QEMU and libvirt know no processor model {target.cpu!r}",
            hint=_similar(target.cpu, known),
        )


def _similar(name: str, known: Sequence[str]) -> str:
    """Return a hint with the known names that are most similar to a name, or with all names."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=_MOST_NAMES)
    if near:
        return f"similar models are {', '.join(by_lower[one] for one in near)}"
    return f"the models are {', '.join(sorted(known))}"


def _known_models(environment: Environment, arch: str, uri: str | None) -> list[str]:
    """Return the processor models that libvirt and QEMU know for an architecture.

    The list comes from the cache if possible, except for a `uri`. It is [] when libvirt lists
    none.
    """
    daemons = environment.cache / "libvirt"
    if uri is not None:
        with hypervisor.connect(
            uri, runtime=environment.runtime, cache=daemons, mask_kvm=True
        ) as hv:
            return _listed(hv, arch)
    file = _cached(environment.cache, arch)
    if file.is_file():
        names: list[str] = json.loads(file.read_text())
        return names
    with (
        registry.hold_folder(environment.runtime, "cpus") as place,
        hypervisor.connect(None, runtime=place, cache=daemons, mask_kvm=True) as hv,
    ):
        found = _listed(hv, arch)
    with cache.room(environment.cache):
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, json.dumps(found) + "\n")
    return found


def _cached(root: Path, arch: str) -> Path:
    """Return the path in the cache of the list of processor models for one architecture.

    It changes with this host's QEMU and libvirt; the file may not exist yet.
    """
    facts = [arch]
    for program in (f"qemu-system-{arch}", "libvirtd"):
        path = programs.find(program, error=HypervisorError)
        status = Path(path).stat()
        facts.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return root / _FOLDER / f"{cache.key_of(*facts)}.json"


def _listed(hv: Hypervisor, arch: str) -> list[str]:
    with hv.translated("libvirt does not list its processor models"):
        text = hv.conn.getDomainCapabilities(None, arch, _MACHINE, _EMULATED)
    models = ET.fromstring(text).iterfind(_MODELS)  # noqa: S314 - the text comes from libvirt
    return [model.text for model in models if model.text]
