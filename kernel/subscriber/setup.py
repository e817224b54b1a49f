# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The part of the build that pyproject.toml cannot express: compiling libosq into the package."""

from setuptools import setup

setup(cffi_modules=["build_libosq.py:builder"])
