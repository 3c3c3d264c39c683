"""Confinement of a slot: native code that is taken over by a picture finds nothing to read, write, reach or start.

In order: `readable` (what a slot may read, found by the worker), `layers` (what a slot gives up, and when), `landlock`
(files, TCP and signals), `syscalls` and `syscall_filter` (which system calls are left). Each layer refuses on its own;
a system that lacks one is said so at the start of the pool, and the setting tells whether to go on.
"""
