"""Three dialects, sans-IO, one file each: bytes in, typed views out, nothing ever re-serialised."""
