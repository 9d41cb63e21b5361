"""What may be raised across module borders, apart from ``wire``'s own DecodeError.

The text of each is one line for an operator: what is wrong, where, and what to do about it. What the network sends is never
one of these.
"""


class SourceError(Exception):
    """An input cannot be used at all."""


class ConfigError(Exception):
    """The configuration cannot be used."""
