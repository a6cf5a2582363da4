"""Counting (rule 2): what a rule remembers from one look to the next. One way for all rules.

What is counted are looks at which the rule's condition holds: enough of them make a trigger fire,
and a check of a gate pass. A look at which it does not hold breaks a run and a `for`, and leaves
what is counted `of n` or in total. A look that could not measure it does neither: to a run and to
a `for` it is as if it had not been, unless the policy says that it makes the rule start again, or
that it has lasted so long that it is a failure by itself.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from controller.core.calendar import Calendar
from controller.core.measurement import Outcome
from controller.core.plan import Confirm, Counting, Unmeasured
from controller.core.state import Counter

NOTHING = Counter()
"""A rule that has nothing to remember."""


class Counted(Struct, frozen=True):
    """A rule after a look. `confirmed`: its condition was seen often and long enough; `lapsed`:
    it has not been measured for longer than the policy allows; `meanwhile`: what the policy says
    of an outcome that is no measurement, empty of one that is."""

    counter: Counter
    confirmed: bool = False
    lapsed: bool = False
    meanwhile: str = ""


def count(
    rule: Counting, holds: Outcome, before: Counter, now: datetime, calendar: Calendar
) -> Counted:
    """`holds` is the outcome of the rule's condition: pass, fail, or why nobody can say."""
    means = rule.means(holds)
    if means is not None:
        return _unmeasured(rule, means, before, now, calendar)
    if holds is Outcome.PASS:
        counter = _seen(before, rule.confirm, now)
    else:
        counter = missed(before, rule.confirm)
    return Counted(counter, _confirmed(rule, counter, now, calendar))


def _seen(before: Counter, confirm: Confirm, now: datetime) -> Counter:
    """It holds. Only what the rule asks for is remembered: its last n looks, or a total."""
    since = before.since or now
    if confirm.n == 0:
        total = min(before.total + 1, confirm.k)
        return Counter(total=total, since=since, held_ms=before.held_ms)
    recent = (before.recent << 1 | 1) & ((1 << confirm.n) - 1)
    return Counter(recent=recent, since=since, held_ms=before.held_ms)


def missed(before: Counter, confirm: Confirm) -> Counter:
    """It does not hold: the run is broken; what is counted `of n` or in total stays."""
    if confirm.n == 0:
        return Counter(total=before.total) if before.total else NOTHING
    recent = before.recent << 1 & ((1 << confirm.n) - 1)
    return Counter(recent=recent) if recent else NOTHING


def _unmeasured(
    rule: Counting, means: Unmeasured, before: Counter, now: datetime, calendar: Calendar
) -> Counted:
    counter = before
    if means.meanwhile == "reset":
        counter = NOTHING
    elif rule.for_ms and before.since is not None:
        held_ms = before.held_ms + calendar.open_ms(before.since, now)
        counter = replace(before, since=None, held_ms=held_ms)
    if not rule.may_fail_unmeasured:
        return Counted(counter, meanwhile=means.meanwhile)
    since = before.unmeasured or now
    lapsed = means.fail_ms is not None and calendar.open_ms(since, now) >= means.fail_ms
    counter = replace(counter, unmeasured=since)
    return Counted(counter, lapsed=lapsed, meanwhile=means.meanwhile)


def times(confirm: Confirm, counter: Counter) -> int:
    """Looks that count towards `confirm`."""
    return counter.total if confirm.n == 0 else counter.recent.bit_count()


def held_ms(counter: Counter, now: datetime, calendar: Calendar) -> int:
    """Open time for which it has held without a break, looks that measured nothing left out."""
    running = calendar.open_ms(counter.since, now) if counter.since is not None else 0
    return counter.held_ms + running


def _confirmed(rule: Counting, counter: Counter, now: datetime, calendar: Calendar) -> bool:
    if times(rule.confirm, counter) < rule.confirm.k:
        return False
    return not rule.for_ms or (
        counter.since is not None and held_ms(counter, now, calendar) >= rule.for_ms
    )
