# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build all that a run's request names: the module, its variants, the programs for its tests."""

import shutil
from collections.abc import Callable
from pathlib import Path

from harness.artefacts import build as module_build
from harness.artefacts import build_root
from harness.errors import UsageError
from harness.model.request import KernelTestRequest
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec

Progress = Callable[[str], None]
MODULES = "modules"


def modules(
    request: KernelTestRequest, kernel: Kernel, progress: Progress
) -> tuple[ModuleBuild, dict[str, ModuleBuild]]:
    """Return the module that a run tests, built for a kernel, and its variants by their keys.

    If the request names the folder of an earlier run, these are the modules of that run. Otherwise
    they are built now. The programs for the tests are built in both cases.
    Raises: BuildError when one does not build, or the earlier run's folder lacks a module; the
        other errors of `build_module`.
    """
    module = request.settings.module
    if request.modules is not None:
        found = {
            key: module_build.finished(module.variant(key), kernel, request.modules)
            for key in module.variants
        }
        built = module_build.finished(module, kernel, request.modules)
        module_build.run_companions(module, project=request.settings.root, known=built.words)
        return built, found
    return build_module(request, kernel, progress), build_variants(request, kernel, progress)


def build_module(request: KernelTestRequest, kernel: Kernel, progress: Progress) -> ModuleBuild:
    """Build the module for a kernel, and the programs that its tests need; return the module.

    Raises: BuildError when one does not build; the other errors of `build.build_module`, and
        those of making a build root.
    """
    settings = request.settings
    build = _build(request, settings.module, "kernel", kernel, progress)
    module_build.run_companions(settings.module, project=settings.root, known=build.words)
    return build


def build_variants(
    request: KernelTestRequest, kernel: Kernel, progress: Progress
) -> dict[str, ModuleBuild]:
    """Return each configured variant of the module, built for a kernel, by the variant's key."""
    module = request.settings.module
    return {
        key: _build(request, module.variant(key), f"kernel-{key}", kernel, progress)
        for key in module.variants
    }


def build_variant(
    request: KernelTestRequest, key: str, kernel: Kernel, progress: Progress
) -> ModuleBuild:
    """Return one configured variant of the module, built for a kernel; `key` is its name.

    Raises: UsageError with the known keys for an unknown one.
    """
    module = request.settings.module
    if key not in module.variants:
        known = ", ".join(sorted(module.variants)) or "none"
        raise UsageError(f"--variant {key}: the configured variants are: {known}")
    return _build(request, module.variant(key), f"kernel-{key}", kernel, progress)


def _build(
    request: KernelTestRequest, spec: ModuleSpec, folder: str, kernel: Kernel, progress: Progress
) -> ModuleBuild:
    root = request.settings.root
    return module_build.build_module(
        spec,
        build_root.fitted(
            kernel,
            spec.build_needs,
            root=request.environment.cache,
            shared=request.settings.shared_cache,
            progress=progress,
        ),
        project=root,
        out=module_build.output_folder(root, folder, cache_root=request.environment.cache),
        variables=request.environment.kbuild,
        progress=progress,
    )


def keep_modules(builds: tuple[ModuleBuild, ...], folder: Path) -> None:
    """Copy the modules of some builds into the run's folder, for reading memory dumps later.

    Each module is copied with and without debug information. The plan of loading is copied, too.
    """
    folder.mkdir()
    for one in builds:
        for file in one.loaded:
            shutil.copy2(file.debug, folder / f"{file.name}.ko")
            shutil.copy2(file.stripped, folder / f"{file.name}.stripped.ko")
        if one.plan is not None:
            shutil.copy2(one.plan, folder / one.plan.name)
