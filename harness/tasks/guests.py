# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks about guests that stay up, their images, and the caches."""

from harness.tasks.common import TaskContext, help_for, task
from harness.tasks.options import Mode, check_options

_RUN_HELP = "which guest: the name of its run, or the end of it (default: the only one)"
STOP_ALL = Mode(
    when="with --all", takes="all", refuses={"--all stops every guest, whatever its run": "run"}
)


@task(short_flags=True)
def guest_list(context: TaskContext) -> int:
    """List the running guests of this user's runs."""
    from harness.guest import manage

    rows = manage.table(context.environment)
    print("\n".join(rows) if rows else "no guest")
    return 0


@task(
    aliases=["shell"],
    word="run",
    command="command",
    short_flags=True,
    options_help={"run": _RUN_HELP, "command": "run this (also after --)"},
)
def guest_ssh(context: TaskContext, run: str = "", command: str = "") -> int:
    """Open a shell in a guest, or run one command there."""
    from harness.guest import manage
    from harness.host import foreground

    line = manage.ssh_command(manage.choose_guest(context.environment, run), command)
    return foreground.run(line)


@task(word="run", short_flags=True, options_help={"run": _RUN_HELP})
def guest_console(context: TaskContext, run: str = "") -> int:
    """Show a guest's console from its first byte and follow it; Ctrl-C leaves."""
    from harness.guest import manage

    for text in manage.console(manage.choose_guest(context.environment, run)):
        print(text, flush=True)
    return 0


@task(word="run", short_flags=True, options_help={"run": _RUN_HELP, "all": "every guest"})
def guest_stop(context: TaskContext, run: str = "", all: bool = False) -> int:  # noqa: A002
    """Stop a guest that was left up, and remove its files."""
    from harness.guest import manage

    if all:
        check_options(STOP_ALL, context.given)
    for line in manage.stop(context.environment, run, every=all):
        print(line)
    return 0


@task(word="name", short_flags=True, options_help={"name": "image (default: every target's)"})
def image_build(context: TaskContext, name: str = "") -> int:
    """Bootstrap a guest image into the cache, unless it is there already."""
    from harness.artefacts import image

    settings = context.settings
    wanted = [name] if name else [target.image for target in settings.targets.values()]
    with context.view() as view:
        # Several targets may have the same image.
        for spec in dict.fromkeys(image.load_spec(settings.images, one) for one in wanted):
            root, shared = context.environment.cache, settings.shared_cache
            print(image.ensure(spec, root=root, shared=shared, progress=view.note).disk)
    return 0


@task(name="kernel-image", options_help=help_for("target", "kernel"))
def make_kernel_image(
    context: TaskContext, target: str | None = None, kernel: str | None = None
) -> int:
    """Fetch or build a target's kernel into the cache, and print its folder.

    A kernel with `source` or `fragments` is built, which takes a quarter of an hour on two cores.
    """
    from harness.artefacts import kernels
    from harness.host import config

    settings, root = context.settings, context.environment.cache
    name = config.choose_target(settings, target, kernel).kernel
    spec, shared = settings.kernels[name], settings.shared_cache
    with context.view() as view:
        made = kernels.ensure(name, spec, root=root, shared=shared, progress=view.note)
    print(made.vmlinuz.parent)
    return 0


@task()
def image_list(context: TaskContext) -> int:
    """List everything that the cache holds, with its size and last use."""
    from harness.guest import manage

    print("\n".join(manage.cache_table(context.environment)))
    return 0


@task(
    short_flags=True,
    options_help={
        "all": "images, kernels and snapshots too",
        "runs": "folders of finished runs too",
    },
)
def clean(context: TaskContext, all: bool = False, runs: bool = False) -> int:  # noqa: A002
    """Remove what killed runs left behind; with --all the whole cache, with --runs old results."""
    from harness.guest import manage

    root = context.settings.root
    for line in manage.clean(context.environment, root, cache=all, runs=runs):
        print(line)
    return 0
