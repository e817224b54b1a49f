# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn a folder, a dkms.conf or a package NAME-dkms into a project, for the task `init`.

Each configuration is tried by building the module with it. If the module does not build, `init`
adds the packages that its package NAME-dkms depends on. If it still does not build and has a
dkms.conf, `init` tries other kernels of Debian. The first configuration that builds is written, or
the plain one if none does.
"""

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import build, build_root, dkms_package, kernels
from harness.artefacts.dkms_package import DkmsPackage
from harness.errors import BuildError, ConfigError, UsageError
from harness.host import apt, config, toml_file, whole_file
from harness.host.defaults import FIRST_TEST
from harness.model.environment import Environment
from harness.model.settings import ModuleBuild, Settings
from harness.modules import dkms, project_text, recipe
from harness.modules.project_text import Choice
from harness.modules.recipe import Recipe

Progress = Callable[[str], None]

_FILE = "pyproject.toml"
_OWN_FILE = "modlab.toml"
_TARGET = "debian-12"
# Kernels to try in this order, after the default kernel and the oldest of the default's series.
_OTHER_KERNELS = ("5.10", "6.12")
_RELEASE = re.compile(r"^(?P<series>[\d.]+-)\d+(?P<flavour>-[\w-]+)$")
# Compiler messages about the source. A missing header is not among them: a package is missing
# then.
_IN_THE_SOURCE = re.compile(r"\.[chS]:\d+:(?:\d+:)? error:|modpost: .*undefined!|BUILD_EXCLUSIVE")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder that becomes a project: the place of its module's source, and how it is built.

    `package` is the Debian package from which the source came, None for the user's own source.
    """

    root: Path
    source: Path
    recipe: Recipe
    package: DkmsPackage | None = None

    @property
    def file(self) -> Path:
        """The configuration file that `init` writes."""
        return self.root / _FILE

    @property
    def tests(self) -> Path:
        """The folder into which `init` writes a first test; it does not exist before."""
        more = (f"tests-modlab-{number}" for number in itertools.count(2))
        names = itertools.chain(("tests", "tests-modlab"), more)
        return next(self.root / name for name in names if not (self.root / name).exists())


@dataclass(frozen=True, kw_only=True)
class Concluded:
    """The conclusions of `init` in sentences, and the build's error if no attempt succeeded."""

    lines: tuple[str, ...]
    error: BuildError | None = None


def init(what: str, *, here: Path, environment: Environment, progress: Progress) -> Concluded:
    """Write a configuration and a first test for a module, and return the conclusions.

    `what` is a folder, a dkms.conf, or a package NAME-dkms, whose source is unpacked into `here`.
    If it fails otherwise than by the build, the project is left as it was; only the unpacked
    source of a package stays.
    Raises: UsageError when there is no module, or already a configuration; ConfigError for a
        dkms.conf that cannot be read and a pyproject.toml to which no table can be added; the
        errors of fetching a package, a kernel or a build root.
    """
    project = _project(what, here, environment, progress)
    before = _earlier_text(project)
    tests = project.tests
    try:
        test = _write_test(project, tests)
        choice, error = _settled(project, before, tests, environment, progress)
    except BaseException:
        shutil.rmtree(tests, ignore_errors=True)
        if before is None:
            project.file.unlink(missing_ok=True)
        else:
            whole_file.write(project.file, before)
        raise
    return Concluded(lines=tuple(_said(project, choice, test, error)), error=error)


def _earlier_text(project: Project) -> str | None:
    """Return the text of the project's configuration file, None when there is none.

    Raises: UsageError when the project is configured already; ConfigError when a table cannot be
        added to the file.
    """
    own = project.root / _OWN_FILE
    if own.exists():
        raise UsageError(
            f"{own} is a configuration already", hint="change it by hand (docs/modules.md)"
        )
    if not project.file.exists():
        return None
    tool = toml_file.read(project.file).get("tool", {})
    if not isinstance(tool, dict):
        raise ConfigError(project.file, "tool", "a table is expected")
    if "harness" in tool:
        raise UsageError(
            f"{project.file} has a [{project_text.TABLE}] already",
            hint="change it by hand (docs/modules.md), or remove the table first",
        )
    text = project.file.read_text(encoding="utf-8")
    try:
        toml_file.parsed(f"{text}\n[{project_text.TABLE}]\n", project.file)
    except ConfigError as error:
        expected = f"[{project_text.TABLE}] cannot be added; with it, it {error.expected}"
        raise ConfigError(project.file, "tool", expected) from error
    return text


def _project(what: str, here: Path, environment: Environment, progress: Progress) -> Project:
    path = here / what
    if path.name == dkms.CONF and path.is_file():
        path = path.parent
    if path.is_dir():
        told = recipe.of_folder(path.resolve())
        if told is None:
            raise UsageError(
                f"{path.resolve()} has no {dkms.CONF}, Kbuild or Makefile that names a module",
                hint="a Kbuild with 'obj-m := NAME.o' is enough",
            )
        return Project(root=path.resolve(), source=path.resolve(), recipe=told)
    if not dkms_package.is_name(what):
        raise UsageError(
            f"{what} is no folder, no {dkms.CONF} and no package NAME-dkms",
            hint="without an argument init uses the current folder",
        )
    package = dkms_package.fetch(what, root=environment.cache, progress=progress)
    source = here / package.source.name
    if not source.exists():
        shutil.copytree(package.source, source, symlinks=True)
    told = recipe.of_dkms(source / dkms.CONF)
    return Project(root=here, source=source, recipe=told, package=package)


