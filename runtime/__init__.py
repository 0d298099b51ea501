"""What every process needs to be a process: clock, tasks, logging, lifecycle, metrics."""
