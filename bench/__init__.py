"""Load generators and the side-by-side report."""
