"""The effective configuration: the file of the version in charge, byte for byte."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from controller.core.effect import Activate, Effect
from controller.effects.base import EffectError
from controller.effects.files import locked, replace_file


class Applied(msgspec.Struct, frozen=True):
    """The note beside the file: which decision put which bytes there."""

    version: str
    token: int
    sha256: str


class ConfigFile:
    """A configuration publisher. Guarantee: a token lower than the one noted is never applied."""

    def __init__(self, path: Path, versions: Mapping[str, Path]) -> None:
        """`versions`: the configuration file of each version, by the version's name."""
        self.path = path
        self._note = path.with_name(f".{path.name}.applied")
        self._versions = dict(versions)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        if not isinstance(effect, Activate):
            raise EffectError(f"{self.path}: a configuration takes no {type(effect).__name__}")
        origin = self._versions.get(effect.version)
        if origin is None:
            raise EffectError(f"{self.path}: version {effect.version} has no configuration file")
        with locked(self.path):
            return self._activate(effect, origin)

    def _activate(self, effect: Activate, origin: Path) -> str:
        content = origin.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        before = self._applied()
        if before is not None and before.token > effect.token:
            return f"configuration of {before.version} of a later decision stays"
        wanted = Applied(effect.version, effect.token, digest)
        # The note first: if the process dies in between, a late message is refused all the same
        # and this one is repeated.
        replace_file(self._note, msgspec.json.encode(wanted))
        if not self.path.exists() or self.path.read_bytes() != content:
            replace_file(self.path, content)
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != digest:
            raise EffectError(f"{self.path}: read back {found[:12]}, {origin} is {digest[:12]}")
        return f"configuration of {effect.version} read back, sha256 {digest[:12]}"

    def _applied(self) -> Applied | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Applied)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise EffectError(f"{self._note}: damaged ({error}); remove it") from error
