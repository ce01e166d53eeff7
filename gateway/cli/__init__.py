"""What users type: commands that parse, ask and print."""
