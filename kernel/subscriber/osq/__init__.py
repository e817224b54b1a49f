# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The subscriber of the osq driver: it reads the ring, keeps a bounded store and answers SQL."""

VERSION = "0.1.0"
