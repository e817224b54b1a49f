# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`python -m harness.tasks.explain FILE`: what `panic-explain --json` prints, and sooner.

For whoever has hundreds of logs: invoke and the other tasks are not loaded, no symbols are read.
"""

import sys
from pathlib import Path

from harness.crash import explain_log
from harness.errors import HarnessError


def main(files: list[str]) -> int:
    """Print one JSON object a file, in their order; return the worst exit code."""
    worst = 0
    for file in files:
        try:
            found = explain_log.explain_file(Path(file))
        except HarnessError as error:
            print(f"error: {error.message}", file=sys.stderr)
            worst = max(worst, error.exit_code)
            continue
        print(explain_log.to_json(found))
        worst = max(worst, found.exit_code)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
