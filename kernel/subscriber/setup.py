# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compile libosq into the package, which pyproject.toml cannot express."""

from setuptools import setup

setup(cffi_modules=["build_libosq.py:builder"])
