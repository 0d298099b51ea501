"""Real, smaller implementations of the parts that a test does not want to start."""
