# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table of the first lines of kernel panics, sanitizer reports and faults.

The first row that matches wins. Each text is a format in the kernel's source.
"""

from harness.panic.tables.header import header

_PANIC = r"^Kernel panic - not syncing: "

HEADERS = (
    header("canary", r"^harness-canary \S+: ", blames=False),
    # --- panics that are not the consequence of another report
    header(
        "stack-corruption",
        _PANIC + r"stack-protector: .*corrupted in: (?P<in>\S+)",
        "kernel panic: stack is corrupted",
        fatal=True,
    ),
    header(
        "stack-overflow",
        _PANIC + r"corrupted stack end detected",
        "kernel panic: corrupted stack end",
        fatal=True,
    ),
    header(
        "stack-overflow",
        _PANIC + r"kernel stack overflow",
        "kernel panic: kernel stack overflow",
        fatal=True,
    ),
    # --- panics at the end of a watchdog's report
    header(
        "hard-lockup",
        _PANIC + r"(?:Watchdog detected )?[hH]ard ?(?:LOCKUP|lockup)",
        "BUG: hard lockup",
        fatal=True,
    ),
    header("soft-lockup", _PANIC + r"softlockup: ", "BUG: soft lockup", fatal=True),
    header("hung-task", _PANIC + r"hung_task: ", "INFO: task hung", fatal=True),
    header("rcu-stall", _PANIC + r"RCU Stall", "INFO: rcu detected stall", fatal=True),
    header(
        "panic", r"^Kernel panic - not syncing:? ?(?P<what>.*)", "kernel panic: {what}", fatal=True
    ),
    header(
        "double-fault",
        r"^(?:traps: )?(?:PANIC: )?double fault[:,]",
        "PANIC: double fault",
        fatal=True,
    ),
    # --- sanitizers
    header(
        "kasan",
        r"^BUG: KAS[Aa][Nn]: (?P<what>[\w -]+?)(?: on address \S+)? in (?P<in>\S+)",
        "KASAN: {what}",
    ),
    header("kasan", r"^BUG: KAS[Aa][Nn]: (?P<what>[\w-]+)", "KASAN: {what}"),
    header("kmsan", r"^BUG: KMSAN: (?P<what>[\w-]+)", "KMSAN: {what}"),
    header("kfence", r"^BUG: KFENCE: (?P<what>[\w -]+?)(?: in (?P<in>\S+).*)?$", "KFENCE: {what}"),
    header(
        "kcsan",
        r"^BUG: KCSAN: (?P<what>[\w :-]+?)(?: in (?P<in>[\w.]+))(?: / [\w.]+)?",
        "KCSAN: {what}",
    ),
    header("ubsan", r"^UBSAN: (?P<what>[\w -]+?) in (?P<file>\S+)", "UBSAN: {what}"),
    header("ubsan", r"^UBSAN: (?P<what>.*)", "UBSAN: {what}"),
    # The format of CONFIG_UBSAN_TRAP on arm64.
    header("ubsan", r"^Internal error: UBSAN: (?P<what>[\w -]+): ", "UBSAN: {what}"),
    # --- faults
    header(
        "null-deref",
        r"^BUG: (?:[kK]ernel|[uU]nable to handle kernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    header(
        "page-fault",
        r"^BUG: [uU]nable to handle (?:page fault|kernel paging request|kernel data access|kernel instruction fetch)",
        "BUG: unable to handle kernel paging request",
    ),
    header(
        "page-fault",
        r"^BUG: [uU]nable to handle (?:kernel|unknown)",
        "BUG: unable to handle kernel",
    ),
    header(
        "null-deref",
        r"^(?:CPU \d+ )?Unable to handle kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    header(
        "page-fault",
        r"^(?:CPU \d+ )?Unable to handle kernel ",
        "BUG: unable to handle kernel paging request",
    ),
    # The format of arm64 before 4.16; arm's syndrome has three digits. Both also report faults of
    # user space.
    header(
        "internal-error",
        r"^Unhandled (?:fault|prefetch abort): [^()]* \(0x[0-9a-f]{8}\) at ",
        "Unhandled fault",
        needs_stack=True,
    ),
    header(
        "unhandled-fault",
        r"^Unhandled (?:fault|prefetch abort)(?:: | at )",
        "Unhandled fault",
        needs_stack=True,
    ),
    header("alignment", r"^Alignment trap: ", "Alignment trap", needs_stack=True),
    header(
        "alignment",
        r"^(?:Unhandled kernel|Kernel) unaligned access|^Oops - (?:load|store(?: \(or AMO\))?) address misaligned",
        "unaligned access",
    ),
    header("serror", r"^SError Interrupt on CPU\d+, code ", "SError", fatal=True),
    header(
        "general-protection",
        r"^(?:Oops: |traps: )?general protection fault|general protection fault: [0-9a-f]{4} \[#\d",
        "general protection fault",
        unless=r" error:[0-9a-f]+ in \S| ip:[0-9a-f]+ sp:",
    ),
    header("stack-segment", r"^(?:Oops: )?stack segment: ", "stack segment fault"),
    header(
        "divide-error",
        r"^(?:Oops: )?(?:divide error|divide_error): ",
        "divide error",
        unless=r" ip:[0-9a-f]+ sp:",
    ),
    header(
        "invalid-opcode",
        r"^(?:Oops: )?invalid opcode: ",
        "invalid opcode",
        unless=r" ip:[0-9a-f]+ sp:",
    ),
    header("int3", r"^(?:Oops: )?int3: ", "int3"),
    header(
        "stack-overflow",
        r"^BUG: (?:\S+ )?stack guard page was hit",
        "BUG: stack guard page was hit",
        fatal=True,
    ),
    header(
        "stack-overflow",
        r"^Insufficient stack space to handle exception",
        "kernel stack overflow",
        fatal=True,
    ),
    # --- rarer traps of x86, program interruptions of s390, mips; then the second lines that all
    # architectures print
    header(
        "oops",
        r"^(?:Oops: )?(?P<what>[a-z][a-zA-Z -]+): [0-9a-f]{4} (?:ilc:\d )?\[#\d",
        "Oops: {what}",
        unless=r"^(?:Oops: )?(?:invalid opcode|int3|double fault)",
    ),
    header("bug", r"^Kernel bug detected\[#\d", "kernel BUG"),
    header(
        "oops",
        r"^Oops(?: - [\w /()]+)?(?:\[#\d| \[#\d|: [0-9a-f]{1,16} |: [0-9a-f]{4,16}$|: .*\[#\d)",
        "Oops",
    ),
    header("oops", r"^(?P<what>[A-Z][\w ,.!'-]{3,60})\[#\d+\]", "Oops: {what}"),
    header("internal-error", r"^Internal error: (?!Oops)", "Internal error"),
    header("oops", r"^Internal error: Oops", "Oops"),
    header("rust-panic", r"^rust_kernel: panicked at ", "rust panic"),
)
