"""What is collected for a decision: windows, silence, comparisons, the frozen baseline, errors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from support.plans import POLICY, T0, plan_of

from controller.core.calendar import Sessions
from controller.core.measurement import Contrast, Measurement, Side
from controller.core.share import from_percent
from controller.core.state import State
from controller.judge.compare import compared, side_of
from controller.judge.growing import Dependence
from controller.run.collect import collect
from controller.sources.base import Request

HOUR = timedelta(hours=1)
NOW = T0 + 3 * HOUR

WINDOWS = """
rollout: windows
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources: {signals: {type: push}, ops: {type: push}}
metrics:
  quick: {source: signals, value: mean(x), window: 5m, better: higher}
  today: {source: signals, value: sum(x), window: session}
  here: {source: ops, value: sum(x), window: stage, unit: ms}
  whole: {source: signals, value: max_drawdown(x), window: rollout, capital: 1_000}
stages:
  - {name: canary, weight: 5%, hold: 1h, advance: ["not_worse(quick, margin: 2)"]}
  - {name: watch, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: a, when: candidate.today < -5, severity: high}
  - {name: b, when: candidate.here > 5s, severity: high}
  - {name: c, when: candidate.whole > 5%, severity: critical}
  - {name: d, when: signals.silent > 2m, severity: medium, escalate_after: 10m}
