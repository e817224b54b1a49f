# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Derive from the text of one kernel report its title, guilty function, module, task and stacks.

The title has the form that kernel developers search for: 'KASAN: slab-use-after-free Read in f'.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from harness.panic import facts, frames, guilty, hangs, headers
from harness.panic.causes import names_inlined
from harness.panic.registers import registers
from harness.panic.tables.header import Header
from harness.panic.values import Frame, KernelReport, Stack

# A check that reports no CPU fault prints its stack with dump_stack(); a program counter in such a
# report is not the place of the problem.
_POINTLESS = {
    "kasan",
    "kmsan",
    "kcsan",
    "kfence",
    "ubsan",
    "lockdep",
    "rcu-usage",
    "kmemleak",
    "oom",
}
_ACCESS = re.compile(r"^\s*(Read|Write) (?:of size|at addr)")
_MOST_TITLE = 120


def explain(text: Sequence[str], line: int = 0) -> KernelReport | None:
    """Return the parsed kernel report of these lines; the first one must be the report's header.

    The result is None without such a header, or if the kind of report needs a stack and has none.
    `line` is the number of the first line in the log.
    """
    found = _header(text)
    if found is None:
        return None
    header, match = found
    if not has_needed_stack(header, text):
        return None
    groups = {name: value or "" for name, value in match.groupdict().items()}
    traces = frames.read(text)
    kind, stem = _named(header, groups, text, traces)
    frame = _guilty(header, kind, groups, text, traces) if header.blames else None
    function = guilty.bare(frame.function) if frame is not None else ""
    who = facts.who(text)
    title = f"{stem} in {function}" if function else stem
    return KernelReport(
        kind=kind,
        title=re.sub(r"\s+", " ", title)[:_MOST_TITLE],
        line=line,
        text=tuple(text),
        fatal=header.fatal,
        function=function,
        module=_module(frame, _whole(header, traces)),
        place=_place(frame, header, groups, text, traces),
        task=who.task,
        pid=who.pid,
        cpu=who.cpu,
        taint=who.taint,
        registers=registers(text),
        stacks=_stacks(header, traces),
        facts={**facts.about_kernel(text), **_count(header, text)},
    )


def _header(text: Sequence[str]) -> tuple[Header, re.Match[str]] | None:
    """Return the table row and the match of a kernel report's header, None when it has none.

    Of a header that is repeated for inlined functions, the last one counts.
    """
    found = headers.match(text[0]) if text else None
    for count, line in enumerate(text[1:], start=1):
        if found is None or not names_inlined(text[:count]):
            break
        again = headers.match(line)
        found = again if again is not None and again[0].kind == found[0].kind else found
    return found


def has_needed_stack(header: Header, text: Sequence[str]) -> bool:
    """Return whether a kernel report has a stack, or is of a kind that needs none."""
    return not header.needs_stack or any(map(_is_of_kernel, text))


def _is_of_kernel(line: str) -> bool:
    """Return whether a line of a kernel report shows kernel code at fault, such as a frame."""
    shown = frames.parse_frame(line) or frames.parse_where(line)
    return shown is not None or line.startswith("Internal error:")


def _count(header: Header, text: Sequence[str]) -> dict[str, str]:
    """Return {"count": N} for a 'refleak' report that was printed N > 1 times, {} for others."""
    times = sum(1 for line in text if header.pattern.search(line.strip()))
    return {"count": str(times)} if header.kind == "refleak" and times > 1 else {}


def _named(
    header: Header,
    groups: dict[str, str],
    text: Sequence[str],
    traces: frames.Traces,
) -> tuple[str, str]:
    """Return a kernel report's kind, and the beginning of its title, before ' in FUNCTION'."""
    stem = header.stem.format(text[0], **groups).strip()
    if header.kind == "warning":
        return _kind_of_warning(stem, groups, traces.pointer)
    if header.kind == "kasan":
        access = next((hit[1] for line in text[1:] if (hit := _ACCESS.match(line))), "")
        stem = f"{stem} {access}".strip()
    return header.kind, stem


