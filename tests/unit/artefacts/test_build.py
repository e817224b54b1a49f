# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""build: what changed is built, what did not is not, and a failure is the compiler's own words.

Kbuild is stood in for by a Makefile that compiles one C file the same way.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import build
from harness.errors import BuildError
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec, PushSpec

KBUILD = """modules:
\techo run >> $(M)/../runs
\tgcc $(KCFLAGS) -include $(dir $(lastword $(MAKEFILE_LIST)))modinfo.h -Wl,--build-id -shared \
\t-fPIC -o $(M)/m.ko $(M)/m.c
"""
# What every module has, and modinfo reads.
MODINFO = """
static const char modinfo[] __attribute__((section(".modinfo"), used)) = "license=GPL";
"""


class Project:
    """A module's project in a folder, and a kernel whose headers build anything."""

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
        """Build it."""
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
    """Give a project that builds."""
    return Project(tmp_path)


def test_a_module_is_built_once(project: Project) -> None:
    """The second time nothing runs; symbols are in one file and not in the other."""
    first, second = project.build(), project.build()

    assert (first.fresh, second.fresh) == (True, False)
    assert first.build_id == second.build_id
    assert len(first.build_id) == 40
    assert first.debug.stat().st_size > first.stripped.stat().st_size
    assert project.notes == ["building m for 6.1"]


def test_builds_in_one_folder_take_turns(project: Project) -> None:
    """Two commands at once in one checkout: the second says that it waits."""
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


def test_a_change_is_built(project: Project) -> None:
    """A changed file, a new file, a removed file and another variable each make a new build."""
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


def test_variables_of_the_module_go_to_make(project: Project) -> None:
    """They are part of what was built; the caller's own come before them."""
    project.spec = replace(project.spec, variables={"KCFLAGS": "-g -DCHOSEN", "W": "1"})
    project.write("#ifndef CHOSEN\n#error not chosen\n#endif\nint answer(void) { return 1; }\n")

    assert project.build().fresh
    assert project.build(W="1").fresh is False
    with pytest.raises(BuildError, match="does not build"):
        project.build(KCFLAGS="-g")


def test_the_debug_information_leads_to_the_source(project: Project) -> None:
    """A debugger opens the file that is edited, not the copy."""
    built = project.build()

    assert str(project.root / "module" / "m.c").encode() in built.debug.read_bytes()


def test_the_compilers_words_are_the_error(project: Project) -> None:
    """File, line and message; and the failed build is not taken for a good one afterwards."""
    project.write("int answer(void) { return nothing; }\n")

    with pytest.raises(BuildError, match="does not build") as caught:
        project.build()
    project.write("int answer(void) { return 42; }\n")

    assert any("m.c:1:" in line and "nothing" in line for line in caught.value.evidence)
    assert project.build().fresh


def test_lost_unwind_data_is_an_error(project: Project) -> None:
    """Objtool's warning costs every later backtrace, so it fails the build."""
    warning = "m.o: warning: objtool: f()+0x1: can't find jump dest instruction"
    (project.kdir / "Makefile").write_text(KBUILD + f'\t@echo "{warning}"\n')

    with pytest.raises(BuildError, match="objtool") as caught:
        project.build()

    assert caught.value.evidence == (warning,)


def test_a_kbuild_that_makes_another_module_is_an_error(project: Project) -> None:
    """Make is content, but the module that the configuration names is not there."""
    project.spec = replace(project.spec, name="other")

    with pytest.raises(BuildError, match=r"no other\.ko"):
        project.build()


def test_kdir_replaces_the_kernels_headers(project: Project) -> None:
    """KDIR is kbuild's own word for it."""
    with pytest.raises(BuildError):
        project.build(KDIR=str(project.root / "module"))


def test_companions_must_work_and_make_what_is_pushed(project: Project) -> None:
    """A failing command, and a file that nobody made, are errors before a guest boots."""
    push = PushSpec(source=project.root / "tool", target="/bin/tool")
    makes = replace(project.spec, companions=(("touch", "tool"),), push=(push,))

    with pytest.raises(BuildError, match="no companion made it"):
        build.run_companions(replace(makes, companions=()), project=project.root)
    with pytest.raises(BuildError, match="false failed"):
        build.run_companions(replace(makes, companions=(("false",),)), project=project.root)
    build.run_companions(makes, project=project.root)

    assert (project.root / "tool").exists()


def test_a_path_with_a_space_is_built_elsewhere(tmp_path: Path) -> None:
    """Kbuild cannot have it, so the cache takes the build."""
    plain = build.output_folder(Path("/a/b"), "kernel", cache_root=tmp_path)
    spaced = build.output_folder(Path("/a b"), "kernel", cache_root=tmp_path)

    assert plain == Path("/a/b/build/kernel")
    assert spaced.is_relative_to(tmp_path)
