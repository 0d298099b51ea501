"""The answer "not mine": a plan that rowexec does not run."""


class NotRowShape(Exception):
    """The plan is no OLTP shape; the message says why, for EXPLAIN and tests."""
