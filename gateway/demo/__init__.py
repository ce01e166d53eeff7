"""The keyless run: a provider that plays recorded model output, and an agent that talks to it."""
