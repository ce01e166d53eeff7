"""Measurements: run as modules from the checkout, `python -m bench.run`."""
