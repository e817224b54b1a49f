# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the command `osq` for `python -m osq`."""

import sys

from osq.cli import main

sys.exit(main())
