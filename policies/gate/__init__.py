"""The gate: eleven rungs between a proposal and its being in force. Pure; every rung gives its reason."""
