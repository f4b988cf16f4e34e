"""Both sides and everything between them in one thread, in virtual time, repeatable by seed.

The real reconcile, merge, plan, poll, sweep, write-through and budget run on in-memory ports; people on both sides
edit, calls fail before and after their effect, workers die at any step. `properties` says what must hold afterwards.
"""
