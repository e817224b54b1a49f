# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that the harness passes around: configuration, artefacts, results.

Only data: no I/O, no third party, no behaviour beyond what follows from the fields. Units are in
the names. Configuration values are filled by `config`, artefacts by `image`, `kernels` and
`build`, results by `ktap`, `panic` and `kernel_test`.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self

from harness.model.crash import Crash
from harness.model.products import KextSpec, PackagesSpec
from harness.panic.values import KernelReport

# How `config` asks its validator to treat a table: a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


class Verdict(Enum):
    """How a run, or one test of it, ended; a later member outranks an earlier one."""

    SKIPPED = "skipped"
    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    LOST = "lost"

    @property
    def exit_code(self) -> int:
        """The process exit code of a run that ended so."""
        return {"skipped": 0, "passed": 0, "failed": 1, "crashed": 3, "lost": 4}[self.value]


class Accel(Enum):
    """What executes the guest's instructions; OWN: it was booted without us."""

    KVM = "kvm"
    TCG = "tcg"
    OWN = "own"


class System(Enum):
    """What a target runs."""

    LINUX = "linux"
    MACOS = "macos"


# --- configuration -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PushSpec:
    """One host file that is copied into the guest before the module is loaded."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    source: Path
    target: str
    mode: int = 0o755


@dataclass(frozen=True, kw_only=True)
class VariantSpec:
    """Another build of the same source: a test build, say, with a name of its own.

    It is built and pushed beside the module, and loaded by the tests that ask for it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """The module under test: where its source is, how it is built, loaded and recognised.

    `source` is the folder that is copied whole to the build folder; `kbuild` is the folder inside
    it that holds the Kbuild file, `variables` go to its make. `companions` are argument lists run
    on the host, in the project's root, after the module: what the tests need beside it (a client,
    say). `drgn` is a file of Python that says, from a guest's memory, what state the module is in.
    `debugger` is a plugin file with commands of the module's for gdb and lldb. A release is
    `known_as` the folder where its users have the source: no path of this host is then in the
    module, and every host builds the same bytes.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    source: Path
    kbuild: str = "."
    parameters: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    companions: tuple[tuple[str, ...], ...] = ()
    push: tuple[PushSpec, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    variants: dict[str, VariantSpec] = field(default_factory=dict)
    drgn: Path | None = None
    debugger: Path | None = None
    known_as: Path | None = None

    def variant(self, key: str) -> "ModuleSpec":
        """Return the module that a variant is; KeyError for one that is not configured."""
        spec = self.variants[key]
        return replace(
            self,
            name=spec.name,
            variables={**self.variables, **spec.variables},
            parameters=spec.parameters,
            devices=spec.devices,
            companions=(),
            push=(),
            variants={},
        )


@dataclass(frozen=True, kw_only=True)
class TestSpec:
    """One suite: a pytest folder on the host, or a command in the guest that prints KTAP.

    A suite with a group runs only when its group is asked for (`--crash-tests`: "crash"), and only
    on targets of its system.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    __test__: ClassVar[bool] = False

    name: str
    pytest: Path | None = None
    command: str | None = None
    deadline_s: float = 600.0
    group: str = ""
    system: System = System.LINUX


