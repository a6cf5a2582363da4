"""A formula that has no answer, and why."""


class Undefined(Exception):
    """There is no number: the message says why, for people."""
