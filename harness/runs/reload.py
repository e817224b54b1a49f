# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Load the module, built from the tree as it is now, into a guest that was left up.

    entry of the guest -> build for its kernel -> unload -> push -> load

The guest's session file and the copies of the modules in its run's folder are replaced, too. So
debuggers, tests and explanations of a crash find the symbols of the loaded module.
"""

import shutil
from dataclasses import replace

from harness import hints
from harness.artefacts import kernels, requested
from harness.errors import GuestHung, GuestLost, UsageError
from harness.guest import cleanup, joined, shared_session
from harness.guest.registry import GuestEntry
from harness.guest.shared_session import SESSION_FILE, Handoff
from harness.model.request import KernelTestRequest
from harness.model.settings import Kernel
from harness.report.live_view import LiveView
from harness.runs.loaded_guest import with_specs
from harness.systems.linux import kmod
from harness.systems.ssh import Guest

_UNLOAD_ATTEMPTS = 5


def load_again(request: KernelTestRequest, run: str, view: LiveView) -> GuestEntry:
    """Replace the module in a kept guest by one built from the present tree.

    Return the guest's entry in the list of guests. `run` is the end of the name of the guest's
    run, or "" for the only guest.
    Raises: UsageError for a guest that is gone, in use, or of another project, and when its kernel
        is no longer configured or has another release; KernelError; BuildError; ModuleError when
        the old module does not unload or the new one is refused; GuestLost and GuestHung when the
        guest dies of it.
    """
    entry = cleanup.choose_guest(request.environment.runtime, run)
    handoff = shared_session.read(entry.run / SESSION_FILE)
    _check_project(request, handoff)
    joined.check_free(entry)
    view.stage("kernel")
    kernel = _kernel(request, handoff, view)
    view.stage("build")
    build, variants = requested.modules(request, kernel, view.note)
    handoff = replace(handoff, build=build, variants=variants)
    limit = handoff.factor * request.settings.timeouts.load_s
    try:
        with Guest.connect(handoff.endpoint, deadline_s=limit, alive=lambda: None) as guest:
            view.stage("unload")
            _unload(guest, request, deadline_s=limit)
            view.stage("load")
            _load(guest, request, handoff, deadline_s=limit)
    except (GuestLost, GuestHung) as error:
        explain = hints.command("explain-guest", f"--run={entry.run_id}")
        raise type(error)(
            error.message, hint=f"{explain} says what happened to it", evidence=error.evidence
        ) from error
    return entry


def _check_project(request: KernelTestRequest, handoff: Handoff) -> None:
    if handoff.settings_file != request.settings.file:
        raise UsageError(
            f"the guest of run {handoff.run_id} belongs to {handoff.settings_file}",
            hint=f"call this in {handoff.settings_file.parent}, or add -C",
        )


def _kernel(request: KernelTestRequest, handoff: Handoff, view: LiveView) -> Kernel:
    """Return the kernel that the guest runs, with its headers, to build the module for it.

    Raises: UsageError when the kernel's name is no longer configured, or now means another kernel.
    """
    name, settings = handoff.provenance.kernel, request.settings
    start = hints.command("kernel-test-load")
    if name not in settings.kernels:
        raise UsageError(
            f"the guest's kernel {name} is no longer configured", hint=f"{start} starts a guest"
        )
    cache, shared = request.environment.cache, settings.shared_cache
    spec = settings.kernels[name]
    kernel = kernels.ensure(name, spec, root=cache, shared=shared, progress=view.note)
    running = handoff.provenance.kernel_release
    if kernel.release != running:
        raise UsageError(
            f"the guest runs {running}, and {name} is {kernel.release} now",
            hint=f"{start} starts a guest with that",
        )
    return kernel


def _unload(guest: Guest, request: KernelTestRequest, *, deadline_s: float) -> None:
    module = request.settings.module
    for spec in (*map(module.variant, module.variants), module):
        if kmod.is_loaded(guest, spec):
            kmod.unload(guest, spec, deadline_s=deadline_s, attempts=_UNLOAD_ATTEMPTS)


def _load(
    guest: Guest, request: KernelTestRequest, handoff: Handoff, *, deadline_s: float
) -> None:
    """Push the new module files into the guest, update the run's folder, and load the module.

    The folder's copies of the modules and its session file are replaced before the load, so that a
    crash during the load can be explained.
    """
    module, build = request.settings.module, handoff.build
    kmod.push_modules(guest, with_specs(module, build, handoff.variants), deadline_s=deadline_s)
    # The records are replaced before the module is loaded: if that kills the guest, they explain
    # it.
    kept = handoff.folder / requested.MODULES
    shutil.rmtree(kept, ignore_errors=True)
    requested.keep_modules((build, *handoff.variants.values()), kept)
    shared_session.write(handoff, handoff.folder / SESSION_FILE)
    kmod.load(guest, module, deadline_s=deadline_s, parameters=build.parameters(module))
