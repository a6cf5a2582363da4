"""Entering a state: what is remembered afresh, and what the world is asked for.

Effects are data with a key of their own; the store commits them with the state.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from controller.core import handover
from controller.core.effect import (
    Activate,
    Alert,
    Effect,
    HandOver,
    Phase,
    SetParameters,
    SetShare,
    Severity,
    Verify,
    VerifyActive,
)
from controller.core.parameters import anew as published_anew
from controller.core.parameters import asked, due, further_back, may_ramp
from controller.core.plan import WATCH, Plan, Step
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.core.state import (
    APPROVAL,
    COMPLETED,
    HELD,
    PAUSED,
    PENDING,
    ROLLED_BACK,
    ROLLING_BACK,
    State,
    Vector,
)
from controller.policy.alerting import AlertKind

Kept = TypeVar("Kept")
HANDOVER = "handover"
"""Name of the target that tells both processes who writes."""
MOST_ROLLBACKS = 100
"""Times of rollbacks remembered; more than any lock asks for."""


class Effects:
    """Collects the effects of one decision under keys `rollout/seq/number`."""

    def __init__(self, rollout: str, seq: int, at: datetime) -> None:
        self._prefix = f"{rollout}/{seq}/"
        self._seq = seq
        self._at = at
        self._found: list[Effect] = []

    def _key(self) -> str:
        return f"{self._prefix}{len(self._found)}"

    def alert(
        self, severity: Severity, kind: AlertKind, title: str, *reasons: str, subject: str = ""
    ) -> None:
        """Tell people."""
        alert = Alert(self._key(), severity, kind, title, reasons, self._at, subject)
        self._found.append(alert)

    def share(
        self, plan: Plan, state: State, *, mirror: bool, only: str | None = None
    ) -> tuple[str, ...]:
        """Publish `state.share` at every share target, or at one; returns the keys to wait
        for."""
        keys = []
        settled = state.name == COMPLETED
        for target in plan.share_targets if only is None else (only,):
            keys.append(self._key())
            self._found.append(
                SetShare(keys[-1], target, state.share, mirror, state.epoch, self._seq, settled)
            )
        return tuple(keys)

    def activate(self, plan: Plan, state: State, version: str) -> tuple[str, ...]:
        """Make `version` the effective configuration; returns the keys to wait for."""
        keys = []
        for target in plan.config_targets:
            keys.append(self._key())
            self._found.append(Activate(keys[-1], target, version, state.epoch, self._seq))
        return tuple(keys)

    def parameters(self, plan: Plan, state: State, progress: Share) -> tuple[str, ...]:
        """Publish the parameters at `progress`; returns the keys to wait for."""
        keys = []
        for target in plan.config_targets:
            keys.append(self._key())
            effect = SetParameters(keys[-1], target, progress, state.epoch, self._seq)
            self._found.append(effect)
        return tuple(keys)

    def hand_over(self, state: State, phase: Phase, *, ramps: bool = False) -> str:
        """Tell both processes of a phase; returns the key to wait for."""
        key = self._key()
        self._found.append(HandOver(key, HANDOVER, phase, state.epoch, self._seq, ramps))
        return key

    def verify(self, plan: Plan) -> tuple[str, ...]:
        """Read the baseline back from every target: a share of 0, and its configuration. Returns
        the keys to wait for."""
        keys = []
        for target in plan.share_targets:
            keys.append(self._key())
            self._found.append(Verify(keys[-1], target, NONE))
        for target in plan.config_targets:
            keys.append(self._key())
            self._found.append(VerifyActive(keys[-1], target, plan.baseline.name))
        return tuple(keys)

    def done(self) -> tuple[Effect, ...]:
        """Everything asked for, in order."""
        return tuple(self._found)


def enter(
    plan: Plan,
    state: State,
    target: str,
    reasons: tuple[str, ...],
    now: datetime,
    effects: Effects,
    severity: Severity,
    *,
    anew: bool = False,
) -> State:
    """`state` moved to `target`, with the effects of arriving there added to `effects`. `anew`:
    share and configuration are published even where they stay as they are."""
    came_from = state.name
    state = replace(state, name=target, reasons=reasons, step_since=now, side_ms=0)
    if target.startswith(f"{ROLLING_BACK}."):
        return _enter_return(plan, state, came_from, now, effects, severity)
    step = plan.step(target)
    if step is not None:
        return _enter_live(plan, state, step, came_from, now, effects, anew=anew)
    match target:
        case "completed":
            return _enter_completed(plan, state, effects)
        case "partial":
            effects.alert(
                Severity.CRITICAL,
                "partial",
                f"{plan.rollout} is only partly rolled back: {', '.join(state.failed_steps)}",
                *reasons,
            )
        case "locked":
            effects.alert(
                Severity.CRITICAL,
                "locked",
                f"{plan.rollout} is rolled back; starting again is locked after "
                f"{len(state.rollbacks)} rollbacks",
                *reasons,
            )
        case "cooldown":
            state = replace(state, overdue=())
            effects.alert(Severity.MEDIUM, "rolled_back", f"{plan.rollout} is back", *reasons)
        case _:
            assert target in (ROLLED_BACK, PENDING), target
    return state


def _enter_live(
    plan: Plan,
    state: State,
    step: Step,
    came_from: str,
    now: datetime,
    effects: Effects,
    *,
    anew: bool,
) -> State:
    side = state.name.partition(".")[2]
    if not anew and (side or came_from.partition(".")[0] == step.name):
        return _enter_side(plan, state, step, side, came_from, effects)
    starts = came_from in (PENDING, ROLLED_BACK)
    share_changes = starts or step.share != state.share or _mirrors(plan, came_from) != step.mirror
    state = replace(
        state,
        share=step.share,
        entered_at=now,
        dwell_ms=0,
        waited_ms=0,
        asked_ms=0,
        approved_by=(),
        told_to_advance="",
        counters=of_triggers(plan, state.counters),
    )
    if starts:
        state = replace(
            state,
            epoch=state.epoch + 1,
            started_at=now,
            counters={},
            firing=(),
            failed_steps=(),
            overdue=(),
            parameters=None,
            handover=None,
            frozen={},
            would_have={},
        )
    keys = effects.share(plan, state, mirror=step.mirror) if share_changes or anew else ()
    state, published = _configuration(plan, state, step, effects, anew=anew)
    keys += published
    state = _begin_handover(plan, state, effects, anew=anew)
    effects.alert(
        Severity.LOW,
        "stage",
        f"{plan.rollout} is in {step.name} at {percent_text(step.share)}",
        *state.reasons,
        subject=step.name,
    )
    replaced = share_changes or anew
    waiting = keys if replaced else state.unacknowledged + keys
    return replace(state, unacknowledged=waiting, split_since=None if waiting else now)


def of_triggers(plan: Plan, kept: Mapping[str, Kept]) -> dict[str, Kept]:
    """Of what is kept by the names of rules, that of the plan's triggers: a check is counted
    afresh in each step."""
    names = {trigger.name for trigger in plan.triggers}
    return {name: value for name, value in kept.items() if name in names}


def stay(plan: Plan, state: State, effects: Effects) -> State:
    """A policy that was applied where the rollout stands: everything is published anew."""
    step = plan.step(state.name) or plan.steps[-1]
    if state.share != step.share:
        state = replace(state, share=step.share, dwell_ms=0, waited_ms=0)
    keys = effects.share(plan, state, mirror=step.mirror)
    if state.name == COMPLETED:
        keys += effects.activate(plan, state, plan.candidate.name)
    else:
        state, published = _configuration(plan, state, step, effects, anew=True)
        keys += published
    state = _begin_handover(plan, state, effects, anew=True)
    return replace(state, unacknowledged=keys, split_since=None)


def publish_again(plan: Plan, state: State, target: str, effects: Effects) -> State:
    """A target that lost the share is told it once more; until it shows it, nothing dwells."""
    step = plan.step(state.name)
    keys = effects.share(plan, state, mirror=step is not None and step.mirror, only=target)
    return replace(state, unacknowledged=state.unacknowledged + keys, split_since=None)


def _configuration(
    plan: Plan, state: State, step: Step, effects: Effects, *, anew: bool
) -> tuple[State, tuple[str, ...]]:
    """What is effective in a live step, where that is not published already: the candidate's
    configuration from promotion on, before it the baseline's or the parameters on their way.
    Returns the keys to wait for."""
    way = plan.parameters
    if way is None:
        if step.stage != WATCH and not anew:
            return state, ()
        version = plan.candidate.name if step.stage == WATCH else plan.baseline.name
        return state, effects.activate(plan, state, version)
    if step.stage == WATCH:
        keys = effects.activate(plan, state, plan.candidate.name)
        return replace(state, parameters=asked(state.parameters, WHOLE, keys)), keys
    wanted = published_anew(plan, way, step, state) if anew else due(plan, step, state)
    return (state, ()) if wanted is None else set_parameters(plan, state, wanted, effects)


def set_parameters(
    plan: Plan, state: State, progress: Share, effects: Effects
) -> tuple[State, tuple[str, ...]]:
    """A new vector asked for; returns the keys to wait for, which are not added to the state's."""
    keys = effects.parameters(plan, state, progress)
    return replace(state, parameters=asked(state.parameters, progress, keys)), keys


