# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What runs inside gdb and lldb, in their own Python: the standard library and nothing else.

A running kernel is looked at through three things: memory (the debugger's), symbols (`elf`) and
the layout of its structures (`btf`). What is built on them (`linux`, `commands`) is the same in
both debuggers, and needs none to be tested.
"""
