"""What came of one event: the next state, the effects, and why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from controller.core.effect import Effect
from controller.core.measurement import Outcome
from controller.core.share import Share
from controller.core.state import State


class Term(Struct, frozen=True, omit_defaults=True):
    """One measured side of a rule. `distance` is how far the value is from the limit in the
    limit's unit: positive is the safe side for a check, None when either is unknown. `lower` and
    `upper` bound the value of a comparison, which is worth `independent` samples."""

    reference: str
    value: float | None
    samples: int
    min_samples: int
    operator: str = ""
    limit: float | None = None
    distance: float | None = None
    unit: str = ""
    detail: str = ""
    lower: float | None = None
    upper: float | None = None
    independent: float | None = None


class RuleResult(Struct, frozen=True, omit_defaults=True):
    """A check or trigger at one tick. For a trigger `fail` means its condition holds; `firing`
    that it is confirmed, or was not measured for too long; `count` is what its counter says (`2 of
    3 in 5`, `1m of 5m`, `ignored`); `dry_run` that it neither acts nor stands in the way."""

    name: str
    rule: str
    outcome: Outcome
    terms: tuple[Term, ...] = ()
    firing: bool = False
    count: str = ""
    severity: str = ""
    dry_run: bool = False


class Progress(Struct, frozen=True, omit_defaults=True):
    """Elapsed and required milliseconds of one clock (`dwell`, `deadline`, `approval`, ...)."""

    name: str
    elapsed_ms: int
    required_ms: int
    note: str = ""


class Spent(Struct, frozen=True, omit_defaults=True):
    """One period of one budget: what of `amount` is `spent`, and the `forecast` for the whole
    period at the rate so far, in `currency`; `detail` says why nobody knows. `resets_at` is when
    the period is over, at midnight in `zone`."""

    budget: str
    period: str
    zone: str
    amount: float
    currency: str
    resets_at: datetime
    spent: float | None = None
    forecast: float | None = None
    detail: str = ""


class Explanation(Struct, frozen=True, omit_defaults=True):
    """Why: rules with values, limits, samples and distance; clocks; what blocks the advance; what
    triggers on a dry run `would_have` done since the start."""

    state: str
    share: Share
    next_state: str = ""
    next_share: Share | None = None
    checks: tuple[RuleResult, ...] = ()
    triggers: tuple[RuleResult, ...] = ()
    clocks: tuple[Progress, ...] = ()
    blockers: tuple[str, ...] = ()
    would_have: tuple[str, ...] = ()
    budgets: tuple[Spent, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`state` after; `move` is the machine's trigger that changed the state's name, or empty;
    `refused` says why a command was not carried out. `explain` works out the explanation when
    it is asked for: most ticks move nothing and nobody asks."""

    state: State
    at: datetime
    explain: Callable[[], Explanation] = field(compare=False, repr=False)
    effects: tuple[Effect, ...] = ()
    move: str = ""
    reasons: tuple[str, ...] = ()
    refused: str = ""

    @property
    def explanation(self) -> Explanation:
        """Why."""
        return self.explain()