def _begin_handover(plan: Plan, state: State, effects: Effects, *, anew: bool) -> State:
    """The first phase, or with `anew` the present one again, under the epoch that is new."""
    here = state.handover
    if here is not None and anew:
        key = effects.hand_over(state, here.phase, ramps=here.ramps)
        return replace(state, handover=replace(here, key=key))
    if plan.handover is None or here is not None:
        return state
    return hand_over(plan, state, Phase.WARM, effects)


def hand_over(plan: Plan, state: State, phase: Phase, effects: Effects) -> State:
    """The next phase of the handover is asked for."""
    way = plan.handover
    assert way is not None, "asked only where there is one"
    wanted = handover.asked(way, state.handover, phase, "")
    key = effects.hand_over(state, phase, ramps=wanted.ramps)
    if phase is Phase.WRITE:
        title = f"{plan.rollout}: {way.place[2]} writes orders in place of {way.place[1]}"
        effects.alert(Severity.LOW, "handover", title)
    return replace(state, handover=replace(wanted, key=key))


def hand_back(state: State, effects: Effects) -> tuple[State, tuple[str, ...]]:
    """The baseline's process writes again, from whatever phase, and says so; returns the key to
    wait for. Once that is acknowledged, it is asked anew."""
    here = state.handover
    if here is None:
        return state, ()
    if here.phase is Phase.BACK and here.key:
        return state, (here.key,)
    key = effects.hand_over(state, Phase.BACK)
    here = replace(here, phase=Phase.BACK, key=key, waited_ms=0, ramps=False)
    return replace(state, handover=here), (key,)