"""


class Listener:
    """A source that keeps what it was asked and gives 0, 1, 2, ..."""

    def __init__(self, last: datetime | None = None) -> None:
        self.asked: list[Request] = []
        self.last = last
        self.broken: Exception | None = None
        self.short = False

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        if self.broken is not None:
            raise self.broken
        self.asked += requests
        found = [
            Measurement(value=float(n), samples=50, variance=1.0, as_of=r.now)
            for n, r in enumerate(requests)
        ]
        return found[1:] if self.short else found

    def last_received(self) -> datetime | None:
        if self.broken is not None:
            raise self.broken
        return self.last

    def check(self) -> str:
        return "listens"

    def close(self) -> None:
        """Nothing is open."""


MINE, OTHER = Side(1.0, 40, 1.0, 0.1), Side(0.75, 90, 1.0, 0.2)


class ComparingListener(Listener):
    def __init__(self, last: datetime | None = None) -> None:
        super().__init__(last)
        self.grown: list[datetime] = []

    def contrast(
        self, candidate: Request, baseline: Request, dependence: Dependence
    ) -> Contrast | None:
        assert (candidate.version, baseline.version, dependence) == ("v3", "v1", "hac")
        assert (candidate.since, candidate.now) == (baseline.since, baseline.now)
        self.grown.append(candidate.since)
        return Contrast(MINE, OTHER)

    def shift(self, candidate: Request, baseline: Request) -> Measurement:
        return Measurement(value=(candidate.now - candidate.since).total_seconds(), samples=9)

    def split(self, versions: tuple[str, str], since: datetime, now: datetime) -> Measurement:
        return Measurement(value=(now - since).total_seconds(), samples=len(versions))


PLAN = plan_of(WINDOWS)
STATE = State(
    "windows", PLAN.digest, name="canary", started_at=T0 - HOUR, entered_at=T0 + HOUR
)  # fmt: skip


def test_one_request_per_metric_and_version_with_its_own_window() -> None:
    signals, ops = Listener(), Listener()
    found = collect(PLAN, STATE, {"signals": signals, "ops": ops}, NOW)
    asked = {(r.subject, r.metric): r for r in reversed((*signals.asked, *ops.asked))}
    # Both sides of `quick` once more, for the comparison: that one grows.
    assert len(asked) == len(signals.asked) + len(ops.asked) - 2 == 5
    assert asked["candidate", "quick"].since == NOW - timedelta(minutes=5)
    assert asked["baseline", "quick"].version == "v1"
    assert asked["candidate", "today"].since == datetime.combine(
        NOW.date(), NOW.min.time(), NOW.tzinfo
    )
    assert asked["candidate", "here"].since == STATE.entered_at
    assert asked["candidate", "here"].factor == 0.001
    assert asked["candidate", "whole"].since == STATE.started_at
    assert asked["candidate", "whole"].capital == 1000
    assert set(found) == set(PLAN.references)


def test_silence_counts_open_time_since_the_last_word_or_the_start() -> None:
    sources = {"signals": Listener(NOW - timedelta(seconds=90)), "ops": Listener()}
    assert collect(PLAN, STATE, sources, NOW)["signals.silent"].value == 90
    sources["signals"].last = None
    never = collect(PLAN, STATE, sources, NOW)["signals.silent"]
    assert (never.value, never.detail) == (4 * 3600, "nothing received yet")
    sources["signals"].last = T0 - 9 * HOUR
    assert collect(PLAN, STATE, sources, NOW)["signals.silent"].value == 4 * 3600
    sources["signals"].last = NOW + HOUR
    assert collect(PLAN, STATE, sources, NOW)["signals.silent"].value == 0


def test_windows_of_open_time_and_of_the_newest_are_asked_for_as_such() -> None:
    sessions = ((T0 - 9 * HOUR, T0 - HOUR), (T0 + 2 * HOUR, T0 + 9 * HOUR))
    text = WINDOWS.replace("windows", "kinds").replace("session}", "2h open}")
    text = text.replace("window: 5m", "window: last 40, min_samples: 20")
    plan, signals = plan_of(text, Sessions("desk", sessions)), Listener()
    collect(plan, STATE, {"signals": signals, "ops": Listener()}, NOW)
    asked = {(r.subject, r.metric): r for r in signals.asked}
    assert (asked["candidate", "quick"].newest, asked["candidate", "quick"].now) == (40, NOW)
    assert asked["baseline", "quick"].newest == 40
    assert asked["candidate", "today"].since == T0 - 2 * HOUR
    assert asked["candidate", "today"].newest is None
    assert plan.metrics["today"].max_age == 2 * HOUR
    assert plan.metrics["quick"].max_age == HOUR


def test_what_is_made_of_bars_may_be_four_of_them_old() -> None:
    day, few = 24 * HOUR, ", min_samples: 2"
    # Twenty observations may be spread over more than thirty bars.
    ages = {
        f"3 bars{few}": 4 * day, f"9 bars{few}": 9 * day, f"60h{few}": 4 * day,
        f"120h open{few}": 5 * day, "last 20": 4 * day, "rollout": 4 * day,
    }  # fmt: skip
    for window, age in ages.items():
        metric = f"{{source: signals, value: sharpe(x), bar: 1d, capital: 100, window: {window}}}"
        text = WINDOWS.replace("metrics:\n", f"metrics:\n  ratio: {metric}\n", 1)
        assert plan_of(text).metrics["ratio"].max_age == age, window


def test_a_closed_market_is_not_silence() -> None:
    day = timedelta(days=1)
    sessions = ((T0 - HOUR, T0), (T0 + 2 * HOUR, T0 + 4 * HOUR), (T0 + day, T0 + 2 * day))
    plan = plan_of(WINDOWS.replace("windows", "sessions"), Sessions("desk", sessions))
    sources = {"signals": Listener(T0), "ops": Listener()}
    found = collect(plan, STATE, sources, NOW)
    assert found["signals.silent"].value == 3600
    (today,) = (r for r in sources["signals"].asked if r.metric == "today")
    assert today.since == T0 + 2 * HOUR
    beyond = collect(plan, STATE, sources, T0 + 3 * day)
    assert beyond["candidate.today"].status == beyond["signals.silent"].status == "error"
    assert "does not reach" in beyond["candidate.today"].detail


def test_a_comparison_is_of_all_since_the_stage_was_entered() -> None:
    signals = Listener()
    found = collect(PLAN, STATE, {"signals": signals, "ops": Listener()}, NOW)
    asked = [r for r in signals.asked if r.metric == "quick"]
    assert [r.since for r in asked[2:]] == [STATE.entered_at] * 2
    sides = [Measurement(value=float(n), samples=50, variance=1.0) for n in range(2)]
    contrast = Contrast(side_of(sides[0]), side_of(sides[1]))
    assert found["difference.quick"] == compared(
        found["candidate.quick"], found["baseline.quick"], contrast
    )


def test_a_source_that_knows_observations_compares_them() -> None:
    signals = ComparingListener()
    found = collect(PLAN, STATE, {"signals": signals, "ops": Listener()}, NOW)
    assert found["difference.quick"].contrast == Contrast(MINE, OTHER)
    assert (found["difference.quick"].value, found["difference.quick"].samples) == (0.25, 40)
    assert signals.grown == [STATE.entered_at]
    assert found["baseline.quick"].side == OTHER  # the next stage compares with it, frozen
    plan = plan_of(WINDOWS.replace("window: 5m", "window: rollout").replace("windows", "whole"))
    collect(plan, STATE, {"signals": signals, "ops": Listener()}, NOW)
    assert signals.grown[-1] == STATE.started_at


def test_with_a_number_only_the_candidate_is_compared() -> None:
    text = WINDOWS.replace("margin: 2", "than: 9, margin: 2").replace("windows", "alone")
    plan = plan_of(text)
    found = collect(plan, STATE, {"signals": Listener(), "ops": Listener()}, NOW)
    assert "baseline.quick" not in found and "difference.quick" not in found
    contrast = found["estimate.quick"].contrast
    assert contrast is not None and contrast.candidate is not None and contrast.baseline is None


SPLIT = WINDOWS.replace(
    '["not_worse(quick, margin: 2)"]', '["split_as_asked(signals)", "mann_whitney(quick)"]'
).replace("windows", "split").replace("hold: 2h, against: frozen_baseline", "hold: 2h")  # fmt: skip


def test_a_split_is_asked_from_a_tick_after_its_share_was_acknowledged() -> None:
    plan = plan_of(SPLIT)
    sources = {"signals": ComparingListener(), "ops": Listener()}
    acknowledged = State("split", plan.digest, name="canary", share=from_percent(5),
                         entered_at=T0, split_since=T0 + HOUR, started_at=T0)  # fmt: skip
    found = collect(plan, acknowledged, sources, NOW)
    split = found["split.signals"]
    assert (split.value, split.mean) == (2 * 3600 - 30, 0.05)
    assert found["shift.quick"].value == 300
    waiting = replace(acknowledged, split_since=None, unacknowledged=("k",))
    assert collect(plan, waiting, sources, NOW)["split.signals"].status == "no_data"
    whole = replace(acknowledged, name="watch", share=from_percent(100))
    assert collect(plan, whole, sources, NOW)["split.signals"].status == "no_data"
    plain: dict[str, Listener] = {"signals": Listener(), "ops": Listener()}
    broken = collect(plan, acknowledged, plain, NOW)
    assert broken["split.signals"].status == broken["shift.quick"].status == "error"


def test_a_frozen_baseline_is_not_asked_again_and_its_age_is_not_held_against_it() -> None:
    before = Measurement(value=9.0, samples=70, variance=1.0, as_of=T0 - HOUR)
    state = State(
        "windows", PLAN.digest, name="watch.paused", started_at=T0 - HOUR, entered_at=T0,
        frozen={"baseline.quick": before},
    )  # fmt: skip
    signals = Listener()
    found = collect(PLAN, state, {"signals": signals, "ops": Listener()}, NOW)
    assert all(request.subject == "candidate" for request in signals.asked)
    frozen = found["baseline.quick"]
    assert (frozen.value, frozen.samples, frozen.as_of) == (9, 70, None)
    candidate = found["candidate.quick"].value
    assert candidate is not None
    assert found["difference.quick"].value == candidate - 9
    contrast = found["difference.quick"].contrast
    assert contrast is not None and contrast.pairs is None
    assert contrast.baseline == Side(9.0, 70, 1.0, 1 / 70)


def test_what_was_kept_of_a_baseline_is_what_a_frozen_one_is_compared_by() -> None:
    before = Measurement(value=9.0, samples=70, variance=1.0, side=OTHER)
    state = State("windows", PLAN.digest, name="watch", started_at=T0 - HOUR, entered_at=T0,
                  frozen={"baseline.quick": before})  # fmt: skip
    found = collect(PLAN, state, {"signals": ComparingListener(), "ops": Listener()}, NOW)
    assert found["difference.quick"].contrast == Contrast(MINE, OTHER)


def test_a_source_that_is_broken_is_not_asked_again_for_the_comparison() -> None:
    signals = Listener()
    signals.short = True
    found = collect(PLAN, STATE, {"signals": signals, "ops": Listener()}, NOW)
    assert found["difference.quick"].status == "error"
    assert len([r for r in signals.asked if r.metric == "quick"]) == 2


def test_a_baseline_that_was_never_frozen_is_no_data() -> None:
    state = State("windows", PLAN.digest, name="watch", started_at=T0)
    found = collect(PLAN, state, {"signals": Listener(), "ops": Listener()}, NOW)
    assert found["baseline.quick"].status == found["difference.quick"].status == "no_data"
    assert "before it lost its traffic" in found["difference.quick"].detail


@pytest.mark.parametrize("kind", ["raises", "too few", "absent"])
def test_a_broken_source_is_an_error_of_its_own_measurements_only(kind: str) -> None:
    broken, fine = Listener(NOW), Listener(NOW)
    sources = {"signals": broken, "ops": fine}
    if kind == "raises":
        broken.broken = OSError("disk gone")
    elif kind == "too few":
        broken.short = True
    else:
        del sources["signals"]
    found = collect(PLAN, STATE, sources, NOW)
    assert found["candidate.here"].status == "ok"
    assert found["candidate.quick"].status == found["difference.quick"].status == "error"
    assert found["candidate.quick"].detail
    assert set(found) == set(PLAN.references)


def test_sources_asked_at_the_same_time_say_the_same() -> None:
    sources = {"signals": Listener(NOW), "ops": Listener(NOW)}
    one = collect(PLAN, STATE, sources, NOW)
    with ThreadPoolExecutor(2) as pool:
        assert collect(PLAN, STATE, sources, NOW, pool) == one


def test_a_plan_of_another_text_asks_its_own_questions() -> None:
    plan = plan_of(POLICY)
    source = Listener()
    collect(plan, State("signal", plan.digest, name="canary"), {"signals": source}, NOW)
    assert {r.metric for r in source.asked} == {"accuracy", "errors", "drawdown"}


BARS = """
rollout: bars
baseline: v1
candidate: v3
schedule: {tick: 30s, calendar: XNYS}
sources: {signals: {type: push, quality: {required: [x], window: 10m, min_samples: 5}}}
metrics:
  sharpe: {source: signals, value: sharpe(x), bar: 1h, window: 3 bars, capital: 100, min_samples: 2}
  agreement: {source: signals, value: agreement(x), window: 1h, min_samples: 0}
