"""Alerts: telling people, where they read messages already, what cannot wait until they look."""
