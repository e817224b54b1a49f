# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The command that prints the results of KUnit suites in a guest, from its kernel's log. Pure.

KUnit runs the suites of a module when the module is loaded, and writes KTAP to the kernel's log:
lib/kunit/test.c. The log is read, not debugfs, because debugfs keeps only the first bytes of each
test (KUNIT_LOG_SIZE), and because kernels without CONFIG_KUNIT_DEBUGFS have the log as well.
"""

import re
import shlex
from collections.abc import Sequence

# The characters of a suite's name, and the two wildcards.
PATTERN = re.compile(r"[\w.*?-]+")


def command(patterns: Sequence[str]) -> str:
    """Return a shell command that prints one KTAP document with the suites that match.

    Of a suite that ran several times, only the last run is printed. A pattern that no suite
    matches is printed as a failed test. If the log has no suite, the command prints "Bail out!"
    instead of a document.
    """
    given = {"wanted": " ".join(map(_as_regex, patterns)), "written": " ".join(patterns)}
    values = " ".join(f"-v {name}={shlex.quote(text)}" for name, text in given.items())
    return f"dmesg | awk {values} {shlex.quote(_AWK)}"


def _as_regex(pattern: str) -> str:
    """Return the regular expression of awk for the whole names that a pattern matches."""
    return "^" + pattern.replace(".", "[.]").replace("*", ".*").replace("?", ".") + "$"


# Lines of a suite are indented by four blanks; its own result is not indented and ends it.
_AWK = r"""
{ sub(/^\[ *[0-9]+\.[0-9]+\](\[ *[CT][0-9]+\])? /, "") }
/^harness-/ { next }
/^    # Subtest: / { suite = $3; text = "" }
suite != "" { text = text $0 "\n" }
suite != "" && /^(not )?ok [0-9]+/ {
	if (!(suite in texts)) names[++count] = suite
	texts[suite] = text
	suite = ""
}
END {
	if (!count) {
		print "Bail out! the kernel log has no result of a KUnit suite: is CONFIG_KUNIT" \
			" set, and was a module with a suite loaded?"
		exit
	}
	print "KTAP version 1"
	patterns = split(wanted, pattern, " ")
	split(written, as_written, " ")
	for (p = 1; p <= patterns; p++) {
		found = 0
		for (n = 1; n <= count; n++) if (names[n] ~ pattern[p]) {
			found = 1
			if (!(names[n] in shown)) order[++chosen] = names[n]
			shown[names[n]] = 1
		}
		if (!found) missing[++lacking] = as_written[p]
	}
	print "1.." chosen + lacking
	for (n = 1; n <= chosen; n++) printf "%s", texts[order[n]]
	for (n = 1; n <= count; n++) all = all " " names[n]
	for (p = 1; p <= lacking; p++) {
		print "# the suites in the kernel log are:" all
		print "not ok " chosen + p " no suite matches " missing[p]
	}
}
"""
