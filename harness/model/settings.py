# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that the harness passes around: configuration, artefacts and results.

Nothing here reads or writes. Units are in the names. `host.config` fills the configuration, the
package `artefacts` makes the artefacts, and `runs` makes the results.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self

from harness.model.crash import Crash
from harness.model.limits import Timeouts, VmcoreLimits
from harness.model.loaded_module import ModuleFile
from harness.model.machines import BuildSpec, KernelSpec, TargetSpec
from harness.model.nights import NightSpec
from harness.model.products import KextSpec, PackagesSpec, VariantSpec
from harness.model.provenance import Provenance
from harness.model.words import filled
from harness.panic.values import KernelReport

# Tells pydantic to reject a key that is not a field, so that a misspelt key is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}


class Verdict(Enum):
    """The result of a run or of one test: skipped, passed, failed, crashed or lost.

    Of several verdicts the one that comes last in this order counts.
    """

    SKIPPED = "skipped"
    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    LOST = "lost"

    @property
    def exit_code(self) -> int:
        """A run's exit code: 0 for skipped and passed, 1 failed, 3 crashed, 4 lost."""
        return {"skipped": 0, "passed": 0, "failed": 1, "crashed": 3, "lost": 4}[self.value]


class Accel(Enum):
    """What executes the guest's instructions: KVM, an emulator, or OWN, a machine of the user."""

    KVM = "kvm"
    TCG = "tcg"
    OWN = "own"


class System(Enum):
    """The operating system of a target: Linux or macOS."""

    LINUX = "linux"
    MACOS = "macos"


class Judge(Enum):
    """What decides whether a suite's command has passed in the guest: its KTAP or exit code."""

    KTAP = "ktap"
    EXIT_CODE = "exit-code"


# --- configuration -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PushSpec:
    """One host file that is copied into the guest before the module is loaded.

    Attributes:
        source: The file on the host, relative to the project.
        target: The absolute path in the guest.
        mode: The permission bits in the guest, decimal or 0o octal.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    source: Path
    target: str
    mode: int = 0o755


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """The module under test: where its source is, how it is built, loaded and recognised.

    Attributes:
        name: The name of the module, without .ko; by default the one in the source folder.
        source: The folder whose files, without those that git ignores, are copied and built.
        kbuild: The folder in `source` that holds the Kbuild file.
        dkms: A dkms.conf that says how the module is built. One in `source` is found without this.
        make: A shell command that builds the module, instead of `kbuild`. Commands and parameters
            may name {kdir}, {release}, {build} (the copy) and {source}.
        before: Shell commands that run in the copy before the build.
        modules: Patterns of further modules of the build to load, with the modules they need.
        needs: Modules of the kernel that are loaded first, besides those that modinfo lists.
        firmware: Files on the host, by their names below /lib/firmware in the guest.
        build_needs: Debian packages of the build; where this host lacks one, in a build root.
        build_deadline_s: The longest that a build may take, in seconds.
        parameters: Parameters for insmod. OTHER.parameter belongs to another module of the build.
        devices: Device nodes that must appear after loading.
        companions: Commands, each a list of arguments, that run on the host in the project's root
            after the module is built. They make what the tests need besides the module, for
            example a client.
        push: Host files that are copied into the guest before the module is loaded.
        variables: Variables for make.
        variants: Other builds of the same source, by the name that tests ask for.
        drgn: A Python file with a function report(prog). It returns the module's state, as lines,
            from a guest's memory.
        debugger: A Python file with commands of the module for gdb and lldb.
        known_as: The folder where the users of a release have the source. The module then holds
            no path of this host, and every host builds the same bytes.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    source: Path = Path()
    kbuild: str = "."
    dkms: Path | None = None
    make: str = ""
    before: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    firmware: dict[str, Path] = field(default_factory=dict)
    build_needs: tuple[str, ...] = ()
    build_deadline_s: float = 1800.0
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
        """Return a configured variant as a module of its own; KeyError when it is unknown."""
        spec = self.variants[key]
        return replace(
            self,
            name=spec.name,
            variables={**self.variables, **spec.variables},
            parameters=spec.parameters,
            devices=spec.devices,
            modules=(),
            companions=(),
            push=(),
            variants={},
        )


