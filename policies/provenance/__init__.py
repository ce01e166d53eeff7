"""Provenance of argument values: where a value came from, and whether the text it came from gives orders.

Sources are tool results and retrieved documents. A value is traced by matches of falling strictness (`matching`),
the passage it stands in is judged by structure, mood and address (`segments`, `localiser`), and the call it
serves is compared with what the user asked for (`intent`, `delegation`). Nothing here knows a benchmark, an
application or a tool; every word list is a list of common English (or other) words.
"""
