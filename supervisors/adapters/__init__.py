"""Adapters: one kind of guard that is asked, each in its own file, each with a deadline and a reason for no answer."""
