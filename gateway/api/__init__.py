"""The control plane: thin JSON routes over the store and the key ring."""
