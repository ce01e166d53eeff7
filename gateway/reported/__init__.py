"""OTLP/HTTP in: spans that applications tell of themselves, read, bounded, stored, and shown beside the record."""
