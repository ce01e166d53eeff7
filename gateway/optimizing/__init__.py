"""Optimizing in a running gateway: from what was said of recorded steps to proposals that wait for a person."""
