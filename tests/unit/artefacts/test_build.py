# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.build: only changed modules are built again; errors have compiler messages.

In place of kbuild, a Makefile compiles one C file in the same way.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import build
from harness.artefacts.build_steps import Job
from harness.errors import BuildError, UsageError
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec, PushSpec

KBUILD = """modules:
\techo run >> $(M)/../runs
\tgcc $(KCFLAGS) -include $(dir $(lastword $(MAKEFILE_LIST)))modinfo.h -Wl,--build-id -shared \
\t-fPIC -o $(M)/m.ko $(M)/m.c
"""
# The source lines that every module has; modinfo reads them.
MODINFO = """
static const char modinfo[] __attribute__((section(".modinfo"), used)) = "license=GPL";
"""


class Project:
    """A project with a module, and a replacement for a kernel whose headers build any module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "module").mkdir()
        (root / "module" / "Kbuild").write_text("obj-m := m.o\n")
        self.write("int answer(void) { return 42; }\n")
        self.kdir = root / "kdir"
        self.kdir.mkdir()
        (self.kdir / "Makefile").write_text(KBUILD)
        (self.kdir / "modinfo.h").write_text(MODINFO)
        self.spec = ModuleSpec(name="m", source=root / "module")
        self.notes: list[str] = []

    def write(self, text: str) -> None:
        """Change the module's source."""
        (self.root / "module" / "m.c").write_text(text)

    def build(self, **variables: str) -> ModuleBuild:
        """Build the project's module, and return the result."""
        nowhere = Path("/nowhere")
        kernel = Kernel(
            name="k",
            release="6.1",
            version="1",
            key="key",
            vmlinuz=nowhere,
            initrd=nowhere,
            modules_disk=nowhere,
            kdir=self.kdir,
            config=nowhere,
        )
        return build.build_module(
            self.spec,
            kernel,
            project=self.root,
            out=self.root / "out",
            variables=variables,
            progress=self.notes.append,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose module builds."""
    return Project(tmp_path)


def test_a_second_build_of_an_unchanged_module_compiles_nothing(project: Project) -> None:
    """A second build of an unchanged module compiles nothing.

    Of the two files that a build gives, only one has debug symbols.
    """
    first, second = project.build(), project.build()

    assert (first.fresh, second.fresh) == (True, False)
    assert first.build_id == second.build_id
    assert len(first.build_id) == 40
    assert first.debug.stat().st_size > first.stripped.stat().st_size
    assert project.notes == ["building m for 6.1"]


def test_builds_in_one_folder_take_turns(project: Project) -> None:
    """Of two builds of a module at once in one checkout, the second says that it waits."""
    steps = project.root / "steps"
    (project.kdir / "Makefile").write_text(
        f"modules:\n\techo begin >> {steps}\n\tsleep 0.5\n{KBUILD.removeprefix('modules:')}"
        f"\techo end >> {steps}\n"
    )
    with ThreadPoolExecutor(2) as both:
        built = [both.submit(project.build, W=number) for number in "12"]
        assert all(one.result().fresh for one in built)

    assert steps.read_text().split() == ["begin", "end"] * 2
    assert any("waiting for the build of m for 6.1" in note for note in project.notes)


def test_a_changed_added_or_removed_file_or_an_added_make_variable_causes_a_new_build(
    project: Project,
) -> None:
    """A changed, new or removed file and another make variable each cause a new build."""
    project.build()
    project.write("int answer(void) { return 43; }\n")
    changed = project.build()
    (project.root / "module" / "extra.h").write_text("\n")
    added = project.build()
    (project.root / "module" / "extra.h").unlink()
    removed = project.build()
    other = project.build(W="1")

    assert [one.fresh for one in (changed, added, removed, other)] == [True] * 4
    assert not (project.root / "out" / "6.1" / "src" / "extra.h").exists()


def test_configured_make_variables_reach_make_and_the_callers_override_them(
    project: Project,
) -> None:
    """Configured make variables reach make, and the caller's variables override them."""
    project.spec = replace(project.spec, variables={"KCFLAGS": "-g -DCHOSEN", "W": "1"})
    project.write("#ifndef CHOSEN\n#error not chosen\n#endif\nint answer(void) { return 1; }\n")

    assert project.build().fresh
    assert project.build(W="1").fresh is False
    with pytest.raises(BuildError, match="does not build"):
        project.build(KCFLAGS="-g")


def test_debug_information_names_the_original_source_file(
    project: Project,
) -> None:
    """A built module's DWARF names the file that the developer edits, and not a copy of it."""
    built = project.build()

    data = built.debug.read_bytes()
    assert str(project.root / "module" / "m.c").encode() in data
    assert str(project.root / "out" / "6.1" / "src").encode() not in data


def test_a_build_error_has_the_compilers_messages(project: Project) -> None:
    """A build error shows file, line and message, and a failed build is not reused later."""
    project.write("int answer(void) { return nothing; }\n")

    with pytest.raises(BuildError, match="does not build") as caught:
        project.build()
    project.write("int answer(void) { return 42; }\n")

    assert any("m.c:1:" in line and "nothing" in line for line in caught.value.evidence)
    assert project.build().fresh


def test_a_build_fails_when_objtool_warns_of_lost_unwind_data(project: Project) -> None:
    """A build in which objtool loses unwind data fails, since backtraces would be wrong."""
    warning = "m.o: warning: objtool: f()+0x1: can't find jump dest instruction"
    (project.kdir / "Makefile").write_text(KBUILD + f'\t@echo "{warning}"\n')

    with pytest.raises(BuildError, match="objtool") as caught:
        project.build()

    assert caught.value.evidence == (warning,)


def test_a_make_that_succeeds_without_making_the_configured_modules_file_is_a_build_error(
    project: Project,
) -> None:
    """If make exits with 0 without a .ko of the configured name, BuildError is raised."""
    project.spec = replace(project.spec, name="other")

    with pytest.raises(BuildError, match=r"no other\.ko"):
        project.build()


def test_make_variable_kdir_with_a_folder_without_headers_fails_the_build(
    project: Project,
) -> None:
    """A make variable KDIR replaces the headers' folder; one without headers fails the build."""
    with pytest.raises(BuildError):
        project.build(KDIR=str(project.root / "module"))


def test_a_module_in_the_kernels_tree_is_built_there(project: Project) -> None:
    """A source inside the kernel's tree is built in place, each time, and without own KCFLAGS."""
    outside = project.build()
    place = project.kdir / "drivers" / "m"
    shutil.copytree(project.root / "module", place)
    shutil.copy(outside.debug, place / "other.ko")
    (project.kdir / "Makefile").write_text(
        KBUILD.replace("echo run >> $(M)/../runs", "echo '$(M) [$(KCFLAGS)]' >> said")
    )
    project.spec = replace(project.spec, source=place, modules=("m*",))

    first, second = project.build(), project.build()

    assert (project.kdir / "said").read_text() == f"{place} []\n" * 2
    assert first.debug == second.debug == place / "m.ko"
    assert (first.fresh, second.fresh) == (True, True)
    assert (place / "other.ko").is_file()


def test_a_failing_companion_command_or_a_file_to_push_that_no_command_makes_is_a_build_error(
    project: Project,
) -> None:
    """Companion commands make files to push; BuildError says which failed or what was not made."""
    push = PushSpec(source=project.root / "tool", target="/bin/tool")
    makes = replace(project.spec, companions=(("touch", "tool"),), push=(push,))

    with pytest.raises(BuildError, match="no companion made it"):
        build.run_companions(replace(makes, companions=()), project=project.root)
    with pytest.raises(BuildError, match="false failed"):
        build.run_companions(replace(makes, companions=(("false",),)), project=project.root)
    build.run_companions(makes, project=project.root)

    assert (project.root / "tool").exists()


def test_a_project_below_a_path_with_a_space_or_colon_gets_an_output_folder_in_the_cache(
    tmp_path: Path,
) -> None:
    """Kbuild fails on a path with a space or colon, so such a project is built in the cache."""
    plain = build.output_folder(Path("/a/b"), "kernel", cache_root=tmp_path)
    spaced = build.output_folder(Path("/a b"), "kernel", cache_root=tmp_path)
    colon = build.output_folder(Path("/a:b"), "kernel", cache_root=tmp_path)

    assert plain == Path("/a/b/build/kernel")
    assert spaced.is_relative_to(tmp_path)
    assert colon.is_relative_to(tmp_path)


def test_kernel_headers_below_a_path_with_a_space_are_refused(project: Project) -> None:
    """Kbuild cannot use such a path; the hint names HARNESS_CACHE, which moves the headers."""
    project.kdir = project.kdir.rename(project.root / "k dir")

    with pytest.raises(UsageError, match=r"kbuild cannot work in .*/k dir") as caught:
        project.build()

    assert "HARNESS_CACHE=FOLDER" in caught.value.hint


def test_a_build_root_shows_the_source_of_a_kernel_that_was_built_in_another_folder(
    tmp_path: Path,
) -> None:
    """A build root (chroot) gets a kernel's headers and the source to which their link leads."""
    folder, source = tmp_path / "kernel", tmp_path / "linux"
    (folder / "build").mkdir(parents=True)
    source.mkdir()
    kernel = Kernel(
        name="k",
        release="6.1",
        version="1",
        key="key",
        vmlinuz=folder / "vmlinuz",
        initrd=folder,
        modules_disk=folder,
        kdir=folder / "build",
        config=folder,
    )
    spec = ModuleSpec(name="m")
    job = Job(spec=spec, kernel=kernel, kdir=kernel.kdir, source=tmp_path, variables={})

    assert build._kernel_folders(job) == (folder,)
    (folder / "build" / "source").symlink_to(source)
    assert build._kernel_folders(job) == (folder, source)
