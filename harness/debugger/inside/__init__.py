# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Code that runs inside gdb and lldb, in their own Python, with the standard library only.

It reads a running kernel through three things: memory (the debugger's), symbols (`elf`) and the
layout of structures (`btf`). The modules `linux` and `commands`, which use them, are the same in
both debuggers, and are tested without a debugger.
"""
