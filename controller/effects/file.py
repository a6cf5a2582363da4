"""The share as a small JSON file that a load balancer, a router or a trading process reads."""

from pathlib import Path

import msgspec

from controller.core.effect import Effect, SetShare, Verify
from controller.core.share import NONE, Share, percent_text
from controller.effects.base import EffectError
from controller.effects.files import locked, replace_file


class Published(msgspec.Struct, frozen=True):
    """What the file holds. `share` is the candidate's, in 1/100,000; `percent` the same for
    people; `mirror`: the candidate sees all work, and its answers are only compared; `token`
    rises with every decision of the store named `store`, and `epoch` with every start and
    rollback."""

    store: str
    rollout: str
    baseline: str
    candidate: str
    share: Share
    percent: str
    mirror: bool
    epoch: int
    token: int


_DECODER = msgspec.json.Decoder(Published)


class ShareFile:
    """A file publisher. Guarantee: work goes to the candidate by no token lower than the one in
    the file, and never past another store that sends it work; all work to the baseline gets
    through whatever the file says."""

    def __init__(self, path: Path, rollout: str, baseline: str, candidate: str, store: str) -> None:
        """`store`: the name of the store that decides."""
        self.path = path
        self._rollout, self._baseline, self._candidate = rollout, baseline, candidate
        self._store = store

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
        try:
            return _DECODER.decode(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EffectError(f"{self.path}: {error.strerror or error}") from error
        except msgspec.DecodeError as error:
            raise EffectError(f"{self.path}: not a published share: {error}") from error

    def _publish(self, effect: SetShare) -> str:
        wanted = Published(
            store=self._store,
            rollout=self._rollout,
            baseline=self._baseline,
            candidate=self._candidate,
            share=effect.share,
            percent=percent_text(effect.share),
            mirror=effect.mirror,
            epoch=effect.epoch,
            token=effect.token,
        )
        with locked(self.path):
            there = self._there()
            if there is not None:
                self._may_replace(there, effect)
            if there != wanted:
                replace_file(self.path, msgspec.json.format(msgspec.json.encode(wanted)) + b"\n")
            found = self.read()
        if found != wanted:
            raise EffectError(f"{self.path}: read back {found}, not what was written")
        return f"share {wanted.percent} read back"

    def _may_replace(self, there: Published, effect: SetShare) -> None:
        """Raises EffectError when what is published has to stay."""
        if there.rollout != self._rollout:
            raise EffectError(
                f"{self.path} belongs to the rollout {there.rollout}; give each its own file"
            )
        if effect.share == NONE and not effect.mirror:
            return
        if there.store != self._store and there.share > NONE:
            raise EffectError(
                f"{self.path}: share {there.percent} was published from another store "
                f"({there.store}); roll back there, or remove the file if that store is gone"
            )
        if there.store == self._store and there.token > effect.token:
            raise EffectError(
                f"{self.path}: holds decision {there.token}, this is {effect.token}; if the store "
                "was restored from a backup, look at what is live and remove the file"
            )

    def _there(self) -> Published | None:
        """What is published, if it can be read: a damaged file is replaced, not kept."""
        try:
            return self.read()
        except EffectError:
            if self.path.is_file():
                return None
            raise

    def _verify(self, effect: Verify) -> str:
        found = self.read()
        if found is None:
            raise EffectError(f"{self.path}: there is no published share")
        if (found.rollout, found.store) != (self._rollout, self._store):
            raise EffectError(
                f"{self.path}: share {found.percent} of {found.rollout} was published from store "
                f"{found.store}, not from this one ({self._store})"
            )
        if found.share != effect.share or found.mirror:
            mirrored = " and the candidate mirrored" if found.mirror else ""
            raise EffectError(
                f"{self.path}: share {found.percent}{mirrored}, not {percent_text(effect.share)}"
            )
        return f"share {found.percent} read back"
