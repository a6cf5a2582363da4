"""Sources and targets of the rollouts, opened when first needed and kept while their policy is.

By rollout and policy hash: two rollouts never share a source object, and an edited policy gets
its own, so an edit can never read through the definitions of the text before.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from controller.core.effect import Activate, Alert, Effect, Notify, SetParameters
from controller.core.state import State
from controller.effects import ALERTS, open_targets
from controller.effects.base import EffectError, Target
from controller.effects.channels import open_channels
from controller.effects.file import ShareFile
from controller.policy.findings import did_you_mean
from controller.policy.source import PushSource as PushModel
from controller.run.plans import Plans
from controller.run.presence import Refusals
from controller.run.unit import UnknownRollout, no_such
from controller.sources import longest_window, open_source
from controller.sources.base import Absent, ClosedError, Source, UnknownSource
from controller.sources.directory import DirectorySource
from controller.sources.push import PushSource, Received
from controller.store.base import Store, StoreError

log = logging.getLogger(__name__)


TRIES = 3
"""How often a push finds that its source was opened anew meanwhile."""
TOLD = 20
"""Sources whose refusals a heartbeat carries."""
WORDS = 200
"""Characters of the last refusal's words in it."""


@dataclass(frozen=True, slots=True)
class _Open:
    """What is open for one rollout under one policy."""

    policy: str
    sources: dict[str, Source]
    slow: bool

    def close(self) -> None:
        """Let go of all of them."""
        for source in self.sources.values():
            source.close()


