"""The error of a setting that cannot be used."""


class ConfigError(ValueError):
    """A setting is unknown, malformed or out of range; the message says what would be right."""
