"""Where it happens: HTTP in, HTTP out, the command line and the composition root."""
