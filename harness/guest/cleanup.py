# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Remove the files, daemons and guests that killed runs left, and kept guests when asked.

Only folders in the runtime folder and overlays in the cache are removed, and unfinished memory
dumps of runs. The user's own domains and daemons have no record in the runtime folder.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from harness import hints
from harness.errors import HypervisorError, UsageError
from harness.guest import domain, hypervisor, registry
from harness.guest.registry import GuestEntry
from harness.model.crash import CRASHES, RAW_VMCORE, VMCORE

# A folder without a record may belong to a run that is just starting.
_YOUNG_S = 10.0


def sweep(runtime: Path, cache: Path) -> Iterator[str]:
    """Remove the leftovers of dead runs, and yield one line for each run or folder removed.

    A guest that was kept on purpose stays as long as it runs. A run's folder without a record
    stays for a while, because its run may just have begun.
    """
    for entry in registry.list_entries(runtime):
        if registry.is_owned(entry.folder):
            continue
        if entry.kept and hypervisor.guest_alive(entry.folder, private=entry.private):
            continue
        yield f"removed what run {entry.run_id} left ({', '.join(end(entry))})"
    for folder in registry.broken_folders(runtime, older_than_s=_YOUNG_S):
        hypervisor.stop_daemon(folder)
        shutil.rmtree(folder, ignore_errors=True)
        yield f"removed {folder}, which had no record"
    yield from _orphan_disks(cache)


def end(entry: GuestEntry) -> tuple[str, ...]:
    """Stop a run's guest and libvirt daemon, delete their files, and list what was removed.

    The run's results stay, except for an unfinished memory dump. If the guest is at a URI of the
    user's, only the guest is stopped; if that daemon cannot be reached, the guest stays.
    """
    removed: list[str] = []
    if entry.private:
        if hypervisor.stop_daemon(entry.folder):
            removed.append("its guest and libvirt daemon")
    elif entry.domain and _destroy(entry):
        removed.append(f"domain {entry.domain}")
    if _remove_unfinished_dump(entry.run):
        removed.append("an unfinished memory dump")
    registry.remove(entry)
    return (*removed, "its files")


def _remove_unfinished_dump(run: Path) -> bool:
    """Remove a killed run's unfinished memory dump; return whether there was one."""
    patterns = (RAW_VMCORE, f".{VMCORE}.*.tmp")
    parts = [one for pattern in patterns for one in run.glob(f"{CRASHES}/*/{pattern}")]
    for part in parts:
        part.unlink(missing_ok=True)
    return bool(parts)


def choose_guest(runtime: Path, run_id: str) -> GuestEntry:
    """Return the guest of the run whose id is `run_id`, or else ends in it.

    When `run_id` is "", the only guest is returned, or of several the only one that no process
    uses.
    Raises: UsageError with the list of guests when none or several match.
    """
    known = registry.list_entries(runtime)
    fitting = [entry for entry in known if entry.run_id.endswith(run_id)]
    whole = [entry for entry in fitting if entry.run_id == run_id]
    # A complete id wins, because the id of another run may end in it.
    fitting = whole or fitting
    if not run_id and len(fitting) > 1:
        fitting = [entry for entry in fitting if not registry.is_owned(entry.folder)]
    if len(fitting) == 1:
        return fitting[0]
    if not known or (run_id and not fitting):
        what = f"run {run_id} has no guest" if run_id else "there is no guest"
        names = f"; guests now: {', '.join(entry.run_id for entry in known)}" if known else ""
        raise UsageError(
            f"{what}{names}", hint=f"{hints.command('kernel-test-load')} starts a guest"
        )
    names = ", ".join(entry.run_id for entry in fitting or known)
    raise UsageError(
        f"it is not clear which guest is meant: {names}",
        hint="give the end of its name, as a word or with --run",
    )


def _destroy(entry: GuestEntry) -> bool:
    try:
        # With a URI no daemon is started, so the folders and mask_kvm have no effect.
        with hypervisor.connect(
            entry.uri, runtime=entry.folder, cache=entry.folder, mask_kvm=False
        ) as hv:
            return domain.destroy_by_name(hv, entry.domain)
    except HypervisorError:
        # An unreachable daemon must not prevent the removal of the guest's files.
        return False


def _orphan_disks(cache: Path) -> Iterator[str]:
    live = cache / "live"
    if not live.is_dir():
        return
    for folder in sorted(live.iterdir()):
        if registry.is_orphan(folder, older_than_s=_YOUNG_S):
            shutil.rmtree(folder, ignore_errors=True)
            yield f"removed the overlay of run {folder.name}, which had no record"
