"""Four small agents of the kinds that compound systems are made of, each through Stepwarden with its vendor's SDK."""
