"""The plans in use, by the hash of their policy's text: read once, compiled once.

Policies are in the store, so a rollout goes on under the text it was started with whatever
happens to the file. A plan whose calendar comes near its end gets a longer one.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from controller.core.compiler import compile_plan
from controller.core.plan import Plan
from controller.policy.load import LoadedPolicy, load_policy, load_text
from controller.policy.models import Policy
from controller.policy.variables import unset_in
from controller.run.calendars import Calendars, Span
from controller.store.base import Store

MOST_PLANS = 20_000
"""Plans kept compiled; the oldest is forgotten first, and compiled again when it is asked for."""


class PolicyBroken(Exception):
    """A policy's text has errors; each is a line of the message."""


@dataclass(frozen=True, slots=True)
class Known:
    """A compiled policy. `span` is the calendar it was compiled with."""

    plan: Plan
    policy: Policy
    path: Path
    span: Span


class Plans:
    """Plans by hash, from the store's texts. `environment` is what `${NAME}` in a policy means.
    Safe for several threads: the worst is that one plan is compiled twice."""

    def __init__(self, store: Store, environment: Mapping[str, str]) -> None:
        self._store = store
        self._environment = environment
        self._calendars = Calendars()
        self._known: OrderedDict[str, Known] = OrderedDict()

    def plan(self, digest: str, now: datetime) -> Plan:
        """The plan of the policy text with this hash, good at `now`. What runs already must be
        decided on: variables that are not set, a calendar that has ended (`Lapsed`) and rules of
        a later program do not keep it from that. Raises PolicyBroken for a text that cannot be
        read at all, and StoreError for a hash that was never saved."""
        known = self._known.get(digest)
        if known is not None and known.span.covers(now):
            return known.plan
        return self.known(digest, now).plan

    def known(self, digest: str, now: datetime) -> Known:
        """Plan, policy and path; raises as `plan` does."""
        known = self._known.get(digest)
        if known is None:
            path, text = self._store.policy_text(digest)
            loaded = load_text(text, Path(path), self._environment, keep_unset=True)
            if loaded.policy is None or not loaded.compiles:
                raise PolicyBroken("\n".join(errors(loaded)))
            code = loaded.policy.schedule.calendar
            return self._keep(loaded, loaded.policy, self._calendars.span_or_lapsed(code, now))
        if not known.span.covers(now):
            span = self._calendars.span_or_lapsed(known.policy.schedule.calendar, now)
            known = replace(known, span=span, plan=replace(known.plan, calendar=span.calendar))
            self._known[digest] = known
        return known

    def unset_in(self, model: object) -> str:
        """Names of the variables that a part of a policy speaks of and nobody has set."""
        text = msgspec.json.encode(model, enc_hook=str).decode()
        return ", ".join(unset_in(text, self._environment))

    def read(self, text: str, path: Path) -> LoadedPolicy:
        """What the loader says of a text, findings included."""
        return load_text(text, path, self._environment)

    def read_file(self, path: Path) -> LoadedPolicy:
        """What the loader says of a file; one that cannot be read has a finding too."""
        return load_policy(path, self._environment)

    def compile(self, loaded: LoadedPolicy, now: datetime) -> Known:
        """Compile what was read, and keep it. Raises PolicyBroken and CalendarError."""
        policy = loaded.policy
        if policy is None or not loaded.ok:
            raise PolicyBroken("\n".join(errors(loaded)))
        return self._keep(loaded, policy, self._calendars.span(policy.schedule.calendar, now))

    def _keep(self, loaded: LoadedPolicy, policy: Policy, span: Span) -> Known:
        plan = compile_plan(policy, loaded.gates, loaded.guards, loaded.digest, span.calendar)
        known = self._known[loaded.digest] = Known(plan, policy, loaded.path, span)
        while len(self._known) > MOST_PLANS:
            self._known.popitem(last=False)
        return known

    def save(self, loaded: LoadedPolicy, now: datetime) -> Known:
        """Compile what was read and put its text in the store, so that a rollout can run under
        it. Raises PolicyBroken, CalendarError, StoreError."""
        known = self.compile(loaded, now)
        self._store.save_policy(loaded.digest, str(loaded.path), loaded.text)
        return known


def errors(loaded: LoadedPolicy) -> list[str]:
    """What keeps a text from running; warnings do not."""
    return [str(finding) for finding in loaded.findings if finding.severity == "error"]