@dataclass(frozen=True, kw_only=True)
class KernelSpec:
    """A kernel by the name of the distribution's meta or versioned package (linux-image-...).

    `suite` is another one than the host's own (trixie), fetched by the host's apt all the same.
    `one_thread`: as of a target.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    package: str
    suite: str = ""
    one_thread: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What is tested on: one image, one kernel, one size of machine.

    `one_thread`: emulated CPUs take turns in one thread of QEMU instead of running side by side,
    where that QEMU would run stale code (guest/single_thread_qemu.py). Every long run does so.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    image: str
    kernel: str
    arch: str = "x86_64"
    memory_mib: int = 768
    vcpus: int = 2
    cmdline: str = ""
    one_thread: bool = False


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds on a host with KVM; under TCG each is multiplied by `tcg_factor`.

    In a long run the limits of one test and of one suite are multiplied by `long_factor`, too.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    boot_s: float = 30.0
    ssh_s: float = 10.0
    load_s: float = 10.0
    test_s: float = 60.0
    silence_s: float = 10.0
    tcg_factor: float = 4.0
    long_factor: float = 15.0


@dataclass(frozen=True, kw_only=True)
class VmcoreLimits:
    """How many dumps of guests' memory all runs of the project keep, and how large in all."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    keep: int = 10
    total_mib: int = 4096


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole `[tool.harness]` table, every path absolute, every name resolved."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    root: Path
    file: Path
    default_target: str
    module: ModuleSpec
    tests: tuple[TestSpec, ...]
    targets: dict[str, TargetSpec]
    kernels: dict[str, KernelSpec]
    images: Path
    nightly: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    vmcores: VmcoreLimits = VmcoreLimits()
    packages: PackagesSpec | None = None
    kext: KextSpec | None = None
    allow_kernel_lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """One vm-images/<name>.toml: what the root file system is made of."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    suite: str
    packages: tuple[str, ...]
    setup: Path
    size_mib: int = 1536


# --- artefacts ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Image:
    """A finished guest image: a read-only qcow2 base and the keys that open it.

    `key` names what went in and this very build: saved guests of another build do not fit.
    """

    name: str
    key: str
    disk: Path
    ssh_key: Path
    host_key: str


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One unpacked kernel: what QEMU boots, what the guest mounts, what modules build against.

    `modules_disk` is an ext4 file holding /lib/modules/RELEASE, attached read-only; `kdir` is the
    folder to give to `make -C`.
    """

    name: str
    release: str
    version: str
    key: str
    vmlinuz: Path
    initrd: Path
    modules_disk: Path
    kdir: Path
    config: Path


@dataclass(frozen=True, kw_only=True)
class ModuleBuild:
    """One built module: the file that is pushed, the one with symbols, and what made it."""

    name: str
    release: str
    stripped: Path
    debug: Path
    build_id: str
    log: Path
    fresh: bool


# Where this host listens for itself: stubs, forwarded ports.
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How a guest is reached over SSH; host_key is one line as in known_hosts, without a name."""

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str

    @classmethod
    def of_guest(cls, *, port: int, key_file: Path, host_key: str) -> Self:
        """Return how a guest of this host is reached: as root, over a port of the host's."""
        return cls(host=LOOPBACK, port=port, user="root", key_file=key_file, host_key=host_key)


@dataclass(frozen=True, kw_only=True)
class DomainSpec:
    """Everything that the domain XML is made from; pure data, no libvirt.

    `qmp_socket` is a monitor of our own beside libvirt's (drgn reads guest memory through it).
    `share` is a disk with a copy of a host folder, labelled harness-share. `console_log` is
    written by QEMU itself, so it goes on when the harness leaves a guest that is kept.
    """

    name: str
    uuid: str
    run_id: str
    accel: Accel
    arch: str
    memory_mib: int
    vcpus: int
    vmlinuz: Path
    initrd: Path
    cmdline: str
    overlay: Path
    modules_disk: Path
    qmp_socket: Path
    share: Path | None = None
    console_log: Path | None = None
    emulator: Path | None = None


# --- results -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One result line, with the diagnostics that came before it and the kernel's reports."""

    __test__: ClassVar[bool] = False

    name: str
    verdict: Verdict
    duration_s: float = 0.0
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    reports: tuple[KernelReport, ...] = ()
    suite: str = ""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """One stage of a run: its name, how long it took, and a short word on what it did."""

    name: str
    duration_s: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All that a run found; `report` writes it, the exit code follows from `verdict`.

    `hint` and `evidence` are those of the error that ended the run early, if one did.
    """

    run_id: str
    target: str
    verdict: Verdict
    reason: str
    accel: Accel
    deadline_factor: float
    started_at: str
    duration_s: float
    folder: Path
    stages: tuple[StageResult, ...] = ()
    results: tuple[TestResult, ...] = ()
    reports: tuple[KernelReport, ...] = ()
    crashes: tuple[Crash, ...] = ()
    witnesses: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    hint: str = ""
    evidence: tuple[str, ...] = ()
