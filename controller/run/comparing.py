"""What a plan compares, at one moment: asked of the sources that know single observations, and made
of both sides' means where a source knows no more."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    COMPARISONS,
    ESTIMATE,
    SHIFT,
    SPLIT,
    Contrast,
    Measurement,
    reference,
)
from controller.core.plan import MetricPlan, Plan, Step
from controller.core.share import NONE, WHOLE
from controller.core.state import State
from controller.judge.compare import compared, side_of
from controller.run.asking import answer, request, source_error, window_start
from controller.sources.base import Comparing, Request, Source

log = logging.getLogger(__name__)

NOT_COUNTED = Measurement(status="no_data", detail="the work is not split here")
NOT_SPLIT_YET = Measurement(status="no_data", detail="not every target has acknowledged the share")


def comparisons_of(plan: Plan) -> tuple[str, ...]:
    """The references that are comparisons."""
    return tuple(key for key in plan.references if key.partition(".")[0] in COMPARISONS)


def source_of(plan: Plan, key: str) -> str:
    """The source that a comparison asks."""
    subject, _, name = key.partition(".")
    return name if subject == SPLIT else plan.metrics[name].source


@dataclass(frozen=True, slots=True)
class Moment:
    """One look: everything that a comparison needs to know. `found` is what was measured."""

    plan: Plan
    state: State
    sources: Mapping[str, Source]
    found: Mapping[str, Measurement]
    now: datetime

    def compare(self, key: str) -> dict[str, Measurement]:
        """The comparison of a reference; and, where its baseline is about to lose its traffic, the
        baseline with what is kept of it. Does not raise for what a source does."""
        subject, _, name = key.partition(".")
        source = source_of(self.plan, key)
        try:
            if subject == SPLIT:
                return {key: self._split(name)}
            metric = self.plan.metrics[name]
            if subject == SHIFT:
                return {key: self._shift(metric)}
            return self._contrast(key, metric, alone=subject == ESTIMATE)
        except Exception as error:
            log.warning("%s: %s: %s", self.state.rollout, key, error, exc_info=True)
            return {key: source_error(source, error, self.sources)}

    def _contrast(self, key: str, metric: MetricPlan, *, alone: bool) -> dict[str, Measurement]:
        """Against a frozen baseline, what was kept of it; against a number, the candidate alone."""
        candidate = self.found[reference(CANDIDATE, metric.name)]
        if alone:
            return {key: compared(candidate, None, self._grown(metric, ask_baseline=False))}
        at = reference(BASELINE, metric.name)
        baseline, step = self.found[at], self._step
        frozen = step is not None and step.frozen_baseline
        contrast = self._grown(metric, ask_baseline=not frozen)
        if frozen:
            contrast = Contrast(contrast.candidate, side_of(baseline), None, contrast.detail)
        found = {key: compared(candidate, baseline, contrast)}
        kept = step is not None and step.name in self.plan.baseline_kept
        if kept and contrast.baseline is not None and baseline.status == "ok":
            found[at] = replace(baseline, side=contrast.baseline)
        return found

    def _grown(self, metric: MetricPlan, *, ask_baseline: bool) -> Contrast:
        """What has grown since the stage was entered, or the rollout."""
        began = self.state.started_at
        since = began if metric.window == "rollout" else self.state.entered_at or began
        asked = [
            self._request(metric, CANDIDATE, since or self.now),
            self._request(metric, BASELINE, since or self.now),
        ]
        source = self.sources[metric.source]
        if isinstance(source, Comparing):
            contrast = source.contrast(asked[0], asked[1], metric.dependence)
            if contrast is not None:
                return contrast
        if self.found[reference(CANDIDATE, metric.name)].status == "error":
            return Contrast()
        said = source.measure(asked if ask_baseline else asked[:1])
        sides = [side_of(answer(each, metric)) for each in said]
        return Contrast(sides[0], sides[1] if ask_baseline else None)

    def _shift(self, metric: MetricPlan) -> Measurement:
        source, step = self.sources[metric.source], self._step
        if not isinstance(source, Comparing):
            return Measurement(
                status="error", detail=f"{metric.source} has no observations to rank"
            )
        if step is not None and step.frozen_baseline:
            return Measurement(status="no_data", detail="ranks of a frozen baseline are not kept")
        since = self._since(metric)
        return source.shift(
            self._request(metric, CANDIDATE, since), self._request(metric, BASELINE, since)
        )

    def _split(self, name: str) -> Measurement:
        """From one tick after the share was acknowledged on: whoever reads it has read it."""
        state, step = self.state, self._step
        if step is None or step.mirror or not NONE < state.share < WHOLE:
            return NOT_COUNTED
        since = state.split_since or (None if state.unacknowledged else state.entered_at)
        if since is None:
            return NOT_SPLIT_YET
        source = self.sources[name]
        if not isinstance(source, Comparing):
            return Measurement(status="error", detail=f"{name} does not count assignments")
        versions = (self.plan.candidate.name, self.plan.baseline.name)
        found = source.split(versions, since + self.plan.tick, self.now)
        return replace(found, mean=state.share / WHOLE) if found.status == "ok" else found

    @property
    def _step(self) -> Step | None:
        return self.plan.step(self.state.name)

    def _since(self, metric: MetricPlan) -> datetime:
        return window_start(self.plan, self.state, metric, self.now)

    def _request(self, metric: MetricPlan, subject: str, since: datetime) -> Request:
        return request(self.plan, metric, subject, since, self.now)
