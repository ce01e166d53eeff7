"""What happened: exchanges, steps, contents, sessions and keys; the only SQL of the house."""
