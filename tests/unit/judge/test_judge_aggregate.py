"""Each aggregation against numbers worked out by hand or by `statistics`."""

from datetime import UTC, datetime, timedelta
from statistics import mean, quantiles, variance

import pytest

from controller.core.measurement import Measurement
from controller.judge.aggregate import measure
from controller.judge.window import Observation, Value, Window, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def window_of(*values: Value) -> Window:
    """One observation a second from 14:30:01."""
    windows = Windows()
    for index, value in enumerate(values, 1):
        windows.add(Observation("v3", T0 + index * SECOND, {"x": value}))
    window = windows.window("v3")
    assert window is not None
    return window


def of(expression: str, *values: Value, capital: float | None = None) -> Measurement:
    return measure(window_of(*values), expression, T0, T0 + timedelta(days=1), capital=capital)


LATENCIES = (120.0, 80.0, 100.0, 340.0, 90.0, 110.0, 95.0)


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("count()", (1, None, 3), 3),
        ("count(x)", (1, None, 3), 2),
        ("count(x)", ("NQ", "ES"), 2),
        ("sum(x)", (0.1,) * 10, 1.0),
        ("mean(x)", LATENCIES, mean(LATENCIES)),
        ("ratio(x)", (True, False, 1, 2, 0), 0.6),
        ("min(x)", LATENCIES, 80),
        ("max(x)", LATENCIES, 340),
        ("last(x)", (1, 2, None), 2),
        ("quantile(x, 95%)", LATENCIES, quantiles(LATENCIES, n=20, method="inclusive")[18]),
        ("quantile(x, 50%)", LATENCIES, 100),
        ("quantile(x, 99%)", (7,), 7),
        ("max_drawdown(x)", (10, -4, -3, 5, -6), 8),
        ("drawdown(x)", (10, -4, -3, 5), 2),
        ("max_drawdown(x)", (-5, 20), 5),
        ("max_drawdown(x)", (1, 2), 0),
        ("consecutive_losses(x)", (-1, 2, -1, -3), 2),
        ("consecutive_losses(x)", (-1, 0), 0),
    ],
)
def test_an_aggregation_gives_the_number_of_its_formula(
    expression: str, values: tuple[Value, ...], expected: float
) -> None:
    found = of(expression, *values)
    assert found.status == "ok"
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_two_hundred_losses_of_150_pass_one_percent_of_a_million_at_trade_67() -> None:
    losses = (-150,) * 200
    assert of("max_drawdown(x)", *losses[:66], capital=1e6).value == pytest.approx(0.0099)
    found = of("max_drawdown(x)", *losses[:67], capital=1e6)
    assert found.value is not None
    assert found.value > 0.01
    assert of("max_drawdown(x)", *losses, capital=1e6).value == pytest.approx(0.03)


def test_a_fall_is_a_fraction_of_the_peak_and_not_of_the_capital() -> None:
    found = of("max_drawdown(x)", 1000, -500, capital=1000)
    assert found.value == pytest.approx(0.25)
    assert of("drawdown(x)", 1000, -500, 500, capital=1000).value == 0


def test_means_and_ratios_carry_the_variance_of_one_observation() -> None:
    found = of("mean(x)", *LATENCIES)
    assert found.mean == found.value
    assert found.variance == pytest.approx(variance(LATENCIES))
    share = of("ratio(x)", 1, 0, 0, 0)
    assert (share.mean, share.variance) == (0.25, 0.1875)
    p95 = of("quantile(x, 95%)", *LATENCIES)
    assert p95.mean == pytest.approx(mean(LATENCIES))
    assert of("mean(x)", 4).variance is None


def test_the_variance_of_values_far_from_zero_is_not_lost() -> None:
    assert of("mean(x)", *(1e9 + i % 2 for i in range(1000))).variance == pytest.approx(
        variance([0, 1] * 500)
    )


def test_a_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    window = window_of(1, 2, 3, 4)
    found = measure(window, "sum(x)", T0 + SECOND, T0 + 3 * SECOND)
    assert (found.value, found.samples, found.as_of) == (5, 2, T0 + 3 * SECOND)


def test_values_are_told_in_the_base_unit_and_shares_have_none() -> None:
    window = window_of(100, 300)
    found = measure(window, "mean(x)", T0, T0 + 9 * SECOND, factor=0.001)
    assert found.value == pytest.approx(0.2)
    assert found.variance == pytest.approx(0.02)
    assert measure(window, "ratio(x)", T0, T0 + 9 * SECOND, factor=0.001).value == 1
    assert measure(window, "count()", T0, T0 + 9 * SECOND, factor=0.001).value == 2


@pytest.mark.parametrize("name", ["sum", "mean", "ratio", "min", "max", "last", "max_drawdown"])
def test_an_aggregation_of_nothing_is_no_data_and_not_zero(name: str) -> None:
    late = T0 + timedelta(hours=1)
    found = measure(window_of(1, 2), f"{name}(x)", late, late + SECOND)
    assert (found.status, found.value, found.samples) == ("no_data", None, 0)
    assert found.detail == "nothing in the window"
    assert measure(None, f"{name}(x)", T0, late).detail == "nothing was ever seen of this version"


def test_a_count_is_zero_only_among_observations_and_of_a_field_that_there_is() -> None:
    windows = Windows()
    windows.add(Observation("v3", T0, {"x": 1, "failed": True}))
    for second in (1, 2, 3):
        windows.add(Observation("v3", T0 + second * SECOND, {"x": 1}))
    window = windows.window("v3")
    found = measure(window, "count(failed)", T0, T0 + 9 * SECOND)
    assert (found.status, found.value, found.samples) == ("ok", 0, 3)
    assert found.as_of == T0 + 3 * SECOND
    assert measure(window, "count(faild)", T0, T0 + 9 * SECOND).status == "no_data"
    late = T0 + timedelta(hours=1)
    assert measure(window, "count(failed)", late, late + SECOND).status == "no_data"
    assert measure(window, "count()", late, late + SECOND).status == "no_data"
    assert measure(None, "count()", T0, late).status == "no_data"


def test_what_has_no_finite_answer_is_no_data() -> None:
    assert of("sum(x)", 1e308, 1e308).status == "no_data"
    assert of("max_drawdown(x)", 1, capital=0).status == "no_data"
    assert of("mean(x)", "text").detail.endswith("x holds text")


def test_an_unknown_aggregation_is_an_error_that_helps() -> None:
    found = of("average(x)", 1)
    assert found.status == "error"
    assert "mean" in found.detail


def test_a_look_gives_the_same_whatever_looks_came_before() -> None:
    kept = Windows()
    for index in range(200):
        value = (index * 7919) % 31 - 16
        at = T0 + (index - 3 * (index % 5)) * SECOND
        kept.add(Observation("v3", at, {"x": value}))
        for expression in ("max_drawdown(x)", "drawdown(x)", "mean(x)"):
            for since in (T0 - 60 * SECOND, T0 + (index - 20) * SECOND):
                window = kept.window("v3")
                assert window is not None
                remembered = measure(window, expression, since, at, capital=1000)
                window.numbers["x"].memo.clear()
                assert measure(window, expression, since, at, capital=1000) == remembered
                measure(window, expression, since, at - 5 * SECOND, capital=1000)