# A WARN in one of these functions or files is about its caller, and has an established name.
_WARNINGS = (
    ("hard-lockup", "BUG: hard lockup", re.compile(r"watchdog_(?:overflow|hardlockup)_c")),
    ("refcount", "WARNING: refcount bug", re.compile(r"refcount_|lib/refcount")),
    ("warning", "WARNING: ODEBUG bug", re.compile(r"debug_print_object|lib/debugobjects")),
    ("warning", "WARNING: locking bug", re.compile(r"kernel/locking/|lock_acquire|lock_release")),
    ("warning", "WARNING: proc registration bug", re.compile(r"proc_register|remove_proc_entry")),
    (
        "warning",
        "WARNING: kmalloc bug",
        re.compile(r"kmalloc|kvmalloc|mm/slab|mm/util|mm/page_alloc"),
    ),
    ("warning", "WARNING: kobject bug", re.compile(r"lib/kobject")),
)


def _kind_of_warning(
    stem: str, groups: dict[str, str], pointer: tuple[Frame, ...]
) -> tuple[str, str]:
    spot = " ".join([groups.get("file", ""), groups.get("in", ""), *(f.function for f in pointer)])
    for kind, name, pattern in _WARNINGS:
        if stem == "WARNING" and pattern.search(spot):
            return kind, name
    return "warning", stem


# These words come from show_fault_oops() in arch/x86/mm/fault.c and __do_kernel_fault() in
# arch/arm64/mm/fault.c.
_FETCH = re.compile(r"supervisor instruction fetch in kernel|execute from non-executable memory")


def _guilty(
    header: Header,
    kind: str,
    groups: dict[str, str],
    text: Sequence[str],
    traces: frames.Traces,
) -> Frame | None:
    """Return the frame of the function that a kernel report blames, None when it names none.

    The kind of report decides how it is chosen. When the CPU could not fetch an instruction, the
    program counter is in no function, so the caller is taken.
    """
    fetched = traces.own and any(_FETCH.search(line) for line in text[:8])
    whole = traces.own if fetched else _whole(header, traces)
    if hangs.sleeps(kind) or hangs.spins(kind):
        return _hanging(kind, traces, whole) or _work(text)
    named = _caller(text) or _page_owner(text[0], traces)
    if header.kind == "lockdep":
        named = _became_safe(traces) or _acquiring(text) or _of_chain(traces)
    if named is not None:
        return named
    own = "" if _ADDRESS.fullmatch(groups.get("in", "")) else groups.get("in", "")
    first = [_of_header(own, next(line for line in text if own in line))] if own else []
    if header.kind == "stack-corruption" and first:
        return first[0]
    if header.kind == "stack-overflow":
        deep = hangs.spinner(whole) or _repeated(whole)
        if deep is not None:
            return deep
    order = [*_from(own, whole), *first]
    choose = guilty.choose_leaker if header.kind == "kmemleak" else guilty.choose
    return (
        choose(order)
        or _object_owner(header, traces)
        or choose([replace(frame, reliable=True) for frame in order if not frame.reliable])
        or (_work(text) if kind in _OF_CALLERS else None)
        or next((one for one in (*traces.pointer, *first) if not one.inline), None)
        or _under_reporters(whole)
    )


# The program counter of these is in a function that reports on its callers.
_OF_CALLERS = frozenset({"warning", "refcount"})
_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]{8,16}")
_OWNER = re.compile(r"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)? \[(?P<module>[\w-]+)\]")


def _of_header(own: str, line: str) -> Frame:
    """Return a frame for the function, with its module, that a report's first line names."""
    name = own.split("+", maxsplit=1)[0]
    owner = _OWNER.match(line.partition(name)[2])
    return Frame(function=guilty.bare(name), module=owner["module"] if owner else "")


# The format of print_worker_info() in kernel/workqueue.c.
_WORK = re.compile(r"^Workqueue: .*?(?P<function>[A-Za-z_][\w.]*)(?: \[(?P<module>[\w-]+)\])?$")


