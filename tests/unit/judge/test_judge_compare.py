"""Sets that grow: pairs, bars, late parts, what has too few, and how much they weigh."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from controller.core.measurement import Contrast, Measurement, Pairs, Side
from controller.judge.compare import Comparisons, compared, side_of
from controller.judge.growing import KEYS, LEAST, LEAST_DEPENDENT, Dependence
from controller.judge.longrun import BLOCKS, Row, error_of_means
from controller.judge.window import Observation, Value, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
END = T0 + timedelta(days=30)
VERSIONS = ("new", "old")

Seen = tuple[str, str | None, Value]
"""Version, key and value, one a second."""


class Desk:
    """Windows and the comparisons beside them, fed as a push source feeds them."""

    def __init__(self, limit: int = 100_000) -> None:
        self.windows = Windows(limit)
        self.comparisons = Comparisons(self.windows)

    def add(self, *observations: Observation) -> None:
        for observation in observations:
            self.comparisons.add(observation)
            self.windows.add(observation)

    def contrast(
        self,
        dependence: Dependence = "independent",
        text: str = "mean(x)",
        now: datetime = END,
        since: datetime = T0,
        factor: float = 1.0,
    ) -> Contrast:
        return self.comparisons.contrast(VERSIONS, text, dependence, since, now, factor)


def rows(seen: Iterable[Seen]) -> list[Observation]:
    return [
        Observation(version, T0 + n * SECOND, {"x": value}, key=key)
        for n, (version, key, value) in enumerate(seen, 1)
    ]


def matched(count: int, gap: float = 1.0) -> list[Observation]:
    """Both versions under each key; the candidate is `gap` higher, now and then 1 more."""
    return rows(
        (version, f"k{n}", n * 10 + (gap + n % 2 if version == "new" else 0))
        for n in range(count)
        for version in VERSIONS
    )


def pairs_of(contrast: Contrast) -> Pairs:
    assert contrast.pairs is not None
    return contrast.pairs


def difference(form: tuple[float, float, float]) -> float:
    return form[0] + form[1] - 2 * form[2]


def test_differences_are_by_key_whatever_the_order() -> None:
    desk = Desk()
    desk.add(*Random(1).sample(matched(20), 40))
    found = pairs_of(desk.contrast())
    assert (found.count, found.unit) == (20, "pairs")
    assert found.candidate - found.baseline == pytest.approx(1.5)
    assert difference(found.variance) == pytest.approx(20 / 19 / 4)


def test_several_observations_of_a_key_count_as_their_mean() -> None:
    desk = Desk()
    desk.add(*rows(("old", f"k{n}", 0) for n in range(6)))
    desk.contrast()
    desk.add(*rows(("new", f"k{n % 6}", n) for n in range(12)))
    found = pairs_of(desk.contrast())
    assert (found.count, found.candidate) == (6, 5.5)
    assert difference(found.variance) == pytest.approx(3.5)


def test_keys_that_hardly_meet_are_no_pairs() -> None:
    desk = Desk()
    desk.add(*rows((v, f"{v}{n}", n % 3) for n in range(20) for v in VERSIONS), *matched(6))
    found = desk.contrast()
    assert found.pairs is None
    assert found.candidate is not None and found.candidate.samples == 26


def test_pairs_without_a_difference_leave_both_sides() -> None:
    desk = Desk()
    desk.add(*rows((v, f"k{n}", n % 2) for n in range(20) for v in VERSIONS))
    assert desk.contrast(text="ratio(x)").pairs is None


def test_a_set_begins_with_what_is_there_and_grows_with_what_comes() -> None:
    early, late = Desk(), Desk()
    everything = matched(40)
    early.add(*everything[:30])
    early.contrast("hac")
    early.add(*everything[30:])
    late.add(*everything)
    assert early.contrast("hac") == late.contrast("hac")


def test_what_was_seen_before_the_stage_does_not_count() -> None:
    desk = Desk()
    desk.add(*matched(40))
    desk.contrast(since=T0)
    found = pairs_of(desk.contrast(since=T0 + 40 * SECOND))
    assert found.count == 20


def test_what_is_seen_after_the_look_waits_for_the_next() -> None:
    desk = Desk()
    desk.add(*matched(20))
    assert pairs_of(desk.contrast(now=T0 + 20 * SECOND)).count == 10
    assert pairs_of(desk.contrast(now=T0 + 40 * SECOND)).count == 20


def test_an_outcome_that_comes_later_or_twice_counts_once_where_its_signal_was() -> None:
    desk = Desk()
    desk.add(*(Observation("new", T0 + n * SECOND, {}, id=f"s{n}") for n in range(1, 31)))
    assert desk.contrast(text="ratio(x)").candidate is None
    for _ in range(2):
        desk.add(*(Observation("new", T0 + n * SECOND, {"x": 1}, id=f"s{n}") for n in range(1, 11)))
    found = desk.contrast(text="ratio(x)").candidate
    assert found is not None and (found.samples, found.mean) == (10, 1)


@pytest.mark.parametrize("value", [None, "text", float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_not_compared(value: Value) -> None:
    desk = Desk()
    desk.add(*rows(("new", None, n) for n in range(5)))
    desk.contrast()
    desk.add(Observation("new", T0 + 99 * SECOND, {"x": value}))
    found = desk.contrast().candidate
    assert found is not None and found.samples == 5


def test_values_are_in_the_base_unit_and_shares_have_none() -> None:
    desk = Desk()
    desk.add(*rows(("new", None, n) for n in range(1, 6)))
    found, share = (desk.contrast(text=t, factor=0.001).candidate for t in ("mean(x)", "ratio(x)"))
    assert found is not None and share is not None
    assert (found.mean, found.variance) == pytest.approx((0.003, 2.5e-6))
    assert share.mean == 1


@pytest.mark.parametrize(
    ("dependence", "least"), [("independent", LEAST), ("hac", LEAST_DEPENDENT)]
)
def test_too_few_bound_nothing(dependence: Dependence, least: int) -> None:
    desk = Desk()
    desk.add(*matched(least - 1))
    assert desk.contrast(dependence) == Contrast()
    desk.add(*rows((v, "last", 7) for v in VERSIONS))
    assert desk.contrast(dependence).pairs is not None


def test_no_errors_are_not_certainty_but_grow_into_it() -> None:
    errors = []
    for count in (40, 4000):
        desk = Desk()
        desk.add(*rows(("new", None, 0) for _ in range(count)))
        found = desk.contrast("hac", "ratio(x)").candidate
        assert found is not None
        errors.append(found.error)
    assert errors[0] > 1e-4 > 1e-5 > errors[1] > 0


def test_bars_are_compared_with_each_other() -> None:
    random, desk = Random(3), Desk()
    minute = timedelta(minutes=1)
    for n in range(1, 601):
        shock = Random(n // 60).gauss(0, 5)
        for version in VERSIONS:
            value = shock + random.gauss(0, 1)
            desk.add(Observation(version, T0 + n * SECOND, {"x": value}))
    found = pairs_of(desk.contrast(minute))
    assert (found.count, found.unit) == (11, "bars")
    assert difference(found.error) < 0.05 < found.error[0]
    apart = desk.contrast("independent")
    assert apart.pairs is None
    assert apart.candidate is not None and apart.candidate.error < found.error[0] / 10


def test_a_set_weighs_the_same_however_much_was_seen() -> None:
    row = Row()
    for n in range(20_000):
        row.add(n * 1_000_000, float(n % 7), float(n % 3))
    assert len(row.blocks) <= BLOCKS
    assert row.means == pytest.approx((2.99985, 0.99995))
    desk = Desk(limit=1000)
    desk.contrast()
    desk.add(*rows((v, f"k{n}", n % 5) for n in range(KEYS + 50) for v in VERSIONS))
    found = desk.contrast()
    assert found.candidate is not None and found.candidate.samples == KEYS + 50
    assert (found.detail, len(desk.windows.by_version["new"]) <= 1000) == ("", True)


def test_a_set_that_could_not_begin_whole_says_so() -> None:
    desk = Desk(limit=100)
    desk.add(*rows(("new", None, n) for n in range(300)))
    assert desk.contrast().detail == "the oldest are no longer held"


def test_the_error_of_a_mean_is_that_of_a_series_with_memory() -> None:
    random = Random(2)
    for memory, theory in ((0.0, 1.0), (0.8, 9.0)):
        errors = []
        for _ in range(20):
            row, value = Row(), random.gauss(0, 1)
            for n in range(2000):
                value = memory * value + (1 - memory**2) ** 0.5 * random.gauss(0, 1)
                row.add(n, 1e6 + value)
            errors.append(error_of_means(row)[0] * 2000)
        assert sum(errors) / 20 == pytest.approx(theory, rel=0.2)


# What comes of it ---------------------------------------------------------------------------


def test_a_source_that_tells_no_observations_gives_sides_of_independent_ones() -> None:
    found = side_of(Measurement(value=9.0, samples=50, mean=3.0, variance=2.0))
    assert found == Side(3.0, 50, 2.0, 0.04)
    kept = Side(1.0, 9, 1.0, 0.5)
    assert side_of(Measurement(value=9.0, side=kept)) is kept
    none = (
        None,
        Measurement(status="no_data"),
        Measurement(value=1.0, samples=50),
        Measurement(value=1.0, samples=LEAST - 1, variance=1.0),
    )
    assert [side_of(each) for each in none] == [None] * 4


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [("error", "ok", "error"), ("ok", "no_data", "no_data"), ("no_data", "error", "error")],
)
def test_a_comparison_is_as_bad_as_its_worse_side(a: str, b: str, status: str) -> None:
    sides = [
        Measurement(value=1.0, samples=50) if s == "ok" else Measurement(status=s, detail=f"is {s}")  # type: ignore[arg-type]
        for s in (a, b)
    ]
    found = compared(sides[0], sides[1], Contrast())
    assert (found.status, found.value) == (status, None)
    assert f"is {status}" in found.detail


def test_a_comparison_is_as_old_as_its_older_side() -> None:
    new = Measurement(value=1.0, samples=9, as_of=T0, through=4)
    old = Measurement(value=0.5, samples=8, as_of=T0 - timedelta(hours=1), through=3)
    found = compared(new, old, Contrast())
    assert (found.as_of, found.through, found.samples, found.value) == (old.as_of, 4, 8, 0.5)


# Splits -------------------------------------------------------------------------------------


def test_a_split_counts_each_key_once_and_what_has_none_by_itself() -> None:
    desk = Desk()
    desk.add(*rows(("new", f"k{n % 3}", n) for n in range(9)))
    split = desk.comparisons.split(VERSIONS, T0, END)
    assert (split.value, split.samples) == (1.0, 3)
    desk.add(*rows(("old", None, n) for n in range(6)), *rows([("new", "k1", 1), ("x", "k9", 1)]))
    split = desk.comparisons.split(VERSIONS, T0, END)
    assert split.samples == 9
    assert split.value == pytest.approx(3 / 9)


def test_a_split_counts_what_was_seen_since_the_share_was_there() -> None:
    desk = Desk()
    assert desk.comparisons.split(VERSIONS, T0, END).status == "no_data"
    desk.add(*rows((v, None, 1) for v in VERSIONS * 10))
    assert desk.comparisons.split(VERSIONS, T0, T0 + 10 * SECOND).samples == 10
    assert desk.comparisons.split(VERSIONS, T0 + 15 * SECOND, END).samples == 5
    desk.add(Observation("new", T0 + 18 * SECOND, {}, id="a"))
    desk.add(Observation("new", T0 + 18 * SECOND, {"x": 1}, id="a"))
    assert desk.comparisons.split(VERSIONS, T0 + 15 * SECOND, END).samples == 6
