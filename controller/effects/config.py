"""The effective configuration: the file of the version in charge, byte for byte, or the parameters
on their way from one version's to the other's."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec

from controller.configuration import Configuration, form_of, read, write_between
from controller.core.effect import Activate, Effect, SetParameters, VerifyActive
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.effects.base import EffectError
from controller.effects.files import locked, replace_file
from controller.effects.processes import Processes
from controller.policy.interpolation import interpolation
from controller.policy.transition import Parameters


class Applied(msgspec.Struct, frozen=True, omit_defaults=True):
    """The note beside the file: which decision of which store put which bytes there. `version`:
    whose they are, the candidate's also on the way to it; `origins`: hashes of both versions' files
    as they were in this `epoch`."""

    store: str
    rollout: str
    version: str
    token: int
    sha256: str
    epoch: int = 0
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Versions:
    """The configuration file of each version by its name, and the names of both sides."""

    files: Mapping[str, Path]
    baseline: str
    candidate: str


class ConfigFile:
    """A configuration publisher. Guarantee: the candidate's configuration, and parameters on the
    way to it, come by no token lower than the one noted, never over a version that somebody else
    put there, and never from files that were edited meanwhile; the baseline's gets through whatever
    was noted."""

    def __init__(
        self,
        path: Path,
        versions: Versions,
        rollout: str,
        store: str,
        parameters: Parameters | None = None,
        processes: Processes | None = None,
    ) -> None:
        """`store`: the name of the store that decides; `parameters`: the policy's rules for the
        way; `processes`: who must say that they run with what is published."""
        self.path = path
        self.processes = processes
        self._note = path.with_name(f".{path.name}.applied")
        self._versions, self._rollout, self._store = versions, rollout, store
        self._parameters = parameters
        self._known: dict[str, Configuration] = {}

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        match effect:
            case Activate():
                with locked(self.path):
                    return self._activate(effect)
            case SetParameters():
                with locked(self.path):
                    return self._set_parameters(effect)
            case VerifyActive():
                with locked(self.path):
                    return self._verify(effect)
            case _:
                raise EffectError(f"{self.path}: a configuration takes no {type(effect).__name__}")

    def _activate(self, effect: Activate) -> str:
        content = self._file(effect.version)
        origins: tuple[str, ...] = ()
        if effect.version != self._versions.baseline:
            origins = self._origins() if self._parameters is not None else ()
            self._may_replace(self._applied(), effect, origins)
        words = self._replace(effect, effect.version, content, origins)
        return f"configuration of {effect.version} {words}"

    def _set_parameters(self, effect: SetParameters) -> str:
        origins, applied = self._origins(), self._applied()
        self._may_replace(applied, effect, origins)
        if applied is not None and self._is_there(applied, effect, origins):
            # Asked again each second for as long as a process says nothing.
            content = self.path.read_bytes()
        else:
            content = self._between(effect.progress)
        there = effect.progress == NONE
        version = self._versions.baseline if there else self._versions.candidate
        words = self._replace(effect, version, content, origins)
        return f"parameters at {percent_text(effect.progress)} of the way {words}"

    def _is_there(self, applied: Applied, effect: SetParameters, origins: tuple[str, ...]) -> bool:
        """Whether this decision's vector is there, made from the same files."""
        same = (applied.token, applied.epoch, applied.origins) == (
            effect.token, effect.epoch, origins,
        )  # fmt: skip
        return same and self._is_ours(applied) and self._found() == applied.sha256

    def _replace(
        self, effect: Activate | SetParameters, version: str, content: bytes,
        origins: tuple[str, ...],
    ) -> str:  # fmt: skip
        """Put `content` there. Words for what was read back, and who runs with it."""
        digest = _digest(content)
        wanted = Applied(
            self._store, self._rollout, version, effect.token, digest, effect.epoch, origins
        )
        # The note first: if the process dies in between, a late message is refused all the same
        # and this one is repeated.
        replace_file(self._note, msgspec.json.encode(wanted))
        if self._found() != digest:
            replace_file(self.path, content)
        found = self._found()
        if found != digest:
            raise EffectError(f"{self.path}: read back {found[:12]}, {version}'s is {digest[:12]}")
        return f"read back, sha256 {digest[:12]}{self._acknowledged(digest)}"

    def _between(self, progress: Share) -> bytes:
        """The bytes at a point of the way; both ends are the versions' files."""
        if progress in (NONE, WHOLE):
            versions = self._versions
            return self._file(versions.baseline if progress == NONE else versions.candidate)
        if self._parameters is None:
            raise EffectError(f"{self.path}: the policy has no way for its parameters")
        versions = self._versions
        try:
            baseline = self._read(versions.baseline)
            candidate = self._read(versions.candidate)
            way = interpolation(self._parameters, baseline, candidate)
            way.must_fit()
            return write_between(baseline, candidate, way.settings(Fraction(progress, WHOLE)))
        except ValueError as error:
            raise EffectError(f"{self.path}: {error}") from error

    def _file(self, version: str) -> bytes:
        origin = self._versions.files.get(version)
        if origin is None:
            raise EffectError(f"{self.path}: version {version} has no configuration file")
        return origin.read_bytes()

    def _read(self, version: str) -> Configuration:
        """A version's configuration; read anew when its file has changed. Raises ValueError."""
        content, known = self._file(version), self._known.get(version)
        if known is None or known.content != content:
            known = read(content, form_of(self._versions.files[version]))
            self._known[version] = known
        return known

    def _origins(self) -> tuple[str, ...]:
        """The hashes of both versions' files."""
        versions = self._versions
        return tuple(_digest(self._file(name)) for name in (versions.baseline, versions.candidate))

    def _may_replace(
        self, there: Applied | None, effect: Activate | SetParameters, origins: tuple[str, ...]
    ) -> None:
        """Raises EffectError when the configuration that is there has to stay."""
        if there is None:
            return
        if not self._is_ours(there):
            if there.version != self._versions.baseline:
                raise EffectError(
                    f"{self.path}: {there.version} was put there by {there.rollout} of store "
                    f"{there.store}; roll back there, or remove {self._note} if that is over"
                )
        elif there.token > effect.token:
            raise EffectError(
                f"{self.path}: holds decision {there.token}, this is {effect.token}; if the store "
                f"was restored from a backup, look at what is live and remove {self._note}"
            )
        elif there.epoch == effect.epoch and there.origins and there.origins != origins:
            raise EffectError(
                f"{self.path}: a configuration was edited on the way; put it back, roll back, or "
                "take the edit on with `rollout apply`"
            )

    def _verify(self, effect: VerifyActive) -> str:
        there = self._applied()
        if there is None or not self._is_ours(there) or there.version != effect.version:
            found = f"{there.version} of {there.rollout}" if there is not None else "nothing"
            raise EffectError(f"{self.path}: {found} was put there, not {effect.version}")
        digest = self._found()
        if digest != there.sha256:
            raise EffectError(
                f"{self.path}: {digest[:12] or 'no file'}, not {there.sha256[:12]} as it was put "
                "there; somebody else has written it"
            )
        acknowledged = self._acknowledged(digest)
        return f"configuration of {effect.version} read back, sha256 {digest[:12]}{acknowledged}"

    def _acknowledged(self, digest: str) -> str:
        """Words for who runs with it. Raises NotYet."""
        return f"; {self.processes.must_run_with(digest)}" if self.processes is not None else ""

    def _is_ours(self, there: Applied) -> bool:
        return (there.store, there.rollout) == (self._store, self._rollout)

    def _found(self) -> str:
        """The hash of what is there; empty without a file."""
        try:
            return _digest(self.path.read_bytes())
        except FileNotFoundError:
            return ""

    def _applied(self) -> Applied | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Applied)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise EffectError(f"{self._note}: damaged ({error}); remove it") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
