"""The one interface of an effect's target."""

from typing import Protocol

from controller.core.effect import Effect


class EffectError(Exception):
    """The target did not take the effect, or did not show it when read back. Retried."""


class Target(Protocol):
    """Where effects go. Add one: a file here, a model in `policy.models`, a line in
    `effects.open_targets`."""

    def deliver(self, effect: Effect) -> str:
        """Carry out `effect` and read it back. Safe to repeat under the same key; refuses a
        token lower than one already applied. Returns what was read back, in a few words.
        Raises `EffectError`."""
        ...


class LiveTarget(Target, Protocol):
    """One that others may change or restart: what it serves is read back at every look."""

    def check(self) -> str:
        """What is there, in words, for `rollout doctor`; changes nothing. Raises EffectError."""
        ...
