# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The user's commands for guests and caches between runs: list, enter, watch, stop, clean."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from harness import hints
from harness.artefacts import image
from harness.guest import cleanup, hypervisor, registry, session
from harness.guest import console as consoles
from harness.guest.registry import GuestEntry
from harness.model import build_folder
from harness.model.environment import Environment
from harness.model.settings import LOOPBACK, Settings
from harness.systems.linux import kmod
from harness.systems.ssh import Guest


def choose_guest(environment: Environment, run_id: str) -> GuestEntry:
    """Return the guest of the run whose id is `run_id` or ends in it.

    When `run_id` is "", the only guest is returned, or of several the only unused one.
    Raises: UsageError with the list of guests when none or several match.
    """
    return cleanup.choose_guest(environment.runtime, run_id)


def how_to_reach(entry: GuestEntry) -> tuple[str, ...]:
    """Return the lines that tell a user how to reach a guest that keeps running."""
    return (
        f"guest {entry.run_id} stays up ({entry.target}, libvirt: {entry.uri})",
        f"  shell:    {hints.command('guest-ssh', f'--run={entry.run_id}')}",
        f"  console:  {hints.command('guest-console', f'--run={entry.run_id}')}",
        f"  by hand:  {' '.join(ssh_command(entry, ''))}",
        f"  reload:   {hints.command('kernel-test-load', f'--run={entry.run_id}')}",
        f"  explain:  {hints.command('explain-guest', f'--run={entry.run_id}')}",
        f"  stop it:  {hints.command('guest-stop', f'--run={entry.run_id}')}",
    )


def if_kept(environment: Environment, run_id: str) -> tuple[str, ...]:
    """Return the lines that tell a user how to reach a run's guest, () if it was not kept."""
    kept = [
        entry for entry in registry.list_entries(environment.runtime) if entry.run_id == run_id
    ]
    return how_to_reach(kept[0]) if kept else ()


def ssh_command(entry: GuestEntry, command: str) -> list[str]:
    """Return the ssh command line for a guest; ssh checks the host key of the guest's image.

    That key is written into a file in the guest's folder. Without a `command`, ssh opens a shell.
    """
    known_hosts = entry.folder / "known_hosts"
    known_hosts.write_text(f"[{LOOPBACK}]:{entry.port} {entry.host_key}\n")
    # The keys of the user's agent would be offered first, and sshd refuses after a few.
    options = ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "IdentitiesOnly=yes"]
    line = ["ssh", "-i", str(entry.key_file), "-p", str(entry.port), *options, f"root@{LOOPBACK}"]
    return [*line, command] if command else line


def table(environment: Environment) -> list[str]:
    """Return one line for each guest on this host: run id, target, age, state, and SSH port.

    The state is "in use" by a process, "kept" on purpose, "left by a killed run", or "gone" when
    the guest has ended.
    """
    rows = []
    for entry in registry.list_entries(environment.runtime):
        if registry.is_owned(entry.folder):
            state = "in use"
        elif hypervisor.guest_alive(entry.folder, private=entry.private):
            state = "kept" if entry.kept else "left by a killed run"
        else:
            state = "gone"
        age = (time.time() - entry.started_at) / 60
        rows.append(
            f"{entry.run_id}  {entry.target:16} {age:6.1f} min  {state:12} port {entry.port}"
        )
    return rows


def console(entry: GuestEntry) -> Iterator[str]:
    """Yield all lines of a guest's console, and wait for more until the guest is removed."""
    yield from consoles.follow(
        entry.run / session.QEMU_CONSOLE, alive=lambda: registry.read(entry.folder) is not None
    )


def stop(environment: Environment, run_id: str, *, every: bool) -> Iterator[str]:
    """Stop the guest of a run, or with `every` all guests, and yield a line for each.

    A guest that a process uses is not stopped; its line names the process.
    Raises: UsageError when one guest is meant, and there is none or the choice is not clear.
    """
    entries = (
        registry.list_entries(environment.runtime)
        if every
        else (choose_guest(environment, run_id),)
    )
    for entry in entries:
        if registry.is_owned(entry.folder):
            yield f"{entry.run_id} is in use by process {entry.pid}; end that process first"
            continue
        yield f"stopped {entry.run_id}: {', '.join(cleanup.end(entry))} removed"


def unload(environment: Environment, settings: Settings, run_id: str) -> None:
    """Unload the module in a guest that was kept.

    Raises: UsageError when the choice of the guest is not clear; ModuleError when the module is
        not loaded, or with its users when it is still busy after the last attempt; GuestLost;
        GuestHung when rmmod does not return.
    """
    entry = choose_guest(environment, run_id)
    limit = settings.timeouts.load_s * settings.timeouts.tcg_factor
    with Guest.connect(entry.endpoint, deadline_s=limit, alive=lambda: None) as guest:
        kmod.unload(guest, settings.module, deadline_s=limit, attempts=5)


def cache_table(environment: Environment) -> list[str]:
    """Return a line with size and last use for each cached item, and a line with the total."""
    items = image.list_cached(environment.cache)
    rows = [
        f"{item.name:40} {item.key:18} {item.size_bytes / 2**20:8.0f} MiB  {_ago(item.last_used)}"
        for item in items
    ]
    total = sum(item.size_bytes for item in items) / 2**20
    return [*rows, f"{total:.0f} MiB in {environment.cache}"]


def clean(environment: Environment, root: Path, *, cache: bool, runs: bool) -> Iterator[str]:
    """Remove what killed runs left, and on request the caches and the results of runs.

    Yield a line for each thing removed. While any guest exists the caches stay, and a line says
    so.
    """
    yield from cleanup.sweep(environment.runtime, environment.cache)
    doomed = [environment.cache / name for name in image.CACHE_FOLDERS] if cache else []
    doomed += [build_folder.runs(root)] if runs else []
    if cache and registry.list_entries(environment.runtime):
        stop = hints.command("guest-stop", "--all")
        yield f"the cache stays, since guests use it; stop them with {stop}"
        doomed = doomed[len(image.CACHE_FOLDERS) :]
    for folder in doomed:
        if folder.exists():
            shutil.rmtree(folder)
            yield f"removed {folder}"


def _ago(stamp: float) -> str:
    hours = (time.time() - stamp) / 3600
    return f"used {hours:.0f} h ago" if hours >= 1 else "used just now"
