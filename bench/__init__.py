"""Our measurements: side by side in one run, one subprocess for each measured thing."""
