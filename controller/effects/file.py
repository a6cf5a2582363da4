"""The share as a small file that a load balancer, a router or a trading process reads."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.blend.settings import Settings
from controller.core.effect import Effect, SetShare, Verify
from controller.core.share import percent_text
from controller.effects.base import EffectError
from controller.effects.files import locked, replace_file
from controller.traffic import flagd, published
from controller.traffic.published import Published, Refusal, Routing, refusal


@dataclass(frozen=True, slots=True)
class Form:
    """How a published state is written, and read back. `decode` raises ValueError."""

    encode: Callable[[Published], bytes]
    decode: Callable[[bytes], Published]


OWN = Form(published.encode, published.decode)
"""The form that `controller.client` reads."""
FLAGD = Form(flagd.encode, flagd.decode)
"""A flag definition for flagd and its providers."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose states these are: the rollout, its versions, its routing, the store that decides, and
    how signals are blended."""

    rollout: str
    baseline: str
    candidate: str
    routing: Routing
    store: str
    blend: Settings | None = None

    def state(self, effect: SetShare) -> Published:
        """What is to be published."""
        return Published(
            store=self.store,
            rollout=self.rollout,
            baseline=self.baseline,
            candidate=self.candidate,
            share=effect.share,
            percent=percent_text(effect.share),
            mirror=effect.mirror,
            epoch=effect.epoch,
            token=effect.token,
            layer=self.routing.layer,
            settled=effect.settled,
            max_age_s=self.routing.max_age.total_seconds() if self.routing.max_age else 0.0,
            pins=self.routing.pins,
            blend=self.blend,
        )


class ShareFile:
    """A file publisher. Guarantee: work goes to the candidate by no token lower than the one in
    the file, and never past another store that sends it work; all work to the baseline gets
    through whatever the file says."""

    def __init__(self, path: Path, origin: Origin, form: Form = OWN) -> None:
        self.path = path
        self._origin, self._form = origin, form

    @property
    def for_clients(self) -> bool:
        """Whether `controller.client` can read it."""
        return self._form is OWN

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        match effect:
            case SetShare():
                return self._publish(effect)
            case Verify():
                return self._verify(effect)
            case _:
                raise EffectError(f"{self.path}: a share file takes no {type(effect).__name__}")

    def read(self) -> Published | None:
        """What is published now; None before the first time. Raises EffectError."""
        content = self._content()
        if content is None:
            return None
        try:
            return self._form.decode(content)
        except ValueError as error:
            raise EffectError(f"{self.path}: {error}") from error

    def renew(self, epoch: int) -> None:
        """A sign of life: the time of the file is now, if the state in it is ours and of `epoch`.
        What a rollback could not replace is left to grow old. A flag has no age. Raises
        EffectError."""
        if not self.for_clients:
            return
        found = self.read()
        if found is not None and self._is_ours(found) and found.epoch == epoch:
            try:
                os.utime(self.path)
            except OSError as error:
                raise EffectError(f"{self.path}: {error.strerror or error}") from error

    def _publish(self, effect: SetShare) -> str:
        wanted = self._origin.state(effect)
        content = self._form.encode(wanted)
        with locked(self.path):
            there = self._there()
            if there is not None:
                self._may_replace(there, wanted)
            if self._content() != content:
                replace_file(self.path, content)
            found = self._content()
        if found != content:
            raise EffectError(f"{self.path}: read back something else than what was written")
        return f"share {wanted.percent} read back"

    def _may_replace(self, there: Published, new: Published) -> None:
        """Raises EffectError when what is published has to stay."""
        match refusal(there, new):
            case Refusal.OTHER_ROLLOUT:
                raise EffectError(
                    f"{self.path} belongs to the rollout {there.rollout}; give each its own file"
                )
            case Refusal.OTHER_STORE:
                raise EffectError(
                    f"{self.path}: share {there.percent} was published from another store "
                    f"({there.store}); roll back there, or remove the file if that store is gone"
                )
            case Refusal.OLDER:
                raise EffectError(
                    f"{self.path}: holds decision {there.token}, this is {new.token}; if the "
                    "store was restored from a backup, look at what is live and remove the file"
                )

    def _content(self) -> bytes | None:
        """What is there; None without a file. Raises EffectError."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EffectError(f"{self.path}: {error.strerror or error}") from error

    def _there(self) -> Published | None:
        """What is published, if it can be read: a damaged file is replaced, not kept."""
        try:
            return self.read()
        except EffectError:
            if self.path.is_file():
                return None
            raise

    def _is_ours(self, found: Published) -> bool:
        return (found.rollout, found.store) == (self._origin.rollout, self._origin.store)

    def _verify(self, effect: Verify) -> str:
        found = self.read()
        if found is None:
            raise EffectError(f"{self.path}: there is no published share")
        if not self._is_ours(found):
            raise EffectError(
                f"{self.path}: share {found.percent} of {found.rollout} was published from store "
                f"{found.store}, not from this one ({self._origin.store})"
            )
        if (found.share, found.mirror) != (effect.share, effect.mirror):
            mirrored = " and the candidate mirrored" if found.mirror else ""
            raise EffectError(
                f"{self.path}: share {found.percent}{mirrored}, not {percent_text(effect.share)}"
            )
        return f"share {found.percent} read back"
