"""Shell: what a command line would run, told without running it."""
