# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests that stay up, their images, and the caches."""

import subprocess

from invoke.context import Context
from invoke.tasks import task

from harness.artefacts import image
from harness.guest import manage
from harness.tasks.common import command, current_environment, load_settings, view_for


@task
@command
def guest_list(_c: Context) -> int:
    """List the guests that runs of this user have now."""
    rows = manage.table(current_environment())
    print("\n".join(rows) if rows else "no guest")
    return 0


@task(help={"run": "which guest", "command": "run this"})
@command
def guest_ssh(_c: Context, run: str = "", command: str = "") -> int:
    """Open a shell in a guest, or run one command there."""
    line = manage.ssh_command(manage.choose_guest(current_environment(), run), command)
    return subprocess.run(line, check=False).returncode


@task(help={"run": "which guest"})
@command
def guest_console(_c: Context, run: str = "") -> int:
    """Show a guest's console from its first byte and go on with it; Ctrl-C leaves."""
    for text in manage.console(manage.choose_guest(current_environment(), run)):
        print(text, flush=True)
    return 0


@task(help={"run": "which guest", "all": "every guest"})
@command
def guest_stop(_c: Context, run: str = "", all: bool = False) -> int:  # noqa: A002
    """Stop a guest that was left up, and remove its files."""
    for line in manage.stop(current_environment(), run, every=all):
        print(line)
    return 0


@task(help={"name": "image (default: every target's)"})
@command
def image_build(_c: Context, name: str = "", config: str | None = None) -> int:
    """Bootstrap a guest image into the cache, where it is not there already."""
    settings = load_settings(config)
    names = (name,) if name else sorted({target.image for target in settings.targets.values()})
    with view_for(verbose=False) as view:
        for one in names:
            spec = image.load_spec(settings.images, one)
            print(image.ensure(spec, root=current_environment().cache, progress=view.note).disk)
    return 0


@task
@command
def image_list(_c: Context) -> int:
    """List what the cache holds: images, kernels, snapshots, their sizes and last use."""
    print("\n".join(manage.cache_table(current_environment())))
    return 0


@task(help={"all": "images, kernels and snapshots too", "runs": "folders of finished runs too"})
@command
def clean(_c: Context, all: bool = False, runs: bool = False) -> int:  # noqa: A002
    """Remove what killed runs left behind; with --all the whole cache, with --runs old results."""
    for line in manage.clean(
        current_environment(), load_settings(None).root, cache=all, runs=runs
    ):
        print(line)
    return 0
