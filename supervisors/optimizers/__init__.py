"""Optimizers: what proposes changes. None of them decides; `policies/gate` does."""
