# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs of the tests from the request to the verdict, and tasks that combine or repeat runs."""
