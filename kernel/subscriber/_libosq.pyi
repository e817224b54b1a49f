# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# What build_libosq.py compiles: libosq and osq.h. osq/ring.py and osq/layout.py alone use it.
from typing import Any

ffi: Any
lib: Any