def _write_test(project: Project, folder: Path) -> Path:
    """Write a first test of the module into a new folder of the project, and return the file."""
    folder.mkdir()
    name = re.sub(r"\W", "_", project.recipe.name)
    file = folder / f"test_{name}.py"
    shutil.copyfile(FIRST_TEST / "test_module.py", file)
    return file


def _settled(
    project: Project, before: str | None, tests: Path, environment: Environment, progress: Progress
) -> tuple[Choice, BuildError | None]:
    """Write the first configuration with which the module builds; return its choice and None.

    When the module builds with none of the choices, write the plain configuration, and return
    the plain choice and the first error. `before` is the earlier text of the configuration file,
    None when there was no file.
    """
    first: BuildError | None = None
    tried = _Tried()
    plain = Choice()
    for choice in _choices(project, tried, environment):
        _write(project, before, tests, choice)
        if choice != plain:
            progress(f"trying {choice.shown}")
        try:
            tried.built = _build(config.load(project.file), environment, progress)
        except BuildError as error:
            first, tried.error = first or error, error
            progress(f"it does not build with {choice.shown}: {error.message}")
            continue
        return choice, None
    _write(project, before, tests, plain)
    return plain, first


@dataclass
class _Tried:
    """The latest attempt of `init` to build: the built module or the error."""

    error: BuildError | None = None
    built: ModuleBuild | None = None

    @property
    def source_is_to_blame(self) -> bool:
        """Whether the compiler reports errors in the source; packages do not help then."""
        lines = self.error.evidence if self.error else ()
        return any(_IN_THE_SOURCE.search(line) for line in lines)


def _choices(project: Project, tried: _Tried, environment: Environment) -> Iterator[Choice]:
    """Yield packages and kernels with which `init` tries to build the module, the simplest first.

    The caller builds with each choice before it asks for the next, which depends on the error.
    """
    yield Choice()
    needs: tuple[str, ...] = ()
    if project.package is not None and not tried.source_is_to_blame:
        wanted = (*project.package.depends, *project.package.recommends)
        if build_root.missing(wanted):
            needs = tuple(dict.fromkeys(wanted))
            yield Choice(needs=needs)
    if project.recipe.dkms is None:
        return
    for name, package in _other_kernels(config.load(project.file), environment):
        yield Choice(needs=needs, kernel=name, package=package)


def _other_kernels(settings: Settings, environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield the name and the package of each kernel that `init` tries instead of the default.

    The oldest kernel of the default kernel's series comes first. The kernels of `_OTHER_KERNELS`
    follow; their package is "", because the settings already describe them.
    """
    default = settings.kernels[settings.targets[settings.default_target].kernel]
    shared = settings.shared_cache
    ready = kernels.ensure(
        "default", default, root=environment.cache, shared=shared, progress=lambda _: None
    )
    parts = _RELEASE.match(ready.release)
    if parts is not None and not ready.suite:
        head, tail = f"linux-image-{parts['series']}", parts["flavour"]
        numbers = [
            int(name[len(head) : -len(tail)])
            for name in apt.names(head)
            if name.endswith(tail) and name[len(head) : -len(tail)].isdigit()
        ]
        oldest = f"{head}{min(numbers, default=0)}{tail}"
        if numbers and not ready.release.endswith(oldest.removeprefix("linux-image-")):
            yield f"{parts['series']}{min(numbers)}", oldest
    for name in _OTHER_KERNELS:
        if name in settings.kernels:
            yield name, ""


def _build(settings: Settings, environment: Environment, progress: Progress) -> ModuleBuild:
    """Return the module for the default target, built as `kernel-test` will build it.

    Raises: BuildError when it does not build; the errors of fetching a kernel or a build root.
    """
    name = settings.targets[settings.default_target].kernel
    root, shared = environment.cache, settings.shared_cache
    kernel = kernels.ensure(
        name, settings.kernels[name], root=root, shared=shared, progress=progress
    )
    needs = settings.module.build_needs
    return build.build_module(
        settings.module,
        build_root.fitted(kernel, needs, root=root, shared=shared, progress=progress),
        project=settings.root,
        out=build.output_folder(settings.root, "kernel", cache_root=root),
        variables=environment.kbuild,
        progress=progress,
    )


def _write(project: Project, before: str | None, tests: Path, choice: Choice) -> None:
    text = project_text.render(
        project.recipe,
        choice,
        source=project.source.relative_to(project.root).as_posix(),
        tests=tests.name,
        target=_TARGET,
    )
    project.file.write_text(f"{before.rstrip()}\n\n{text}" if before else text, encoding="utf-8")


def _said(project: Project, choice: Choice, test: Path, error: BuildError | None) -> Iterator[str]:
    if project.package is not None:
        yield f"{project.package.name} {project.package.version} lies in {project.source}"
    yield from project.recipe.because
    if error is None:
        yield f"it builds with {choice.shown}"
    else:
        yield "it does not build yet, but the configuration was written"
    yield f"wrote {project.file} and {test}"
