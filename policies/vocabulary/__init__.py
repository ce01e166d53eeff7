"""The nouns every floor shares: frozen Structs, one noun a file.

Those that live by the thousand are `gc=False`: what never changes cannot become part of a cycle, so the collector need
not look at it.
"""
