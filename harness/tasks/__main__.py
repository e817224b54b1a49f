# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`python -m harness.tasks` runs the command `modlab` where its script is not on the PATH."""

from harness.tasks.program import main

if __name__ == "__main__":
    main()