@dataclass(frozen=True, kw_only=True)
class TestSpec:
    """One suite of tests.

    Exactly one of `pytest`, `command`, `kunit`, `kselftest` and `blktests` is given.

    Attributes:
        name: The name of the suite in reports.
        pytest: A folder of pytest tests that run on the host, with the fixtures guest, driver and
            variant.
        command: A shell command that runs in the guest.
        judge: What decides about `command`: the KTAP that it prints, or its exit code (0 passes).
        kunit: Patterns of KUnit suites, such as "greeter*". Their modules ran them when they were
            loaded (keys `modules` and `needs`); the results are read from the kernel's log.
        kselftest: A folder of programs that run in the guest, each of them a test: exit code 0
            passes, 4 is skipped, KTAP counts. Or installed selftests of the kernel
            (kselftest-list.txt), or a folder whose Makefile includes lib.mk, which is built.
        blktests: A built checkout of blktests with its file config. Each test runs in the guest.
        only: Patterns of the tests in `kselftest` or `blktests` to run, such as "loop/*".
        deadline_s: The longest that the suite may take, in seconds with KVM.
        group: A suite with a group runs only when that group is asked for: --crash-tests asks for
            "crash".
        system: The system of the targets that the suite runs on.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    __test__: ClassVar[bool] = False

    name: str
    pytest: Path | None = None
    command: str | None = None
    judge: Judge = Judge.KTAP
    kunit: tuple[str, ...] = ()
    kselftest: Path | None = None
    blktests: Path | None = None
    only: tuple[str, ...] = ()
    deadline_s: float = 600.0
    group: str = ""
    system: System = System.LINUX


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole `[tool.harness]` table, with absolute paths and checked names.

    Attributes:
        root: The folder of `file`. No key: `config` sets it.
        file: The configuration that was read, or the module's folder. No key: `config` sets it.
        default_target: The target that tasks use when --target is not given.
        module: The module under test.
        tests: The suites, in the order in which they run.
        targets: The machines to test on, by name.
        kernels: The kernels to test on, by name.
        images: The folder with NAME.toml and a setup script for each image.
        builds: Further kernels, by name, that `kernel-build --all` builds the module for.
        nightly: What the task nightly runs.
        timeouts: The deadlines.
        vmcores: The limits on the memory dumps that are kept.
        packages: What the task packages makes.
        kext: The kernel extension of the module for macOS.
        allow_kernel_lines: Regular expressions. A kernel report whose title matches is no fault.
        shared_cache: The absolute path of a folder that several hosts mount. Images, kernels,
            symbols and build roots are taken from there, and put there where it can be written.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    root: Path
    file: Path
    default_target: str
    module: ModuleSpec
    tests: tuple[TestSpec, ...]
    targets: dict[str, TargetSpec]
    kernels: dict[str, KernelSpec]
    builds: dict[str, BuildSpec] = field(default_factory=dict)
    images: Path = Path("vm-images")
    nightly: NightSpec = field(default_factory=NightSpec)
    timeouts: Timeouts = field(default_factory=Timeouts)
    vmcores: VmcoreLimits = field(default_factory=VmcoreLimits)
    packages: PackagesSpec | None = None
    kext: KextSpec | None = None
    allow_kernel_lines: tuple[str, ...] = ()
    shared_cache: Path | None = None

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """The folders in which a report's source files are looked for, the module's own first."""
        source = self.module.source
        return (source / self.module.kbuild, source, self.root)


# --- artefacts ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Image:
    """A finished guest image: a read-only qcow2 disk, and the SSH keys that open the guest.

    `key` identifies this build of the image: another build of the same files has another key, so
    that no snapshot of a guest with the old disk is restored on it.
    """

    name: str
    key: str
    disk: Path
    ssh_key: Path
    host_key: str


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One unpacked kernel: what QEMU boots, what the guest mounts, what modules build against.

    `modules_disk` is a read-only ext4 file with /lib/modules/RELEASE; `kdir` is the folder to give
    to `make -C`. `cc` is the compiler for modules, "" for the kernel's own, and `build_root` is a
    root file system in which modules are built, or None where this host can build them itself.
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
    suite: str = ""
    cc: str = ""
    build_root: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ModuleBuild:
    """The result of building the module: its files, and how they are loaded.

    `fresh` is whether it was built now. `files` are all loaded modules in the order of loading; ()
    means this one alone. `plan` has the steps of loading (`modinfo.load_plan`), `firmware` are the
    files that the kernel may request, `words` replace words in braces in parameters.
    """

    name: str
    release: str
    stripped: Path
    debug: Path
    build_id: str
    log: Path
    fresh: bool
    files: tuple[ModuleFile, ...] = ()
    plan: Path | None = None
    firmware: tuple[PushSpec, ...] = ()
    words: dict[str, str] = field(default_factory=dict)

    @property
    def loaded(self) -> tuple[ModuleFile, ...]:
        """The files of every module that is loaded for this build, in the order of loading."""
        alone = ModuleFile(name=self.name, stripped=self.stripped, debug=self.debug)
        return self.files or (alone,)

    def parameters(self, spec: ModuleSpec) -> dict[str, str]:
        """Return the parameters for loading `spec`, with words such as {kdir} replaced."""
        return {name: filled(text, self.words) for name, text in spec.parameters.items()}


# The address on which debug stubs and forwarded ports of this host listen.
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How to reach a guest over SSH. `host_key` is a line of known_hosts without the host name."""

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str

    @classmethod
    def of_guest(cls, *, port: int, key_file: Path, host_key: str) -> Self:
        """Return the endpoint of a guest on this host: root, on a port forwarded to its SSH."""
        return cls(host=LOOPBACK, port=port, user="root", key_file=key_file, host_key=host_key)


# --- results -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The result of one test: verdict, reason, time, diagnostic lines, kernel reports."""

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
    """One stage of a run, such as the build or the boot, and how long it took."""

    name: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The result of a run: `report` writes it to files, and the exit code follows from `verdict`.

    `facts` are for people, and no code reads them back. `hint` and `evidence` come from the error
    that ended the run early, if there was one.
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
    provenance: Provenance = field(default_factory=Provenance)
    facts: dict[str, str] = field(default_factory=dict)
    hint: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def described(self) -> dict[str, str]:
        """Facts about the run for people, besides its results: kernel, commit and others."""
        return {**self.provenance.described(), **self.facts}
