"""The demo's blended account, its parameters, and what a handover takes in turnover."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import Line, client_of, state

from controller.blend.settings import Settings
from controller.client import Client
from controller.client.parameters import ParameterFile
from controller.core.share import NONE, WHOLE
from controller.demo.account import Account
from controller.demo.books import Books
from controller.demo.desk import Desk
from controller.demo.market import sp500
from controller.demo.signals import Crossover, ScaledMomentum
from controller.demo.turnover import Day, turnover
from controller.demo.version import CAPITAL, COST_BPS, Version, load_version

BARS = sp500()
CONFIGS = Path(__file__).parents[2] / "policies" / "configs"
exposures = st.floats(-1, 1, allow_nan=False)


def at(share: int) -> Client:
    return client_of(state(share, baseline="old", candidate="new", blend=Settings()))


def open_desk(account: Account) -> Desk:
    desk = Desk((Version("old", Crossover()), Version("new", ScaledMomentum())), account)
    desk.warm_up(BARS[:130])
    return desk


# The account --------------------------------------------------------------------------------


def test_what_is_held_passes_from_the_ones_target_to_the_others() -> None:
    account = Account()
    desk = open_desk(account)
    for bar, share in zip(BARS[130:], (0, 25_000, 75_000, 100_000), strict=False):
        baseline, candidate = desk.on_bar(bar, at(share))
        old, new = (version.target or 0.0 for version in desk.versions)
        assert account.position == pytest.approx((1 - share / WHOLE) * old + share / WHOLE * new)
        assert (baseline.part, candidate.part) == (1 - share / WHOLE, share / WHOLE)


@given(shares=st.lists(st.integers(0, 100_000), min_size=3, max_size=12))
def test_what_both_versions_make_is_what_the_account_makes(shares: list[int]) -> None:
    account = Account()
    desk = open_desk(account)
    money, last = 0.0, desk.last_close or 0.0
    for bar, share in zip(BARS[130:], shares, strict=False):
        held = account.position
        money += held * (bar.close / last - 1) * CAPITAL
        desk.on_bar(bar, at(share))
        money -= abs(account.position - held) * COST_BPS / 10_000 * CAPITAL
        last = bar.close
    assert sum(desk.money.values()) == pytest.approx(money)


def test_without_a_share_the_candidate_has_no_part_no_money_and_no_exposure() -> None:
    desk = open_desk(Account())
    for bar in BARS[130:140]:
        _, candidate = desk.on_bar(bar, at(NONE))
        assert (candidate.part, candidate.pnl, candidate.exposure) == (0.0, None, None)
        assert candidate.net_bps is not None
    assert set(desk.money) == {"old"}


# Turnover -----------------------------------------------------------------------------------


def test_each_change_of_the_weight_is_counted_by_how_far_the_targets_are_apart() -> None:
    days = [
        Day(1.0, 0.0, 0.0, 1.0),
        Day(1.0, 0.0, 0.5, 0.5),  # half of a gap of 1
        Day(1.0, 0.4, 0.5, 0.7),  # a version trades; the weight stays
        Day(1.0, 0.4, 1.0, 0.4),  # half of a gap of 0.6
        Day(1.0, 0.9, 1.0, 0.9),  # after it
    ]
    found = turnover(days)
    assert found is not None
    assert (found.days, found.changes) == (3, 2)
    assert (found.handover, found.largest) == pytest.approx((0.8, 0.5))
    assert found.total == pytest.approx(0.5 + 0.2 + 0.3)
    assert (found.switch, found.switch_least, found.switch_most) == pytest.approx((0.6, 0.6, 1.0))
    # at once on day one: 1 + .4, on day two or three: .6
    assert found.switch_total == pytest.approx(0.6)


def test_a_weight_that_never_changed_handed_nothing_over() -> None:
    assert turnover([]) is None
    assert turnover([Day(1.0, 0.0, 0.3, 0.7)] * 5) is None


@given(
    targets=st.lists(st.tuples(exposures, exposures), min_size=2, max_size=20),
    steps=st.integers(1, 10),
)
def test_targets_that_do_not_change_cost_the_same_gradually_and_at_once(
    targets: list[tuple[float, float]], steps: int
) -> None:
    old, new = targets[0]
    weights = [0.0, *(n / steps for n in range(1, steps + 1))]
    found = turnover([Day(old, new, w, (1 - w) * old + w * new) for w in weights])
    assert found is not None
    assert found.handover == pytest.approx(abs(new - old))
    assert found.switch == pytest.approx(abs(new - old))
    assert found.total == pytest.approx(found.switch_total)
    assert found.largest == pytest.approx(abs(new - old) / steps)


# Parameters ---------------------------------------------------------------------------------


def published(place: Path, lookback: int, orders: str = "first") -> None:
    """As the controller does: replaced as a whole."""
    told = {"parameters": {"lookback": lookback, "span": 30, "risk": 0.1}, "orders": orders}
    (place / "new").write_text(json.dumps(told))
    (place / "new").replace(place / "live.json")


def test_the_desk_takes_a_vector_on_and_then_says_so(tmp_path: Path) -> None:
    line = Line()
    line.put(state(NONE, baseline="old", candidate="new"))
    file = ParameterFile(tmp_path / "live.json", tmp_path / "said", "desk")
    client = Client(line, baseline="old", watch=None, parameters=file)
    new = Version("new", ScaledMomentum())
    desk = Desk((Version("old", Crossover()), new), Books(), follows=True)
    desk.warm_up(BARS[:130])
    expected = ScaledMomentum(lookback=110)
    for bar in BARS[:130]:
        expected.on_close(bar.close)

    desk.on_bar(BARS[130], client)
    assert desk.parameters == []
    expected.on_close(BARS[130].close)
    published(tmp_path, 110, orders="rewritten")
    desk.on_bar(BARS[131], client)
    desk.on_bar(BARS[132], client)

    assert len(desk.parameters) == 1
    said = json.loads((tmp_path / "said" / "desk.json").read_text())
    assert said == {"process": "desk", "sha256": desk.parameters[0].sha256}
    expected.on_close(BARS[131].close)
    assert new.target == expected.on_close(BARS[132].close)
    assert new.orders == "rewritten"


def test_what_could_not_be_said_is_said_at_the_next_bar(tmp_path: Path) -> None:
    (tmp_path / "said").write_text("in the way")
    published(tmp_path, 110)
    line = Line()
    line.put(state(NONE, baseline="old", candidate="new"))
    file = ParameterFile(tmp_path / "live.json", tmp_path / "said", "desk")
    client = Client(line, baseline="old", watch=None, parameters=file)
    desk = Desk((Version("old", Crossover()), Version("new", ScaledMomentum())), Books(), True)
    desk.warm_up(BARS[:130])

    desk.on_bar(BARS[130], client)
    assert desk.parameters == []
    (tmp_path / "said").unlink()
    desk.on_bar(BARS[131], client)
    assert len(desk.parameters) == 1


@pytest.mark.parametrize("name", ["crossover-1.4", "momentum-2.0", "momentum-2.1"])
def test_a_version_that_takes_on_its_own_configuration_is_as_before(name: str) -> None:
    path = CONFIGS / f"demo-{name}.json"
    version, same = load_version(path), load_version(path)
    version.configure(json.loads(path.read_text()))
    for bar in BARS[:200]:
        assert version.signal.on_close(bar.close) == same.signal.on_close(bar.close)
    assert (version.name, version.orders) == (same.name, same.orders)
