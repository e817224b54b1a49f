# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The descriptions of targets that the user boots: files in two folders.

The base type is `ssh`: a system that answers over SSH. `libvirt` and `vmware` add power and
snapshots; everything else uses SSH alone. vm-images/NAME.toml has the values that are the same for
every user. A file of the same name in the user's own folder (HARNESS_TARGETS) has the rest:
addresses, keys, images. A file in that folder alone makes a target, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import ConfigError, UsageError
from harness.host import toml_file
from harness.model.settings import Endpoint, System
from harness.systems.ssh import Guest

_STRICT: dict[str, Any] = {"extra": "forbid"}


class Kind(Enum):
    """The type of a target: what the harness can do with it besides reaching it over SSH."""

    SSH = "ssh"
    LIBVIRT = "libvirt"
    VMWARE = "vmware"


@dataclass(frozen=True, kw_only=True)
class LibvirtSpec:
    """The table `libvirt` of a target's file: a macOS guest of QEMU, made of the user's files.

    `release` is macOS's major version.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    uri: str = "qemu:///session"
    domain: str = ""
    firmware: Path = Path()
    variables: Path = Path()
    opencore: Path = Path()
    disk: Path = Path()
    osk_file: Path = Path()
    release: int = 15
    memory_mib: int = 8192
    vcpus: int = 4


@dataclass(frozen=True, kw_only=True)
class VmwareSpec:
    """The table `vmware` of a target's file: the guest's .vmx, which is never written to."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    vmx: Path = Path()
    vmrun: str = "vmrun"
    host_type: str = "fusion"


@dataclass(frozen=True, kw_only=True)
class RemoteSpec:
    """One target that the user boots.

    `host_key` is one line as in known_hosts, without a name. `signed` means that the modules or
    kexts for it are signed, so unsigned ones need not load. `link` is the device on which the
    kernel's own debugger stub listens (KDP: an interface; KGDB: a serial line). `kdk` is the
    Kernel Debug Kit of the target's exact build.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    type: Kind
    system: System
    host: str = ""
    port: int = 22
    user: str = ""
    key_file: Path = Path("~/.ssh/id_ed25519")
    host_key: str = ""
    signed: bool = False
    link: str = ""
    kdk: Path | None = None
    restart_s: float = 300.0
    libvirt: LibvirtSpec = field(default_factory=LibvirtSpec)
    vmware: VmwareSpec = field(default_factory=VmwareSpec)


_ADAPTER = TypeAdapter(RemoteSpec)


def find(name: str | None, *, images: Path, targets: Path) -> RemoteSpec | None:
    """Return the target with this name, None when no file describes it or the name is None.

    A name with a slash is that of no target.
    Raises: ConfigError for a file with a wrong key or value.
    """
    # A name with a slash would lead out of the two folders.
    if name is None or name != Path(name).name:
        return None
    shared, own = images / f"{name}.toml", targets / f"{name}.toml"
    table = {**toml_file.read(shared)} if shared.is_file() else {}
    if "type" not in table and not own.is_file():
        return None
    for key, value in (toml_file.read(own) if own.is_file() else {}).items():
        inner = table.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = {**inner, **value}  # noqa: PLW2901 - the two tables of one key
        table[key] = value
    file = own if own.is_file() else shared
    try:
        return _with_absolute_paths(_ADAPTER.validate_python({**table, "name": name}), file.parent)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(file, ".".join(map(str, first["loc"])), first["msg"]) from error


def names(*, images: Path, targets: Path) -> tuple[str, ...]:
    """Return the name of every target that the user boots."""
    found = {path.stem for path in targets.glob("*.toml")}
    found |= {path.stem for path in images.glob("*.toml") if "type" in toml_file.read(path)}
    return tuple(sorted(found))


def endpoint(spec: RemoteSpec) -> Endpoint:
    """Return the address and keys for reaching a target over SSH.

    Raises: UsageError that names every one of host, user and host key that is missing; if none is,
        UsageError for a key file that does not exist.
    """
    missing = [key for key in ("host", "user", "host_key") if not getattr(spec, key)]
    key_file = spec.key_file
    if missing:
        raise UsageError(
            f"target {spec.name}: {', '.join(missing)} is not said",
            hint=f"docs/macos.md, 'Your target'; a host key: ssh-keyscan -t ed25519 "
            f"{spec.host or 'HOST'}",
        )
    if not key_file.is_file():
        raise UsageError(f"target {spec.name}: no such key: {key_file}")
    return Endpoint(
        host=spec.host,
        port=spec.port,
        user=spec.user,
        key_file=key_file,
        host_key=spec.host_key,
    )


@contextmanager
def connect(spec: RemoteSpec, *, deadline_s: float) -> Iterator[Guest]:
    """Connect to a target, and close the connection at the end of the block.

    Raises: GuestLost when it does not answer in time, Lost for a refused key or another host key;
        the errors of `endpoint`.
    """
    with Guest.connect(endpoint(spec), deadline_s=deadline_s, alive=lambda: None) as guest:
        yield guest


def _with_absolute_paths(spec: RemoteSpec, base: Path) -> RemoteSpec:
    """Return a target with absolute paths; relative ones are relative to the target's file."""
    found: dict[str, Any] = {}
    for inner in (spec, spec.libvirt, spec.vmware):
        for one in fields(inner):
            value = getattr(inner, one.name)
            # Path() stands for a file that the user has not given.
            if isinstance(value, Path) and value != Path():
                found[one.name] = toml_file.located(base, value)
    own = {key: found[key] for key in ("key_file", "kdk") if key in found}
    virt = {one.name: found[one.name] for one in fields(LibvirtSpec) if one.name in found}
    ware = {one.name: found[one.name] for one in fields(VmwareSpec) if one.name in found}
    return replace(
        spec, **own, libvirt=replace(spec.libvirt, **virt), vmware=replace(spec.vmware, **ware)
    )
