# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of panic with the forms in which people publish reports: mails, trackers, decoded traces.

Each text is made for its test, after a form that several public reports have.
"""

import pytest

from harness.panic.log import LogReader
from harness.panic.values import KernelReport

WHO = "CPU: 0 PID: 79 Comm: sh Not tainted 6.0.0 #1"
STACK = f"""{WHO}
Call Trace:
 dump_stack_lvl+0x1/0x2
 osq_reserve+0x1/0x2 [osq]
 vfs_read+0x1/0x2"""
NULL = f"""BUG: kernel NULL pointer dereference, address: 0000000000000008
Oops: 0002 [#1] SMP
{STACK}"""


def reports(text: str) -> list[KernelReport]:
    """Return the reports of a log."""
    return list(LogReader().read([text]))


def essence(report: KernelReport) -> tuple[str, str, str]:
    """Return what a person would say of a report: kind, function and module."""
    return report.kind, report.function, report.module


NULL_IN_RESERVE = ("null-deref", "osq_reserve", "osq")


def test_a_report_that_a_mail_quotes_at_several_depths_is_read() -> None:
    """The '> > ' of a mail's quotations is taken off; replies in between do not count."""
    quoted = [f"> >> {line}" for line in NULL.split("\n")]
    text = "\n".join(["I see this, too:", *quoted[:4], "> Which compiler?", ">", *quoted[4:]])

    assert [essence(one) for one in reports(text)] == [NULL_IN_RESERVE]


def test_kasans_mark_of_a_memory_row_is_not_removed_as_a_quotation_mark() -> None:
    """KASAN's own '>' before a row of memory is no mark of a quotation."""
    rows = [" ffff88800e2b5280: fc fc", ">ffff88800e2b5300: fb fb", " ffff88800e2b5380: fc fc"]
    text = "\n".join([f"BUG: KASAN: use-after-free in osq_reserve+0x1/0x2 [osq]\n{STACK}", *rows])

    (found,) = reports("\n".join(f"> {line}" for line in text.split("\n")))

    assert list(found.text[-3:]) == rows


@pytest.mark.parametrize("blank", ["\xa0", "\u2007", "\u202f"])
def test_a_report_with_unusual_space_characters_is_read(blank: str) -> None:
    """Mail programs replace blanks by others; the report is read all the same."""
    stamped = "\n".join(f"[    1.000000] {line}" for line in NULL.split("\n"))

    (found,) = reports("My machine died\n\n" + stamped.replace(" ", blank))

    assert essence(found) == NULL_IN_RESERVE


def test_flowed_lines_of_a_mail_are_joined() -> None:
    """A report's line that a mail program broke after a blank is joined with the next one."""
    text = (
        "BUG: KASAN: use-after-free in refcount_read  \n"
        "include/linux/refcount_and_other_things.h:43 [inline]\n"
        "BUG: KASAN: use-after-free in osq_reserve+0x38/0x390 drivers/osq.c:659\n" + STACK
    )

    (found,) = reports(text)

    assert found.text[0].endswith("include/linux/refcount_and_other_things.h:43 [inline]")
    assert found.function == "osq_reserve"


@pytest.mark.parametrize("separator", [" ", "\n"])
def test_repeated_headers_for_inlined_functions_give_one_report_named_after_the_last_header(
    separator: str,
) -> None:
    """A decoded KASAN text has one first line for each inlined function; the last one counts."""
    header = "BUG: KASAN: use-after-free in "
    text = (
        f"{header}atomic_read{separator}include/linux/instrumented.h:68 [inline]\n"
        f"{header}osq_hold{separator}drivers/osq.h:12 [inline]\n"
        f"{header}osq_reserve+0x5b/0x340 drivers/osq.c:734\n"
        f"Write of size 4 at addr ffff8880796b0010 by task sh/52\n{WHO}\nCall Trace:\n"
        " kasan_report+0x1/0x2\n osq_hold drivers/osq.h:12 [inline]\n"
        " osq_reserve+0x5b/0x340 drivers/osq.c:734\n vfs_read+0x1/0x2"
    )

    (found,) = reports(text)

    assert found.title == "KASAN: use-after-free Write in osq_reserve"
    assert found.place == "drivers/osq.c:734"


def test_a_report_has_the_same_function_with_and_without_inlined_frames() -> None:
    """An inlined function is never named, because the kernel's own text does not have it."""
    decoded = NULL.replace(" osq_reserve", " osq_hold drivers/osq.h:12 [inline]\n osq_reserve")

    assert [essence(one) for one in reports(decoded)] == [essence(one) for one in reports(NULL)]


def test_a_warning_with_file_and_line_in_place_of_offsets_still_names_its_function() -> None:
    """A warning with file and line instead of offsets names its function."""
    spot = "osq_reserve (drivers/osq.c:72 (discriminator 3))"
    text = f"WARNING: CPU: 0 PID: 13 at drivers/osq.c:72 {spot} \n{WHO}\nEIP: {spot} "

    assert essence(reports(text)[0]) == ("warning", "osq_reserve", "")


def test_timestamps_with_a_space_before_the_bracket_are_recognized() -> None:
    """From lines that begin with '<4>[    1.000000 ][   T12 ]' report and time are read."""
    text = "\n".join(f"<4>[    1.000000 ][   T12 ] {line}" for line in NULL.split("\n"))

    assert [(essence(one), one.at) for one in reports(text)] == [(NULL_IN_RESERVE, 1.0)]


@pytest.mark.parametrize("prefix", ["[..] ", "[...] ", "[  +0,000018] ", "[    0.000000] c0 "])
def test_a_rare_time_or_cpu_prefix_before_each_line_does_not_change_the_report(
    prefix: str,
) -> None:
    """A decimal comma in the time, or a vendor's CPU number before a line, is taken off."""
    text = "\n".join(prefix + line for line in NULL.split("\n"))

    assert [essence(one) for one in reports(text)] == [NULL_IN_RESERVE]


def test_a_log_without_times_is_not_taken_as_reversed_if_a_header_precedes_an_end_mark() -> None:
    """Of a log of an oops, its end mark and a warning, both are found, the oops first."""
    warning = f"WARNING: CPU: 1 PID: 2 at osq.c:62 osq_exit+0x1/0x2\n{WHO}"
    second = f"------------[ cut here ]------------\n{warning}"

    found = reports(f"{NULL}\n---[ end trace 0 ]---\n{second}")

    assert [essence(one) for one in found] == [NULL_IN_RESERVE, ("warning", "osq_exit", "")]


def test_frames_before_a_traps_program_counter_are_not_in_its_stack() -> None:
    """Frames between an oops's first line and its RIP come from another CPU that also printed."""
    text = (
        "general protection fault: 0000 [#1] SMP\n warn_alloc+0x1/0x2\n other_alloc+0x1/0x2\n"
        f"{WHO}\n other_caller+0x1/0x2\nRIP: 0010:osq_reserve+0x12/0x30 [osq]\n"
        " other_ioctl+0x1/0x2\nCall Trace:\n osq_write+0x1/0x2 [osq]"
    )

    (found,) = reports(text)

    assert essence(found) == ("general-protection", "osq_reserve", "osq")
    assert [frame.function for frame in found.stacks[0].frames] == ["osq_reserve", "osq_write"]


def test_the_function_that_allocated_a_bad_page_is_named_guilty_and_not_the_one_that_met_it() -> (
    None
):
    """In 'Bad page state', the stack of the page's last allocation names the guilty function."""
    text = (
        "BUG: Bad page state in process sh  pfn:7deea\npage last allocated via order 0, pid 5\n"
        " post_alloc_hook+0x1/0x2\n __alloc_pages+0x1/0x2\n osq_grow+0x1/0x2 [osq]\n"
        f"page last free stack trace:\n free_unref_page+0x1/0x2\n{WHO}\nCall Trace:\n"
        " bad_page+0x1/0x2\n folio_add_lru+0x1/0x2\n shmem_get_folio+0x1/0x2"
    )

    assert essence(reports(text)[0]) == ("bad-state", "osq_grow", "osq")


@pytest.mark.parametrize(
    ("owner", "function"),
    [
        ("INFO: Allocated in osq_open+0x4a/0x490 [osq] age=1 cpu=1 pid=2", "osq_open"),
        ("INFO: Freed in osq_close+0x50/0xb0 [osq] age=1 cpu=1 pid=2", "osq_close"),
    ],
)
def test_a_slab_report_without_a_stack_names_the_function_that_allocated_or_freed_the_object(
    owner: str, function: str
) -> None:
    """A report of slab corruption, such as a Poison overwritten, may have no other stack."""
    text = f"BUG kmalloc-64 (Not tainted): Poison overwritten\n{owner}\n __slab_alloc+0x1/0x2"

    assert essence(reports(text)[0]) == ("bad-state", function, "osq")


def test_a_lockdep_report_without_a_stack_names_a_function_of_its_lock_chain() -> None:
    """A lockdep report cut before its stack names the function that took the lock in the chain."""
    text = (
        "WARNING: possible circular locking dependency detected\n"
        "rmmod/125 is trying to acquire lock:\n"
        " ((&ks->irq_work)){+.+...}, at: [<c019e0b8>] flush_work+0x0/0xac\n"
        "-> #1 (&ks->lock){+.+...}:\n [<c01b89c8>] other+0x1/0x2\n"
        "-> #0 ((&ks->irq_work)){+.+...}:\n [<c019e104>] flush_work+0x4c/0xac\n"
        " [<bf00b858>] osq_stop+0x6c/0x138 [osq]"
    )

    assert essence(reports(text)[0])[:2] == ("lockdep", "osq_stop")


def test_a_lockdep_report_names_the_function_that_contains_the_inlined_ones() -> None:
    """A decoded lockdep report has a line for each inlined function; their caller is named."""
    lock = "ffff888011deca98 (&q->lock){++++}-{3:3}, at: "
    text = (
        "WARNING: possible circular locking dependency detected\n"
        "sh/125 is trying to acquire lock:\n"
        f"{lock}osq_lock_all drivers/osq.h:155 [inline]\n"
        f"{lock}osq_hold drivers/osq.h:12 [inline]\n"
        f"{lock}osq_reserve+0x165/0x1590 drivers/osq.c:2370\n\nbut task is already holding lock:"
    )

    assert essence(reports(text)[0])[:2] == ("lockdep", "osq_reserve")


def test_if_a_stack_has_only_worker_frames_the_function_in_the_workqueue_line_is_blamed() -> None:
    """If a kworker's stack has no function to blame, that of the line 'Workqueue:' is named."""
    text = (
        "refcount_t: underflow; use-after-free.\nWARNING: CPU: 1 PID: 24 at lib/refcount.c:28\n"
        f"{WHO}\nWorkqueue: events osq_flush [osq]\nRIP: 0010:refcount_warn_saturate+0x1/0x2\n"
        "Call Trace:\n worker_thread+0x1/0x2\n kthread+0x1/0x2"
    )

    assert essence(reports(text)[0]) == ("refcount", "osq_flush", "osq")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CPU 0: Machine Check Exception: 0000000000000007\nBank 3: b4\n", "machine-check"),
        ("[Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 5: be\n", "machine-check"),
        (f"Kernel panic - not syncing: hung_task: blocked tasks\n{WHO}\n", "hung-task"),
        (
            '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.\n',
            "hung-task",
        ),
    ],
)
def test_a_machine_check_hung_task_panic_or_hung_task_timeout_hint_gives_a_report_of_its_kind(
    text: str, kind: str
) -> None:
    """Rarer first lines, found in published kernel logs, are recognized as reports of a kind."""
    assert [one.kind for one in reports(text)] == [kind]


def test_the_leading_dot_of_ppc64_function_names_is_not_part_of_the_reported_name() -> None:
    """On big-endian ppc64 the names of functions begin with a dot, which is no part of them."""
    text = f"WARNING: at osq.c:497\n{WHO}\nNIP [c00000000003a100] .osq_reserve+0x150/0x1e0 [osq]"

    assert essence(reports(text)[0]) == ("warning", "osq_reserve", "osq")


def test_a_report_without_its_header_is_listed_as_suspicious() -> None:
    """A stack whose report lost its first line is no report; its line is shown as a suspect."""
    reader = LogReader()

    assert list(reader.read(["Call Trace:\n kasan_report+0xd3/0x100\n osq_read+0x1/0x2"])) == []
    assert [suspect.line for suspect in reader.suspects] == [1]


def test_a_megabyte_line_of_repeated_crash_words_is_one_suspicious_line_and_no_report() -> None:
    """A line of a megabyte with the same words again and again is one suspicious line."""
    reader = LogReader()

    assert list(reader.read(["x " + "RIP: 0010:" * 100_000])) == []
    assert len(reader.suspects) == 1
