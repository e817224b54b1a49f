# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels of the user's own boot, and a module in the tree of one is built there.

A kernel of Debian is repacked, since building one takes an hour: as a built tree, whose
`make modules_install` copies Debian's modules, and as .deb files that are split as Debian's are.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.artefacts import kernels
from harness.host import config
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel
from tests.system.whole_run import EXAMPLE, Project

BOOTED_S = 900.0
# The tree's own Makefile: Debian's headers build modules, and have none to install.
MAKEFILE = """all:
\techo made >> made
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib
\tcp -a {modules} $(INSTALL_MOD_PATH)/lib/modules
ifneq ($(M),)
include {headers}/Makefile
endif
"""
CONTROL = "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: n <n@x.invalid>\n"


@pytest.fixture(scope="module")
def debian() -> Kernel:
    """Give Debian's kernel for virtual machines, from the cache."""
    spec = KernelSpec(package="linux-image-cloud-amd64")
    return kernels.ensure("6.1", spec, root=config.environment().cache, progress=print)


@pytest.fixture(scope="module")
def modules(debian: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder like /lib/modules with the modules of Debian's kernel."""
    folder = tmp_path_factory.mktemp("modules")
    rdump = f"rdump {debian.release} {folder}"
    dump = ["/usr/sbin/debugfs", "-R", rdump, str(debian.modules_disk)]
    subprocess.run(dump, check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def cache_as_before() -> Iterator[None]:
    """Remove the test's kernel from the cache: it is of a folder that no later test has."""
    kept = config.environment().cache / "kernels"
    before = set(kept.glob("own-*"))
    yield
    for folder in set(kept.glob("own-*")) - before:
        shutil.rmtree(folder)


def use(project: Project, kernel: str) -> None:
    """Add a kernel to the project's configuration and make it that of the target."""
    project.allow_slow_boot()
    project.replace("pyproject.toml", 'kernel = "debian-12-cloud"', 'kernel = "mine"')
    project.replace(
        "pyproject.toml",
        "[tool.harness.kernels.debian-12-cloud]",
        f"[tool.harness.kernels.mine]\n{kernel}\n\n[tool.harness.kernels.debian-12-cloud]",
    )


@pytest.mark.long
def test_a_run_with_a_kernel_tree_boots_its_kernel_and_builds_a_module_in_the_tree(
    project: Project, debian: Kernel, modules: Path
) -> None:
    """A real guest boots the kernel of a folder that looks like a built source tree."""
    tree = project.root / "linux"
    shutil.copytree(debian.kdir, tree, ignore=shutil.ignore_patterns("scripts", "tools"))
    for name in ("scripts", "tools"):
        (tree / name).symlink_to((debian.kdir / name).resolve())
    (tree / "Makefile").write_text(MAKEFILE.format(modules=modules, headers=debian.kdir))
    (tree / "modules.order").write_text("")
    (tree / "include/config/kernel.release").write_text(f"{debian.release}\n")
    (tree / "arch/x86/boot").mkdir(parents=True)
    shutil.copyfile(debian.vmlinuz, tree / "arch/x86/boot/bzImage")
    shutil.copytree(EXAMPLE / "src", tree / "drivers" / "greeter")
    use(project, 'tree = "linux"')
    project.replace("pyproject.toml", 'source = "src"', 'source = "linux/drivers/greeter"')

    run = project.run("--fresh", "--kernel=mine", "--build", deadline_s=BOOTED_S)

    assert run.code == 0, run.output
    assert (tree / "made").read_text() == "made\n"
    assert (tree / "drivers" / "greeter" / "greeter.ko").is_file()
    assert not list(project.root.glob("build/kernel/*/src"))
    assert run.report["provenance"]["kernel_release"] == debian.release


@pytest.mark.long
def test_a_kernel_given_as_deb_files_boots_and_a_module_is_built_for_it(
    project: Project, debian: Kernel, modules: Path, tmp_path: Path
) -> None:
    """A real guest boots a kernel that the project gives as two .deb files, image and headers."""
    image, headers = tmp_path / "image", tmp_path / "headers"
    (image / "boot").mkdir(parents=True)
    shutil.copyfile(debian.vmlinuz, image / "boot" / f"vmlinuz-{debian.release}")
    shutil.copyfile(debian.config, image / "boot" / f"config-{debian.release}")
    shutil.copytree(modules, image / "lib" / "modules", symlinks=True)
    shutil.copytree(debian.kdir.parent, headers / "usr" / "src", symlinks=True)
    shutil.copytree(debian.kdir.parents[1] / "lib", headers / "usr" / "lib", symlinks=True)
    files = []
    for folder in (image, headers):
        (folder / "DEBIAN").mkdir()
        control = CONTROL.format(name=folder.name)
        (folder / "DEBIAN" / "control").write_text(f"{control}Description: d\n")
        files.append(folder.with_suffix(".deb"))
        make = ["dpkg-deb", "-Znone", "--build", str(folder), str(files[-1])]
        subprocess.run(make, check=True, capture_output=True)
    use(project, f"files = {[str(file) for file in files]}")

    run = project.run("--fresh", deadline_s=BOOTED_S)

    assert run.code == 0, run.output
    assert run.report["provenance"]["kernel"] == "mine"


def test_kunit_lines_in_the_kernel_log_become_passed_and_failed_results(project: Project) -> None:
    """The example module writes KUnit's KTAP lines into a real guest's log: a test for each."""
    project.replace(
        "src/greeter.c",
        'pr_info("greeter: hello\\n");',
        'pr_info("greeter: hello\\n");\n'
        + "".join(
            f'\tprintk(KERN_INFO "{line}\\n");\n'
            for line in (
                "    KTAP version 1",
                "    # Subtest: greeter",
                "    1..2",
                "    ok 1 greets",
                "    # is_polite: EXPECTATION FAILED at greeter_test.c:12",
                "    not ok 2 is_polite",
                "not ok 1 greeter",
            )
        ),
    )
    project.replace("pyproject.toml", 'command = "greeter-test"', 'kunit = ["greet*"]')

    run = project.run()

    assert run.code == 1, run.output
    found = {one["name"]: one["verdict"] for one in run.report["results"]}
    assert found == {"greeter/greets": "passed", "greeter/is_polite": "failed"}