def _work(text: Sequence[str]) -> Frame | None:
    """Return the function of the work item that the line 'Workqueue:' names, None without one."""
    found = next((found for line in text if (found := _WORK.match(line.strip()))), None)
    return Frame(function=found["function"], module=found["module"] or "") if found else None


def _hanging(kind: str, traces: frames.Traces, whole: tuple[Frame, ...]) -> Frame | None:
    """Return the frame to blame for a hang: from the report's own stack, else another CPU's."""
    choose = hangs.sleeper if hangs.sleeps(kind) else hangs.spinner
    others = [stack.frames for stack in traces.stacks if stack.name.startswith(("NMI", "CPU"))]
    found = (choose(one) for one in (whole, *others))
    sure = next((frame for frame in found if frame is not None), None)
    return sure or choose([replace(frame, reliable=True) for frame in whole])


def _whole(header: Header, traces: frames.Traces) -> tuple[Frame, ...]:
    """Return a kernel report's own stack, innermost first, with the program counter's frame."""
    pointer = () if header.kind in _POINTLESS and traces.own else traces.pointer
    own = traces.own
    first = next((frame for frame in own if frame.reliable), None)
    if pointer and first is not None and first.function == pointer[-1].function:
        pointer = pointer[:-1]
    return (*pointer, *own)


def _stacks(header: Header, traces: frames.Traces) -> tuple[Stack, ...]:
    """Return every stack of a kernel report: first its own, then those of other tasks and CPUs."""
    whole = _whole(header, traces)
    others = [stack for stack in traces.stacks if stack.frames is not traces.own]
    return ((Stack(name="", frames=whole),) if whole else ()) + tuple(others)


_REPORTERS = re.compile(r"dump_|show_|print_|panic|die|_*warn|.*_dump$|bug")


def _under_reporters(main: tuple[Frame, ...]) -> Frame | None:
    """Return the innermost frame of a stack that is not of report-printing code, or None."""
    return next(
        (frame for frame in main if frame.reliable and not _REPORTERS.match(frame.function)), None
    )


def _module(frame: Frame | None, main: tuple[Frame, ...]) -> str:
    """Return the guilty frame's module, else the innermost module of the stack, "" for none."""
    names = [one for one in main if frame is not None and one.function == frame.function]
    owner = next((one.module for one in (*names, frame) if one is not None and one.module), "")
    return owner or next((one.module for one in main if one.reliable and one.module), "")


_BUG_AT = re.compile(r"^[kK]ernel BUG at (?P<file>\S+:\d+)!")
_COLUMN = re.compile(r"^(\S+?:\d+):\d+$")


def _place(
    frame: Frame | None,
    header: Header,
    groups: dict[str, str],
    text: Sequence[str],
    traces: frames.Traces,
) -> str:
    """Return file and line of the guilty frame, or "" when the text does not give them.

    Except for UBSAN, the line in the header counts only if the innermost function is guilty.
    """
    if frame is None:
        return ""
    if frame.place:
        return _COLUMN.sub(r"\1", frame.place)
    found = next((hit["file"] for line in text[:6] if (hit := _BUG_AT.match(line))), "")
    spot = groups.get("file", "") if header.kind in {"warning", "ubsan", "refcount"} else found
    innermost = next(iter((*traces.pointer, *traces.own)), None)
    trapped = header.kind == "ubsan" or (
        innermost is not None and innermost.function == frame.function
    )
    return _COLUMN.sub(r"\1", spot) if trapped else ""