stages:
  - {name: canary, weight: 5%, hold: 4h, advance: [signals.quality >= 95%]}
  - {name: full, weight: 100%, hold: 2h}
triggers:
  - {name: a, when: candidate.sharpe < -5, severity: high}
  - {name: b, when: candidate.agreement < 50%, severity: high, stages: [canary]}
"""


def test_a_window_of_bars_begins_where_the_oldest_of_them_does() -> None:
    week = Sessions(
        "XNYS",
        tuple((T0 + n * 24 * HOUR, T0 + n * 24 * HOUR + 6.5 * HOUR) for n in range(5)),
    )
    plan, source = plan_of(BARS, week), Listener()
    now = T0 + 24 * HOUR + 1.5 * HOUR
    state = State(rollout="bars", policy="p", name="canary", started_at=T0, entered_at=T0)
    collect(plan, state, {"signals": source}, now)
    by_metric = {(request.subject, request.metric): request for request in source.asked}
    sharpe = by_metric["candidate", "sharpe"]
    # Over is one bar of today; of yesterday's seven the last two, of which one is half an hour.
    assert sharpe.since == T0 + 5 * HOUR
    assert (sharpe.bar, sharpe.calendar, sharpe.version, sharpe.other) == (HOUR, week, "v3", "v1")


def test_what_a_source_says_of_its_own_data_is_asked_of_it_as_one_more_metric() -> None:
    plan, source = plan_of(BARS), Listener()
    state = State(rollout="bars", policy="p", name="canary", started_at=T0, entered_at=T0)
    found = collect(plan, state, {"signals": source}, NOW)
    (asked,) = [request for request in source.asked if request.subject == "signals"]
    assert (asked.metric, asked.expression, asked.version) == ("quality", "quality", "")
    assert asked.since == NOW - timedelta(minutes=10)
    assert found["signals.quality"].samples == 50
    metric = plan.metric("signals.quality")
    assert metric is not None and metric.min_samples == 5
    assert plan.metric("signals.silent") is None
