"""Public suffixes."""
