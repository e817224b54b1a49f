# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The checks of this project's own tree. Only this package knows kernel/ and tests/."""
