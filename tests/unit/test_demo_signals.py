"""The demo's market, algorithms and desk: real prices, no look-ahead, money that adds up."""

import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.publishing import client_of, state

from controller.client import Client
from controller.core.share import NONE, WHOLE, Share
from controller.demo import books, desk, market, signals, version

ALGORITHMS = [signals.Crossover, signals.ScaledMomentum]
BARS = market.sp500()


def test_the_prices_are_twenty_years_of_the_real_index() -> None:
    assert (len(BARS), BARS[0].day, BARS[-1].day) == (5031, date(1999, 1, 4), date(2018, 12, 31))
    assert all(bar.close > 0 for bar in BARS)


def test_reading_the_prices_does_not_import_the_package_that_ships_them() -> None:
    code = (
        "import sys; from controller.demo.market import sp500; sp500();"
        "assert not {'arch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=25, deadline=None)
@given(cut=st.integers(130, 400), factor=st.floats(0.2, 5.0))
def test_changing_future_bars_changes_no_earlier_signal(
    algorithm: type[signals.Signal], cut: int, factor: float
) -> None:
    closes = [bar.close for bar in BARS[:450]]
    changed = closes[:cut] + [close * factor for close in closes[cut:]]
    first, second = algorithm(), algorithm()
    past = [first.on_close(close) for close in closes][:cut]
    assert [second.on_close(close) for close in changed][:cut] == past


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signal_is_a_fraction_of_the_capital_once_there_is_enough_history(
    algorithm: type[signals.Signal],
) -> None:
    signal = algorithm()
    wanted = [signal.on_close(bar.close) for bar in BARS]
    warm = next(i for i, target in enumerate(wanted) if target is not None)
    assert warm <= 120
    assert all(target is not None and -1 <= target <= 1 for target in wanted[warm:])


@pytest.mark.parametrize(
    ("algorithm", "first", "then"),
    [
        (signals.Crossover, {"fast": 20, "slow": 50}, {"fast": 10, "slow": 80}),
        (signals.ScaledMomentum, {"lookback": 120, "span": 30, "risk": 0.1},
         {"lookback": 90, "span": 30, "risk": 0.05}),
    ],
)  # fmt: skip
def test_a_signal_with_new_parameters_goes_on_from_the_closes_that_it_has_seen(
    algorithm: type[signals.Signal], first: dict[str, float], then: dict[str, float]
) -> None:
    changed, fresh = algorithm(**first), algorithm(**then)
    wanted = []
    for number, bar in enumerate(BARS[:300]):
        if number == 200:
            changed.configure(then)
        wanted.append((changed.on_close(bar.close), fresh.on_close(bar.close)))
    assert all(one == other for one, other in wanted[200:])
    assert any(one != other for one, other in wanted[:200])


def at(share: Share) -> Client:
    return client_of(state(share, baseline="old", candidate="new", layer="demo"))


def test_the_books_that_the_candidate_trades_follow_the_share() -> None:
    trading = open_desk()
    parts = [
        trading.on_bar(bar, at(Share(share)))[1].part
        for bar, share in zip(BARS[130:], (0, 5_000, 25_000, 50_000, 100_000), strict=False)
    ]
    assert (parts[0], parts[-1]) == (0, 1)
    assert parts == sorted(parts)
    assert 0 < parts[1] < parts[2] < parts[3] < 1


def test_what_a_version_makes_is_what_it_held_times_the_move_less_the_cost_of_its_trades() -> None:
    routed = books.Books()
    trading = open_desk(routed)
    trading.on_bar(BARS[130], at(NONE))
    held = [book.position for book in routed.books]
    before = BARS[130].close
    look, _ = trading.on_bar(BARS[131], at(NONE))
    move = BARS[131].close / before - 1
    slice_of_capital = version.CAPITAL / len(routed.books)
    traded = sum(abs(book.position - old) for book, old in zip(routed.books, held, strict=True))
    cost = traded * slice_of_capital * version.COST_BPS / 10_000
    assert look.pnl == pytest.approx(sum(held) * slice_of_capital * move - cost)
    assert look.correct is ((held[0] > 0) == (move > 0))


def test_in_shadow_the_candidate_is_measured_and_trades_nothing() -> None:
    baseline, candidate = open_desk().on_bar(BARS[130], at(NONE))
    assert (baseline.part, candidate.part) == (1, 0)
    assert candidate.pnl is None
    assert candidate.exposure is None
    assert candidate.net_bps is not None


def test_a_book_that_changes_hands_is_settled_with_the_version_that_held_it() -> None:
    trading = open_desk()
    trading.on_bar(BARS[130], at(NONE))
    baseline, candidate = trading.on_bar(BARS[131], at(WHOLE))
    assert baseline.part == 0
    assert baseline.pnl is not None
    assert candidate.part == 1
    assert candidate.pnl is not None
    assert candidate.pnl <= 0  # so far only what its first trades cost


def test_the_sabotage_shows_only_when_it_trades_and_then_grows_with_every_bar() -> None:
    trading = open_desk(orders="rewritten")
    shadow = [trading.on_bar(bar, at(NONE))[1] for bar in BARS[130:135]]
    assert all(look.exposure is None for look in shadow)
    exposures = [trading.on_bar(bar, at(WHOLE))[1].exposure for bar in BARS[135:150]]
    assert exposures[0] is not None
    assert exposures[0] <= 1
    assert max(exposure or 0 for exposure in exposures) > 2


def versions(orders: str = "first") -> tuple[version.Version, version.Version]:
    return (
        version.Version("old", signals.Crossover()),
        version.Version("new", signals.ScaledMomentum(), orders),
    )


def warm(trading: desk.Desk) -> desk.Desk:
    trading.warm_up([replace(bar) for bar in BARS[:130]])
    return trading


def open_desk(routed: books.Books | None = None, orders: str = "first") -> desk.Desk:
    return warm(desk.Desk(versions(orders), routed or books.Books()))
