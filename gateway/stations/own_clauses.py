"""Clauses that are the gateway's own: what it finds and says by itself stands under these names."""

from typing import Final

NOTICES: Final = "stepwarden/notices"
"""The clause that findings of forged notices stand under; it is the gateway's own."""

UNSEEN: Final = "stepwarden/unseen"
"""The clause that stands for what the app says of steps no guard can read."""

RETOLD: Final = "stepwarden/retold"
"""The clause that findings of results stand under which an agent tells otherwise than their tool did."""

CHANGED: Final = "stepwarden/changed-tool"
SHADOWING: Final = "stepwarden/tool-shadowing"
"""Clauses that findings of the gateway itself about definitions of tool servers stand under."""