def verify(plan: Plan, state: State, effects: Effects) -> State:
    """Everything that is the baseline's again is read back, and waited for."""
    state, handed = hand_back(state, effects)
    return replace(state, unacknowledged=(*handed, *effects.verify(plan)))


def _mirrors(plan: Plan, name: str) -> bool:
    step = plan.step(name)
    return step is not None and step.mirror


def _enter_side(
    plan: Plan, state: State, step: Step, side: str, came_from: str, effects: Effects
) -> State:
    """In and out of held, paused and approval: the share stays, the step goes on after."""
    if side == APPROVAL:
        by = step.approval.by if step.approval else ""
        title = f"{plan.rollout}: {by} must approve leaving {step.name}"
        effects.alert(Severity.MEDIUM, "approval", title, *state.reasons)
    elif side:
        word: AlertKind = "held" if side == HELD else "paused"
        assert side == word, side
        title = f"{plan.rollout} is {word} in {step.name}"
        effects.alert(Severity.MEDIUM, word, title, *state.reasons)
        return replace(state, told_to_advance="")
    elif came_from.endswith(f".{PAUSED}"):
        # The person who resumes after a deadline has paused it gives the stage another one.
        late = state.waited_ms >= step.deadline_ms
        silent = step.approval is not None and state.asked_ms >= step.approval.within_ms
        return replace(
            state,
            waited_ms=0 if late else state.waited_ms,
            parameters=state.parameters and replace(state.parameters, unanswered_ms=0),
            asked_ms=0 if silent else state.asked_ms,
        )
    elif came_from.endswith(f".{APPROVAL}") and not state.approved_by:
        return replace(state, told_to_advance="")
    return state


