# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Start a guest with the module loaded, and replace it when it dies.

leftovers -> kernel -> image -> build -> guest -> load

`renew` replaces a dead guest by another one of the same kind with the module loaded.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import image, kernel_parts, kernel_symbols, kernels, requested
from harness.crash.scene import Scene
from harness.errors import UsageError
from harness.guest import cleanup, session, shared_session
from harness.guest.session import CONSOLE, Session
from harness.model.crash import CRASHES
from harness.model.machines import KernelSpec, TargetSpec
from harness.model.provenance import Provenance
from harness.model.request import KernelTestRequest
from harness.model.session_request import SessionRequest
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec
from harness.runs.run_state import RunRecord
from harness.systems.linux import kmod

# Debian's package of kernels for real hardware, whose configuration has 9p.
_WITH_9P = "linux-image-amd64"


@dataclass(frozen=True, kw_only=True)
class LoadedGuest:
    """A guest of a run: `load` loads the module under test in it, and `renew` replaces it.

    `variants` are the builds of the module's variants by their keys.
    """

    request: KernelTestRequest
    session: Session
    build: ModuleBuild
    variants: dict[str, ModuleBuild]
    record: RunRecord

    @property
    def session_file(self) -> Path:
        """The file from which other processes, such as pytest, learn how to reach this guest."""
        return self.record.folder / shared_session.SESSION_FILE

    @property
    def modules(self) -> dict[str, Path]:
        """The symbol files of the module and its variants, by the kernel's names for them."""
        return self.handoff.modules

    @property
    def handoff(self) -> shared_session.Handoff:
        """The content of the session file: what another process needs to work in this guest."""
        live, record = self.session, self.record
        return shared_session.Handoff(
            run_id=record.run_id,
            settings_file=self.request.settings.file,
            target=live.request.target_name,
            accel=live.accel,
            factor=live.factor,
            folder=record.folder,
            console=record.folder / CONSOLE,
            endpoint=live.endpoint,
            build=self.build,
            variants=self.variants,
            provenance=record.provenance,
            control=self.request.selection.control,
        )

    def scene(self, number: int) -> Scene:
        """Return what explaining a crash or hang of this guest needs: guest, symbols and a folder.

        `number` counts the crashes of the run, from 1.
        """
        request, record = self.request, self.record
        settings = request.settings
        kernel = self.session.request.kernel
        return Scene(
            session=self.session,
            console_file=record.folder / CONSOLE,
            memory_mib=self.session.request.target.memory_mib,
            kernel=kernel.name,
            vmlinux=kernel_symbols.find(kernel, root=request.environment.cache),
            modules=self.modules,
            roots=settings.source_roots,
            folder=record.folder / CRASHES / str(number),
            runs=request.runs,
            plugin=settings.module.drgn,
            vmcores=settings.vmcores if request.vmcore else None,
            keep=request.keep,
            note=record.view.note,
            show=record.view.crash,
        )

    def load(self) -> None:
        """Push modules and files into the guest, load the module, and write the session file.

        A control run does not load the module.
        Raises: ModuleError when the kernel refuses the module; GuestCrashed when loading kills the
            kernel.
        """
        live, settings = self.session, self.request.settings
        limit = live.deadline(settings.timeouts.load_s)
        modules = with_specs(settings.module, self.build, self.variants)
        with live.watched():
            kmod.push_modules(live.guest, modules, deadline_s=limit)
            if not self.request.selection.control:
                chosen = self.build.parameters(settings.module)
                found = kmod.load(live.guest, settings.module, deadline_s=limit, parameters=chosen)
                for name in found.refused:
                    self.record.view.note(
                        f"the kernel refuses {name}, a companion of {found.name}; "
                        "the run goes on without it"
                    )
        shared_session.write(self.handoff, self.session_file)

    def renew(self) -> None:
        """Replace the guest by a new one of the same kind, and load the module as in the first.

        The history of the old guest goes into the run's record. A control run loads no module.
        Raises: the errors of starting a guest; those of `load`, such as ModuleError.
        """
        live, view = self.session, self.record.view
        self.record.keep(live.history())
        live.renew(view.note)
        # The next guest has a console of its own.
        live.console.subscribe(lambda line: view.console(line.text))
        self.load()


def with_specs(
    module: ModuleSpec, build: ModuleBuild, variants: Mapping[str, ModuleBuild]
) -> tuple[tuple[ModuleBuild, ModuleSpec], ...]:
    """Pair the build of the module, and that of each variant, with its configuration."""
    described = ((one, module.variant(key)) for key, one in variants.items())
    return ((build, module), *described)


