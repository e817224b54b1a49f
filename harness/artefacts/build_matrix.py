# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the module for the kernels of the configuration, and report all of them in one table.

The kernels are those that guests boot, and those of [tool.harness.builds], for which the module is
only built: other architectures, other compilers, newer kernels. Kernels that the harness itself
builds from source are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.artefacts import build, build_root, kernels
from harness.errors import BuildError, HarnessError
from harness.model.environment import Environment
from harness.model.machines import BuildSpec, KernelSpec
from harness.model.settings import Kernel, ModuleBuild, Settings

Progress = Callable[[str], None]

_CROSS = {"arm64": "aarch64-linux-gnu-"}
_HEAD = ("kernel", "from", "architecture", "compiler", "variables", "release", "result")
# The columns that the configuration determines; the others are what a build has found.
CONFIGURED = 5
BUILT = "built"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kernel of the table: what the configuration says of it, and how its build ended.

    `release` and `version` are the kernel's own and its package's. They are "" when the kernel
    could not be fetched, and `module` is None when the build failed.
    """

    name: str
    package: str
    arch: str = "amd64"
    compiler: str = ""
    variables: str = ""
    release: str = ""
    version: str = ""
    result: str = ""
    error: HarnessError | None = None
    module: ModuleBuild | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """This row's texts for the table's columns, such as the kernel's name and the result."""
        described = (self.name, self.package, self.arch, self.compiler or "its own")
        return (*described, self.variables or "-", self.release, self.result)


def rows(settings: Settings) -> tuple[Row, ...]:
    """Return a row without a result for each of the configuration's kernels and builds.

    Kernels that the harness builds from source (those with fragments) are left out, since each
    would take a quarter of an hour.
    """
    ready = {name: one for name, one in settings.kernels.items() if not one.fragments}
    booted = (_booted_row(name, one) for name, one in ready.items())
    only_built = (_built_row(name, one) for name, one in settings.builds.items())
    return (*booted, *only_built)


def _booted_row(name: str, spec: KernelSpec) -> Row:
    place = spec.package or str(spec.tree or spec.image or ", ".join(map(str, spec.files)))
    return Row(name=name, package=_from(place, spec.suite), compiler=spec.cc)


def _built_row(name: str, spec: BuildSpec) -> Row:
    return Row(
        name=name,
        package=_from(spec.headers, spec.suite),
        arch=spec.arch,
        compiler=spec.cc,
        variables=_shown(spec.variables),
    )


def _from(package: str, suite: str) -> str:
    return f"{package} ({suite})" if suite else package


def _shown(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


def build_all(settings: Settings, environment: Environment, progress: Progress) -> Iterator[Row]:
    """Build the module for each kernel of the configuration, and yield the kernels' table rows.

    A build that fails is reported in its row, and the next one follows.
    """
    for row in rows(settings):
        yield _built(settings, row, environment, progress)


def build_one(settings: Settings, name: str, environment: Environment, progress: Progress) -> Row:
    """Build the module for one kernel of the configuration, and return its row of the table.

    `name` is the kernel's name in the configuration. A failed build is reported in the row.
    """
    row = next(one for one in rows(settings) if one.name == name)
    return _built(settings, row, environment, progress)


def _built(settings: Settings, row: Row, environment: Environment, progress: Progress) -> Row:
    progress(f"{row.name}: {row.package}, {row.arch}")
    try:
        kernel = _kernel(settings, row.name, environment, progress)
    except HarnessError as error:
        return replace(row, result=f"fails: {error.message}", error=error)
    found = replace(row, release=kernel.release, version=kernel.version)
    try:
        module = _build(settings, row.name, kernel, environment, progress)
    except HarnessError as error:
        return replace(found, result=f"fails: {error.message}", error=error)
    return replace(found, result=BUILT, module=module)


def _kernel(settings: Settings, name: str, environment: Environment, progress: Progress) -> Kernel:
    root, shared = environment.cache, settings.shared_cache
    if name in settings.builds:
        spec = settings.builds[name]
        return kernels.ensure_headers(name, spec, root=root, shared=shared, progress=progress)
    known = settings.kernels[name]
    return kernels.ensure(name, known, root=root, shared=shared, progress=progress)


def _build(
    settings: Settings, name: str, kernel: Kernel, environment: Environment, progress: Progress
) -> ModuleBuild:
    module = settings.module
    fitted = build_root.fitted(
        kernel,
        module.build_needs,
        root=environment.cache,
        shared=settings.shared_cache,
        progress=progress,
    )
    folder = f"kernel-all/{name}"
    spec = settings.builds.get(name)
    return build.build_module(
        module,
        fitted,
        project=settings.root,
        out=build.output_folder(settings.root, folder, cache_root=environment.cache),
        variables={**(_variables(spec) if spec else {}), **environment.kbuild},
        progress=progress,
    )


def _variables(spec: BuildSpec) -> dict[str, str]:
    cross = _CROSS.get(spec.arch)
    target = {"ARCH": spec.arch, "CROSS_COMPILE": cross} if cross else {}
    return {**target, **spec.variables}


def table(found: Sequence[Row]) -> str:
    """Return the rows, one for each kernel, as a table in Markdown."""
    lines = [_HEAD, ("---",) * len(_HEAD), *(row.cells for row in found)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def worst(found: Sequence[Row]) -> int:
    """Return the exit code over all rows: that of the first build that failed, or 0."""
    failed = [row.error for row in found if row.error is not None]
    return (failed[0].exit_code or BuildError.exit_code) if failed else 0
