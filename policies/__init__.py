"""What must hold: shared nouns, and later clauses, guards and verdicts.

Invariants: no I/O, no clock, no randomness, no network; imports are the standard library and msgspec.
"""