class Opened:
    """Opens sources and targets as policies say. Safe for several threads."""

    def __init__(self, store: Store, plans: Plans, state_dir: Path) -> None:
        self._store = store
        self._plans = plans
        self.home = store.directory or state_dir.absolute()
        self._sources: dict[str, _Open] = {}
        self._targets: dict[str, tuple[str, dict[str, Target]]] = {}
        self._channels: dict[str, tuple[str, Mapping[str, Target]]] = {}
        self._opening = Lock()

    # Sources ------------------------------------------------------------------------------

    def sources(self, state: State, now: datetime) -> Mapping[str, Source]:
        """The sources of the policy that `state` is under. Raises SourceError, StoreError, and
        what the policy raises."""
        return self._opened(state, now).sources

    def slow(self, state: State, now: datetime) -> bool:
        """Whether any of them has to be asked over a file, a database or a network; raises as
        `sources` does."""
        return self._opened(state, now).slow

    def poll(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Let directories be read: (rollout, source) of those that had something. Raises
        StoreError."""
        heard = []
        for rollout, found in list(self._sources.items()):
            for name, source in found.sources.items():
                if isinstance(source, DirectorySource) and self._poll(rollout, source, now):
                    heard.append((rollout, name))
        return heard

    def push(
        self,
        rollout: str,
        source: str,
        observations: Sequence[Mapping[str, Any]] | bytes,
        now: datetime,
        keys: Sequence[str] = (),
    ) -> Received:
        """Observations for a push source; see `PushSource.push`. Raises UnknownRollout, and
        UnknownSource when there is no such source."""
        for _ in range(TRIES):
            row = self._store.rollout(rollout)
            if row is None:
                raise UnknownRollout(no_such(self._store, rollout))
            target = self._push_source(row.state, source, now)
            try:
                return target.push(observations, now, keys)
            except ClosedError:
                # The policy was edited meanwhile: the source of the new text has its place.
                log.debug("%s: %s was opened anew", rollout, source)
        raise ClosedError(f"{rollout}: {source} was opened anew {TRIES} times; try again")

    def _push_source(self, state: State, source: str, now: datetime) -> PushSource:
        found = self.sources(state, now)
        target = found.get(source)
        if not isinstance(target, PushSource):
            names = [name for name, other in found.items() if isinstance(other, PushSource)]
            hint = did_you_mean(source, names) if names else "its policy declares none"
            raise UnknownSource(f"{state.rollout} has no push source {source[:64]!r}; {hint}")
        return target

    def refusals(self) -> dict[str, Refusals]:
        """Of the push sources that refused the most since they were opened, by stored name."""
        found = {
            source.stored_name: Refusals(source.refused, source.last_error[:WORDS])
            for opened in list(self._sources.values())
            for source in opened.sources.values()
            if isinstance(source, PushSource) and source.refused
        }
        most = sorted(found, key=lambda name: -found[name].count)[:TOLD]
        return {name: found[name] for name in most}

    def release(self, rollout: str) -> None:
        """Nobody looks at this rollout any more: let go of its windows and connections."""
        with self._opening:
            found = self._sources.pop(rollout, None)
        if found is not None:
            found.close()

    def _opened(self, state: State, now: datetime) -> _Open:
        found = self._sources.get(state.rollout)
        if found is not None and found.policy == state.policy:
            return found
        with self._opening:
            found = self._sources.get(state.rollout)
            if found is None or found.policy != state.policy:
                if found is not None:
                    found.close()
                found = self._sources[state.rollout] = self._open(state, now)
        return found

    def _open(self, state: State, now: datetime) -> _Open:
        known = self._plans.known(state.policy, now)
        models = known.policy.sources
        sources: dict[str, Source] = {}
        for name, model in models.items():
            unset = self._plans.unset_in(model)
            sources[name] = (
                Absent(f"environment variable {unset} is not set")
                if unset
                else open_source(
                    name,
                    model,
                    store=self._store,
                    base_dir=known.path.parent,
                    rollout=state.rollout,
                    versions=known.plan.versions,
                    reach=longest_window(known.plan, name),
                )
            )
        for source in sources.values():
            if isinstance(source, DirectorySource):
                # What was dropped while nobody looked is part of the first look.
                self._poll(state.rollout, source, now)
        slow = any(not isinstance(model, PushModel) for model in models.values())
        return _Open(state.policy, sources, slow)

    def _poll(self, rollout: str, source: DirectorySource, now: datetime) -> bool:
        try:
            return source.poll(now) > 0
        except StoreError:
            raise
        except ClosedError:
            return False  # opened anew meanwhile, and read from where this one stopped
        except Exception:
            log.exception("%s: the directory of %s cannot be read", rollout, source.name)
            return False

    # Targets ------------------------------------------------------------------------------

    def target(self, state: State, effect: Effect, now: datetime) -> Target:
        """Where an effect goes. Raises EffectError when the policy has no such target."""
        if isinstance(effect, Notify):
            return self._channel(state, effect.target, now)
        targets = self._opened_targets(state, now)
        name = ALERTS if isinstance(effect, Alert) else effect.target
        if name not in targets:
            names = ", ".join(sorted(targets))
            raise EffectError(f"the policy publishes nothing as {name!r}; there are: {names}")
        self._must_be_set(state, effect, name, now)
        return targets[name]

    def _channel(self, state: State, name: str, now: datetime) -> Target:
        """How people are reached. Raises EffectError."""
        policy, channels = self._channels.get(state.rollout, ("", {}))
        known = self._plans.known(state.policy, now)
        if policy != state.policy:
            channels = open_channels(known.policy, known.path.parent, self._store.identity)
            self._channels[state.rollout] = (state.policy, channels)
        if known.policy.alerts is None or name not in channels:
            raise EffectError(f"the policy has no channel {name!r}")
        unset = self._plans.unset_in(known.policy.alerts.channels[name])
        if unset:
            raise EffectError(f"{name}: environment variable {unset} is not set")
        return channels[name]

    def renew(self, state: State, now: datetime) -> None:
        """A sign of life at every share file. One that cannot be given is told in the log; the
        clients of that file count its age themselves."""
        for name, target in self._opened_targets(state, now).items():
            if isinstance(target, ShareFile):
                try:
                    target.renew(state.epoch)
                except EffectError as error:
                    log.warning("%s: %s is not renewed: %s", state.rollout, name, error)

    def share_file(self, rollout: str, now: datetime) -> Path:
        """The file in which the share is published for clients. Raises UnknownRollout, and
        LookupError when there is none."""
        row = self._store.rollout(rollout)
        if row is None:
            raise UnknownRollout(f"no rollout {rollout!r}")
        for target in self._opened_targets(row.state, now).values():
            if isinstance(target, ShareFile) and target.for_clients:
                return target.path
        raise LookupError(f"{rollout} publishes no share of `type: file`")

    def _opened_targets(self, state: State, now: datetime) -> dict[str, Target]:
        policy, targets = self._targets.get(state.rollout, ("", {}))
        if policy != state.policy:
            known = self._plans.known(state.policy, now)
            targets = open_targets(known.policy, known.path.parent, self.home, self._store.identity)
            self._targets[state.rollout] = (state.policy, targets)
        return targets

    def _must_be_set(self, state: State, effect: Effect, name: str, now: datetime) -> None:
        """Nothing is written where a variable should have said where to."""
        policy = self._plans.known(state.policy, now).policy
        places: list[object] = [policy.publish.get(name)]
        if isinstance(effect, Activate | SetParameters):
            places += [policy.baseline.config, policy.candidate.config]
        unset = self._plans.unset_in(places)
        if unset:
            raise EffectError(f"{name}: environment variable {unset} is not set")

    def close(self) -> None:
        """Let go of everything."""
        for rollout in list(self._sources):
            self.release(rollout)
