"""The effective configuration: the file of the version in charge, byte for byte."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from controller.core.effect import Activate, Effect, VerifyActive
from controller.effects.base import EffectError
from controller.effects.files import locked, replace_file


class Applied(msgspec.Struct, frozen=True):
    """The note beside the file: which decision of which store put which bytes there."""

    store: str
    rollout: str
    version: str
    token: int
    sha256: str


class ConfigFile:
    """A configuration publisher. Guarantee: the candidate's configuration comes by no token lower
    than the one noted, and never over a version that somebody else put there; the baseline's gets
    through whatever was noted."""

    def __init__(
        self, path: Path, versions: Mapping[str, Path], baseline: str, rollout: str, store: str
    ) -> None:
        """`versions`: the configuration file of each version, by the version's name; `store`: the
        name of the store that decides."""
        self.path = path
        self._note = path.with_name(f".{path.name}.applied")
        self._versions = dict(versions)
        self._baseline, self._rollout, self._store = baseline, rollout, store

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        match effect:
            case Activate():
                origin = self._versions.get(effect.version)
                if origin is None:
                    raise EffectError(
                        f"{self.path}: version {effect.version} has no configuration file"
                    )
                with locked(self.path):
                    return self._activate(effect, origin)
            case VerifyActive():
                with locked(self.path):
                    return self._verify(effect)
            case _:
                raise EffectError(f"{self.path}: a configuration takes no {type(effect).__name__}")

    def _activate(self, effect: Activate, origin: Path) -> str:
        content = origin.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if effect.version != self._baseline:
            self._may_replace(self._applied(), effect)
        wanted = Applied(self._store, self._rollout, effect.version, effect.token, digest)
        # The note first: if the process dies in between, a late message is refused all the same
        # and this one is repeated.
        replace_file(self._note, msgspec.json.encode(wanted))
        if self._digest() != digest:
            replace_file(self.path, content)
        found = self._digest()
        if found != digest:
            raise EffectError(f"{self.path}: read back {found[:12]}, {origin} is {digest[:12]}")
        return f"configuration of {effect.version} read back, sha256 {digest[:12]}"

    def _may_replace(self, there: Applied | None, effect: Activate) -> None:
        """Raises EffectError when the configuration that is there has to stay."""
        if there is None:
            return
        if not self._is_ours(there):
            if there.version != self._baseline:
                raise EffectError(
                    f"{self.path}: {there.version} was put there by {there.rollout} of store "
                    f"{there.store}; roll back there, or remove {self._note} if that is over"
                )
        elif there.token > effect.token:
            raise EffectError(
                f"{self.path}: holds decision {there.token}, this is {effect.token}; if the store "
                f"was restored from a backup, look at what is live and remove {self._note}"
            )

    def _verify(self, effect: VerifyActive) -> str:
        there = self._applied()
        if there is None or not self._is_ours(there) or there.version != effect.version:
            found = f"{there.version} of {there.rollout}" if there is not None else "nothing"
            raise EffectError(f"{self.path}: {found} was put there, not {effect.version}")
        digest = self._digest()
        if digest != there.sha256:
            raise EffectError(
                f"{self.path}: {digest[:12] or 'no file'}, not {there.sha256[:12]} as it was put "
                "there; somebody else has written it"
            )
        return f"configuration of {effect.version} read back, sha256 {digest[:12]}"

    def _is_ours(self, there: Applied) -> bool:
        return (there.store, there.rollout) == (self._store, self._rollout)

    def _digest(self) -> str:
        """Of what is there; empty without a file."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return ""

    def _applied(self) -> Applied | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Applied)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise EffectError(f"{self._note}: damaged ({error}); remove it") from error
