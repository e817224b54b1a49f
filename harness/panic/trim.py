# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Cut off the lines after a kernel report's end, where the kernel printed no end mark."""

import re
from collections.abc import Sequence

from harness.panic.frames import parse_frame

# Lines of a report other than frames: headings, registers, memory, locks, ruled lines.
_BELONGS = re.compile(
    r"^\s*(?:[=\-]{8,}|Call [Tt]race|Backtrace|backtrace|stack backtrace|</?[A-Z]+>|CPU: |NMI |Code: |"
    r"[RE]?[A-Z]{2}\d?: |R\d\d: |[CD]R\d: |RIP|EIP|PC is|LR is|pc : |lr : |sp : |x\d+\s?: |r\d+\s?: |pstate|epc|NIP|Krnl|GPR|"
    r"Hardware name|Modules linked|Workqueue|Tainted|---\[|\[ cut here|Kernel panic|Kernel Offset|Rebooting|"
    r"Allocated|Freed|allocated by|freed by|The buggy|Memory state|[ >]?[0-9a-f]{8,16}:|raw: |page|flags:|head:|"
    r"Uninit|Local variable|Bytes \d|Memory access|value changed|Reported by|read |write |race |"
    r"-> #|#\d+:|\d+ locks?|other info|Possible|lock\(|\*\*\*|the |and |but |which |\.\.\. |\{|hardirqs|softirqs|irq event|"
    r"Last|Preemption|Showing|INFO: |in_atomic|preempt_count|RCU nest|task:|Not tainted|\"echo 0|rcu|\(t=|\(detected|"
    r"Sending|Mem-Info|Node |Redzone|Object|Slab|Padding|Oops|Internal error|note: |Fixing recursive|Process|Stack:|"
    r"\$ ?\d{1,2} +:|GPR\d\d:|(?:MSR|CFAR|DAR|Status|Cause|BadVA|PrId|Hi|Lo|ra|gp|status|[tsa]\d{1,2}) *:|"
    r"(?:[0-9a-f]{8}|[0-9a-f]{16})(?: +[0-9a-f]{8,16})+\s*$|Workqueue: |unregister_netdevice: |VFS: |SError|"
    r"comm |hex dump|[0-9a-f]{2}(?: [0-9a-f]{2}){7}|PKRU|FS: |CS: |ORIG_)"
)


def trimmed(text: Sequence[str]) -> Sequence[str]:
    """Return a kernel report's lines without trailing ones that do not look like part of one.

    The first line is always kept.
    """
    end = len(text)
    while end > 1 and not (_BELONGS.match(text[end - 1]) or parse_frame(text[end - 1])):
        end -= 1
    return text[:end]
