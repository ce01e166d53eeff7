"""The nouns every floor shares: frozen Structs, one noun a file."""