@contextmanager
def open_guest(
    request: KernelTestRequest, target: TargetSpec, record: RunRecord
) -> Iterator[LoadedGuest]:
    """Start a guest that answers over SSH, for the block; the module is not loaded yet.

    After the block the guest is removed, unless the request has `keep` and the block succeeded.
    Raises: every HarnessError in which one of the stages can end.
    """
    environment = request.environment
    with record.stage("leftovers"):
        for line in cleanup.sweep(environment.runtime, environment.cache):
            record.view.note(line)
    asked = _artefacts(request, target, record)
    with record.stage("build"):
        build, variants = requested.modules(request, asked.kernel, record.view.note)
        requested.keep_modules((build, *variants.values()), record.folder / requested.MODULES)
    with ExitStack() as stack:
        with record.stage("guest"):
            token = secrets.token_hex(8)
            limits = asked.timeouts.for_modules(len(build.loaded))
            asked = replace(asked, timeouts=limits)
            # Known of a guest that never answers, too.
            record.factor = kernel_parts.deadline_factor(asked.kernel, limits, record.accel)
            record.provenance = _with_kernel(record.provenance, asked.kernel)
            opened = session.open_session(asked, token=token, progress=record.view.note)
            live = stack.enter_context(opened)
            # Callbacks run in reverse order, so the history is read before the session ends.
            stack.callback(lambda: record.keep(live.history()))
            live.console.subscribe(lambda line: record.view.console(line.text))
            record.facts.update(_facts(live, build))
            record.view.note(_accelerator(live))
        yield LoadedGuest(
            request=request, session=live, build=build, variants=variants, record=record
        )


def _artefacts(
    request: KernelTestRequest, target: TargetSpec, record: RunRecord
) -> SessionRequest:
    settings, cache = request.settings, request.environment.cache
    shared = settings.shared_cache
    # An unknown image is refused before a kernel is fetched.
    wanted = image.load_spec(settings.images, target.image)
    with record.stage("kernel"):
        spec = settings.kernels[target.kernel]
        kernel = kernels.ensure(
            target.kernel, spec, root=cache, shared=shared, progress=record.view.note
        )
        if request.writable:
            _check_9p(kernel, settings.kernels)
    with record.stage("image"):
        base = image.ensure(wanted, root=cache, shared=shared, progress=record.view.note)
    return SessionRequest(
        run_id=record.run_id,
        target_name=request.target_name or settings.default_target,
        target=target,
        image=base,
        kernel=kernel,
        timeouts=settings.timeouts,
        cache=cache,
        runtime=request.environment.runtime,
        folder=record.folder,
        accel=request.accel,
        uri=request.uri,
        fresh=request.fresh,
        keep=request.keep,
        share=request.share,
        writable=request.writable,
        allowed=settings.allow_kernel_lines,
    )


def _check_9p(kernel: Kernel, configured: Mapping[str, KernelSpec]) -> None:
    """Check that a kernel can mount a folder of the host, as far as its configuration is known.

    Raises: UsageError that names what the kernel lacks, and a configured kernel that has it.
    """
    missing = kernel_parts.lacking(kernel, "CONFIG_9P_FS", "CONFIG_NET_9P_VIRTIO")
    if not missing:
        return
    able = [name for name, spec in configured.items() if spec.package == _WITH_9P]
    named = f"--kernel {' or '.join(able)}" if able else "a kernel that has them"
    raise UsageError(
        f"--writable: the kernel {kernel.name} ({kernel.release}) has no "
        f"{' and no '.join(missing)}, so it cannot mount a folder of the host",
        hint=f"give {named}, or leave --writable out: the guest then reads a copy of the folder",
    )


def _accelerator(live: Session) -> str:
    return f"accelerator {live.accel.value}, deadlines x {live.factor:g}, guest {live.origin}"


def _with_kernel(known: Provenance, kernel: Kernel) -> Provenance:
    return replace(
        known,
        kernel=kernel.name,
        kernel_release=kernel.release,
        kernel_version=kernel.version,
    )


def _facts(live: Session, build: ModuleBuild) -> dict[str, str]:
    asked = live.request
    return {
        "image": f"{asked.image.name} {asked.image.key}",
        "module build id": build.build_id,
        "guest": live.origin,
        **live.hv.versions,
    }
