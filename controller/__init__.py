"""Moves live work from one version of an algorithm to the next, and back, by policy."""

__version__ = "0.1.0"