def _from(function: str, main: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the stack from the header's function outwards, or the whole stack without it."""
    name = guilty.bare(function.split("+", maxsplit=1)[0])
    for index, frame in enumerate(main):
        if name and frame.reliable and guilty.bare(frame.function) == name:
            return main[index:]
    return main


# A function that occurs this often in one stack calls itself; twice may be chance.
_OFTEN = 3


def _repeated(main: tuple[Frame, ...]) -> Frame | None:
    """Return a frame whose function is in the stack 3 times or more, so calls itself, or None."""
    counts = Counter(frame.function for frame in main if frame.reliable)
    name, often = counts.most_common(1)[0] if counts else ("", 0)
    if often < _OFTEN or guilty.serves(name):
        return None
    return next(frame for frame in main if frame.function == name)


_CHECKS = re.compile(r"_preempt_check|smp_processor_id")
_CALLER = re.compile(r"^\s*(?:caller is|last function:) (?P<function>[\w.]+)(?:\+0x|$)")


def _caller(text: Sequence[str]) -> Frame | None:
    """Return the function named after 'caller is' or 'last function:' in the text, or None."""
    found = next((found for line in text[:4] if (found := _CALLER.match(line))), None)
    if found is None or _CHECKS.search(found["function"]):
        return None
    return Frame(function=guilty.bare(found["function"]))


# print_tracking() of mm/slub.c, and its earlier forms.
_OBJECT_OWNERS = ("INFO: Allocated in", "Allocated in", "INFO: Freed in", "Freed in")
_OWNER_LINE = re.compile(r"(?:Allocated|Freed) in (?P<function>[A-Za-z_][\w.]*)\+0x")


def _object_owner(header: Header, traces: frames.Traces) -> Frame | None:
    """Return the function that allocated, or else freed, the object of a slab report, or None.

    The stack of such a report only shows who found the damaged object, not who damaged it.
    """
    if header.kind != "bad-state":
        return None
    for begin in _OBJECT_OWNERS:
        for stack in traces.stacks:
            named = _OWNER_LINE.search(stack.name) if stack.name.startswith(begin) else None
            if named is not None and not guilty.serves(named["function"]):
                owner = _of_header(named["function"], stack.name)
                return next((one for one in stack.frames if one.function == owner.function), owner)
    return None


# dump_page() of mm/debug.c, with page_owner=on.
_BAD_PAGE = "Bad page state"
_PAGE_ALLOCATED = "page last allocated"


def _page_owner(title: str, traces: frames.Traces) -> Frame | None:
    """Return the function that requested the page of a 'Bad page state' report, or None.

    The page's state was wrong before somebody freed or took the page, so the report's own stack
    shows a bystander. The kernel knows the owner only with page_owner=on.
    """
    if _BAD_PAGE not in title:
        return None
    stacks = (one.frames for one in traces.stacks if one.name.startswith(_PAGE_ALLOCATED))
    return guilty.choose_leaker(next(stacks, ()))


_SAFE_AT = re.compile(r"which became (?:HARD|SOFT)IRQ-irq-safe at:")


def _became_safe(traces: frames.Traces) -> Frame | None:
    """Return the function that takes the lock of a lockdep report in an interrupt, or None."""
    stacks = (stack.frames for stack in traces.stacks if _SAFE_AT.search(stack.name))
    return guilty.choose(next(stacks, ()))


# The last link of lockdep's chain is the lock that the task tries to take.
_LAST_LINK = "-> #0 "


def _of_chain(traces: frames.Traces) -> Frame | None:
    """Return the function at the last link of lockdep's chain; None if there is an own stack."""
    stacks = (one.frames for one in traces.stacks if one.name.startswith(_LAST_LINK))
    return None if traces.own else guilty.choose(next(stacks, ()))


_LOCK_AT = re.compile(r"\bat: (?:\[<[0-9a-f]+>\] )?(?P<function>[\w.]+)(?:\+0x|$| )")
# The lock and its place follow within this number of lines, inlined functions not counted.
_LOCK_LINES = 5
_WANTS = (
    re.compile(r"is trying to|is freeing memory|takes:?$"),
    re.compile(r"\d locks? held by|is leaving the kernel"),
)


def _acquiring(text: Sequence[str]) -> Frame | None:
    """Return the function that takes, or else holds, the lock of a lockdep report, or None."""
    for wants in _WANTS:
        for number, line in enumerate(text):
            if wants.search(line) is None:
                continue
            near_by = (near for near in text[number + 1 :] if not near.endswith("[inline]"))
            for near in islice(near_by, _LOCK_LINES):
                found = _LOCK_AT.search(near)
                frame = frames.parse_frame(near)
                own = found["function"] if found else frame.function if frame else ""
                if own:
                    return None if guilty.serves(own) else Frame(function=guilty.bare(own))
    return None
