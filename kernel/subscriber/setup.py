# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What pyproject.toml cannot say: libosq is compiled into the package."""

from setuptools import setup

setup(cffi_modules=["build_libosq.py:builder"])
