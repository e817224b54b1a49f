# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`python -m harness.tasks`: the command `modlab`, without a script that has to be found."""

from harness.tasks.program import main

if __name__ == "__main__":
    main()