def _enter_completed(plan: Plan, state: State, effects: Effects) -> State:
    keys: tuple[str, ...] = ()
    if plan.renewed:
        # Nobody renews it from here on, and it must not grow old.
        keys = effects.share(plan, state, mirror=plan.steps[-1].mirror)
    if plan.steps[-1].stage != WATCH:
        keys += effects.activate(plan, state, plan.candidate.name)
    if state.handover is not None:
        key = effects.hand_over(state, Phase.RETIRE)
        state = replace(state, handover=replace(state.handover, phase=Phase.RETIRE, key=""))
        keys += (key,)
    effects.alert(
        Severity.LOW, "completed", f"{plan.rollout}: {plan.candidate.name} is in charge",
        *state.reasons,
    )  # fmt: skip
    return replace(state, unacknowledged=state.unacknowledged + keys)


def _enter_return(
    plan: Plan,
    state: State,
    came_from: str,
    now: datetime,
    effects: Effects,
    severity: Severity,
) -> State:
    """A step of the way back. The first fences everything before it with a new epoch (rule 7)."""
    step = state.name.partition(".")[2]
    if not came_from.startswith(f"{ROLLING_BACK}."):
        state = replace(
            state,
            epoch=state.epoch + 1,
            rollbacks=(*state.rollbacks, now)[-MOST_ROLLBACKS:],
            failed_steps=(),
            overdue=(),
            put_right=False,
            approved_by=(),
            told_to_advance="",
            parameters=state.parameters
            and replace(state.parameters, ramps=may_ramp(plan, state, severity), stepped_at=None),
        )
        title = f"{plan.rollout} goes back to {plan.baseline.name}"
        effects.alert(max(severity, Severity.HIGH), "rollback", title, *state.reasons)
    match step:
        case "baseline_traffic":
            state = replace(state, share=NONE)
            keys = effects.share(plan, state, mirror=False)
            state, handed = hand_back(state, effects)
            keys += handed
        case "restore":
            return restore(plan, state, now, effects)
        case "verify":
            if plan.rollback.verify_after:
                return replace(
                    state, unacknowledged=(), verify_due=now + plan.rollback.verify_after
                )
            return verify(plan, state, effects)
        case _:
            raise ValueError(f"unknown rollback step {step!r}")
    return replace(state, unacknowledged=keys)


def restore(
    plan: Plan, state: State, now: datetime, effects: Effects, *, at_once: bool = False
) -> State:
    """The baseline's configuration is made effective; where the parameters ramp, the next point on
    their way back first, if its time has come."""
    way, vector = plan.parameters, state.parameters
    if way is not None and vector is not None and vector.ramps and not at_once:
        point, at = further_back(way, vector, now)
        if point == vector.progress:
            return state
        if point > NONE:
            state, keys = set_parameters(plan, state, point, effects)
            vector = state.parameters and replace(state.parameters, stepped_at=at)
            return replace(state, parameters=vector, unacknowledged=keys, step_since=now)
    keys = effects.activate(plan, state, plan.baseline.name)
    home = Vector(keys=keys) if way is not None else None
    return replace(state, parameters=home, unacknowledged=keys, step_since=now)
