"""Two processes on real files: one writer at any time, what it holds comes along, and who is unsure
does not write."""

import fcntl
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.handover import Pair

from controller.client.handover import Handover
from controller.core.effect import Phase
from controller.effects.base import EffectError
from controller.traffic.handover import LOCK, ORDER, Role, Terms, decode_report
from controller.traffic.route import Side


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path / "live")


def test_without_any_order_the_baseline_writes_and_the_candidate_never_does(pair: Pair) -> None:
    pair.turn()
    assert pair.writers() == ["engine-1"]


def test_without_a_turn_nobody_writes(pair: Pair) -> None:
    assert pair.writers() == []


def test_under_a_new_order_nobody_writes_before_a_turn_has_taken_it_on(pair: Pair) -> None:
    pair.through(Phase.WARM)
    assert pair.writers() == ["engine-1"]
    pair.say(pair.effect(Phase.COPY))
    assert pair.writers() == []
    pair.turn()
    assert pair.writers() == ["engine-1"]


def test_the_writing_passes_with_everything_that_is_held(pair: Pair) -> None:
    pair.through(Phase.WARM)
    assert pair.writers() == ["engine-1"]
    pair.through(Phase.COPY)
    assert pair.new.position == {"NQ": 2.0}
    pair.through(Phase.AGREE)
    assert pair.writers() == ["engine-1"]
    pair.through(Phase.FENCE)
    assert pair.writers() == []
    pair.through(Phase.WRITE)
    assert pair.writers() == ["engine-3"]
    assert pair.new.adopted[-1].algorithm == {"seen": pair.old.holding().algorithm["bars"] - 1}  # type: ignore[index]
    said = decode_report((pair.directory / "engine-1.json").read_bytes(), "engine-1")
    order = pair.target.read()
    assert order is not None and order.takes == said.sha256


def test_what_belongs_to_the_account_survives_and_what_belongs_to_the_version_begins_anew(
    pair: Pair,
) -> None:
    pair.to(Phase.WRITE)
    account = pair.new.account
    assert (account.peak, account.day_reference, account.version_peak) == (120.0, 99.0, 100.0)
    assert account.drawdown == pytest.approx(1 / 6)
    assert account.version_drawdown == 0


def test_a_candidate_that_is_not_warm_is_waited_for(pair: Pair) -> None:
    effect = pair.effect(Phase.WARM)
    pair.say(effect)
    pair.turn()
    assert "engine-3 has 1 of 3 bars; engine-3 has 1 of 3 decisions" in pair.say(effect)


def test_a_target_that_is_no_number_is_not_warm(pair: Pair) -> None:
    effect = pair.effect(Phase.WARM)
    pair.say(effect)
    pair.new.target = float("nan")
    for _ in range(4):
        pair.turn()
    assert "engine-3 has no target of NQ" in pair.say(effect)


def test_a_candidate_that_comes_to_another_position_is_not_let_on(pair: Pair) -> None:
    pair.through(Phase.WARM)
    effect = pair.effect(Phase.COPY)
    pair.say(effect)
    adopt = pair.new.adopt

    def halved(holding) -> None:  # type: ignore[no-untyped-def]
        adopt(holding)
        pair.new.position = {"NQ": 1.0}

    pair.new.adopt = halved  # type: ignore[method-assign]
    pair.turn()
    told = pair.say(effect)
    assert "engine-3 comes to position of NQ: 1, not 2" in told
    assert "engine-3 comes to exposure: 10, not 20" in told


def test_a_state_without_a_migration_is_not_let_on(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.candidate = Handover(tmp_path, "engine-3", "v3", pair.new, side=Side.CANDIDATE, schema=3)
    pair.through(Phase.WARM)
    effect = pair.effect(Phase.COPY)
    pair.say(effect)
    pair.turn()
    assert "there is no migration of the state from schema 1 to 2" in pair.say(effect)


@pytest.mark.parametrize(
    ("old", "new", "agrees"),
    [(2.0, 2.0, True), (2.0, 2.05, True), (2.0, 2.2, False), (2.0, float("nan"), False)],
)
def test_targets_agree_within_the_band_at_one_bar(
    old: float, new: float, agrees: bool, tmp_path: Path
) -> None:
    pair = Pair(tmp_path, Terms(band=0.1))
    pair.through(Phase.WARM)
    pair.through(Phase.COPY)
    pair.old.target, pair.new.target = old, new
    effect = pair.effect(Phase.AGREE)
    pair.say(effect)
    pair.turn()
    assert (pair.say(effect) == "") is agrees
    pair.turn(candidate=False)
    assert "targets of" in pair.say(effect) or not agrees


def test_a_position_that_is_drained_is_zero_before_anything_else_goes_on(pair: Pair) -> None:
    pair.through(Phase.WARM)
    pair.through(Phase.COPY)
    effect = pair.effect(Phase.DRAIN)
    pair.say(effect)
    pair.turn()
    assert pair.baseline.turn(pair.bar) is Role.REDUCES
    assert "engine-1 holds 2 of NQ" in pair.say(effect)
    pair.old.position = {"NQ": 0.0}
    pair.turn()
    assert pair.say(effect) == ""
    pair.through(Phase.FENCE)
    pair.through(Phase.WRITE)
    assert pair.new.position == {"NQ": 0.0}


def test_a_ramp_begins_at_the_position_and_ends_at_the_own_target(tmp_path: Path) -> None:
    pair = Pair(tmp_path, Terms(ramp_s=600.0))
    pair.through(Phase.WARM)
    pair.through(Phase.COPY)
    pair.new.target = -2.0
    pair.through(Phase.FENCE)
    pair.through(Phase.WRITE, ramps=True)
    seen = [pair.candidate.target("NQ", -2.0)]
    for number in range(11):
        if number == 4:
            pair.candidate = pair.start(Side.CANDIDATE)
        pair.turn()
        seen.append(pair.candidate.target("NQ", -2.0))
    assert seen[0] == 2.0
    assert seen[-1] == -2.0
    steps = [after - before for before, after in pairwise(seen)]
    assert all(-0.4 - 1e-9 <= step <= 0 for step in steps)


@pytest.mark.parametrize("phase", [Phase.WARM, Phase.COPY, Phase.AGREE, Phase.FENCE])
def test_a_rollback_before_the_candidate_wrote_leaves_the_baseline_its_own(
    phase: Phase, pair: Pair
) -> None:
    pair.to(phase)
    effect = pair.effect(Phase.BACK)
    pair.say(effect)
    pair.turn(candidate=False)
    assert pair.say(effect) == ""
    assert pair.writers() == ["engine-1"]
    assert pair.old.adopted == []


def test_a_rollback_after_that_brings_what_the_candidate_held_back_even_if_it_is_dead(
    pair: Pair,
) -> None:
    pair.to(Phase.WRITE)
    pair.new.position, pair.new.account = {"NQ": -1.0}, pair.new.account.at(150.0)
    pair.turn()
    effect = pair.effect(Phase.BACK)
    pair.say(effect)
    pair.turn(candidate=False)
    assert pair.say(effect) == ""
    assert pair.old.position == {"NQ": -1.0}
    assert (pair.old.account.peak, pair.old.account.version_peak) == (150.0, 150.0)
    assert pair.writers() == ["engine-1"]


def test_a_state_that_cannot_come_back_leaves_the_algorithm_its_own(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.baseline = Handover(tmp_path, "engine-1", "v1", pair.old, side=Side.BASELINE, schema=1)
    pair.to(Phase.WRITE)
    pair.new.position = {"NQ": 5.0}
    pair.turn()
    bars = pair.old.bars
    pair.through(Phase.BACK)
    assert pair.old.adopted[-1].algorithm is None
    assert pair.old.position == {"NQ": 5.0}
    assert pair.old.bars > bars


def test_what_nobody_knows_of_the_candidate_is_never_taken_for_flat(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    pair.directory.joinpath("engine-3.json").write_text("{")
    effect = pair.effect(Phase.BACK)
    pair.say(effect)
    pair.turn(candidate=False)
    assert pair.writers() == ["engine-1"], "the writing is back first of all"
    assert "nobody knows what engine-3 held; take the position from the broker" in pair.say(effect)


def test_a_baseline_that_cannot_take_over_writes_and_is_no_success(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    pair.old.broken = "adopt"
    effect = pair.effect(Phase.BACK)
    pair.say(effect)
    pair.turn()
    assert pair.writers() == ["engine-1"]
    assert "cannot take over: RuntimeError" in pair.say(effect)


def test_a_writer_that_died_takes_over_what_it_held_itself(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    pair.new.position = {"NQ": 7.0}
    pair.turn()
    pair.new.position = {"NQ": 0.0}
    pair.candidate = pair.start(Side.CANDIDATE)
    assert "engine-3" not in pair.writers()
    pair.turn()
    assert pair.new.position == {"NQ": 7.0}
    assert pair.writers() == ["engine-3"]


def test_a_new_writer_that_died_at_the_fence_takes_over_what_was_proven(pair: Pair) -> None:
    pair.to(Phase.FENCE)
    pair.new.position = {"NQ": 0.0}
    pair.candidate = pair.start(Side.CANDIDATE)
    pair.through(Phase.WRITE)
    assert pair.new.position == {"NQ": 2.0}


def test_a_writer_that_cannot_restore_itself_does_not_write(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    pair.new.broken = "adopt"
    pair.candidate = pair.start(Side.CANDIDATE)
    pair.turn()
    assert pair.writers() == []
    assert "cannot take over" in pair.candidate.trouble


def test_a_late_order_never_brings_the_candidate_back(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    granted = pair.directory.joinpath(ORDER).read_bytes()
    pair.through(Phase.BACK)
    pair.directory.joinpath(ORDER).write_bytes(granted)
    pair.turn()
    assert pair.writers() == ["engine-1"]
    assert "is older than" in pair.candidate.trouble
    pair.restart()
    pair.turn()
    assert pair.writers() == []


def test_the_target_refuses_a_late_order_and_another_store(pair: Pair) -> None:
    late = pair.effect(Phase.COPY)
    pair.through(Phase.WARM)
    with pytest.raises(EffectError, match="holds decision 2, this is 1"):
        pair.target.deliver(late)
    pair.to(Phase.WRITE)
    other = Pair(pair.directory)
    other.target._seats = other.target._seats.__class__(
        "other", "r", "engine-1", "engine-3", Terms()
    )
    other.token = 100
    with pytest.raises(EffectError, match="engine-3 writes by the word of another store"):
        other.target.deliver(other.effect(Phase.WARM))
    with pytest.raises(EffectError, match="belongs to the rollout r"):
        pair.target.__class__(
            pair.directory, pair.target._seats.__class__("s", "q", "a", "b", Terms())
        ).deliver(pair.effect(Phase.BACK))


@pytest.mark.parametrize("content", [b"", b"{", b'{"phase": "write"}', b"\xff"])
def test_by_an_order_that_cannot_be_read_the_candidate_does_not_write(
    content: bytes, pair: Pair
) -> None:
    pair.to(Phase.WRITE)
    pair.directory.joinpath(ORDER).write_bytes(content)
    pair.turn()
    assert pair.writers() == []
    assert pair.candidate.counts["order"] > 0


def test_by_an_order_that_is_gone_nobody_begins_to_write(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    pair.directory.joinpath(ORDER).unlink()
    pair.turn()
    assert pair.writers() == []
    pair.restart()
    pair.turn()
    assert pair.writers() == []


def test_a_writer_that_hangs_in_the_market_is_shut_out_when_it_ends(pair: Pair) -> None:
    pair.to(Phase.WRITE)
    effect = pair.effect(Phase.BACK)
    with pair.candidate.writing() as leave:
        assert leave is not None
        assert "holds" in pair.say(effect)
        pair.turn(candidate=False)
        with pair.directory.joinpath(LOCK).open("wb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert pair.baseline.turn(pair.bar) is Role.SHADOWS
    assert pair.writers() == []
    pair.say(effect)
    pair.turn()
    assert pair.say(effect) == ""
    assert pair.writers() == ["engine-1"]


def test_an_engine_that_raises_is_reported_and_never_raises_into_the_loop(pair: Pair) -> None:
    effect = pair.effect(Phase.WARM)
    pair.say(effect)
    pair.new.broken = "targets"
    for _ in range(4):
        pair.turn()
    assert pair.candidate.counts["targets"] == 4
    assert "engine-3: targets: RuntimeError: no targets" in pair.say(effect)


def test_a_report_that_cannot_be_written_gives_no_leave(pair: Pair) -> None:
    pair.through(Phase.WARM)
    path = pair.directory / "engine-1.json"
    path.unlink()
    path.mkdir()
    pair.turn()
    assert pair.writers() == []
    assert pair.baseline.counts["report"] > 0


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    for name in ("", "../x", "writer"):
        with pytest.raises(ValueError, match="no name of a process"):
            Handover(tmp_path, name, "v", Pair(tmp_path).old, side=Side.BASELINE)


PHASES = (Phase.WARM, Phase.COPY, Phase.AGREE, Phase.FENCE, Phase.WRITE, Phase.RETIRE)
ACTS = st.sampled_from(
    ["next", "next", "next", "back", "again", "old", "new", "both", "both", "kill old", "kill new",
     "hang old", "hang new", "corrupt"]
)  # fmt: skip


@settings(max_examples=60)
@given(acts=st.lists(ACTS, max_size=40))
def test_whatever_dies_whenever_there_are_never_two_writers_and_the_end_is_one(
    acts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = Pair(tmp_path_factory.mktemp("pair"), Terms())
    effect, done, at = pair.effect(Phase.WARM), False, 0
    written: list[tuple[int, str]] = []

    def sees() -> None:
        before = len(written)
        for process in (pair.baseline, pair.candidate):
            with process.writing() as leave:
                if leave is None:
                    continue
                lock = pair.directory.joinpath(LOCK)
                with lock.open("wb") as file, pytest.raises(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                written.append((leave.token, process.name))
        assert len(written) - before <= 1

    for act in acts:
        match act:
            case "next" if done and effect.phase in PHASES[:-1]:
                at += 1
                effect, done = pair.effect(PHASES[at]), False
            case "back" if effect.phase is not Phase.BACK:
                effect, done = pair.effect(Phase.BACK), False
            case "again" if done and effect.phase is Phase.BACK:
                pair.epoch, at = pair.epoch + 1, 0
                effect, done = pair.effect(Phase.WARM), False
            case "old" | "new" | "both":
                pair.turn(act != "new", act != "old")
            case "kill old":
                pair.baseline = pair.start(Side.BASELINE)
            case "kill new":
                pair.candidate = pair.start(Side.CANDIDATE)
            case "hang old" | "hang new":
                process = pair.baseline if act == "hang old" else pair.candidate
                with process.writing():
                    done = pair.say(effect) == "" or done
            case "corrupt" if pair.directory.joinpath(ORDER).exists() and not done:
                pair.directory.joinpath(ORDER).write_bytes(b"{")
        sees()
        done = pair.say(effect) == "" or done
        sees()
    by_token: dict[int, set[str]] = {}
    for token, name in written:
        by_token.setdefault(token, set()).add(name)
    assert all(len(names) == 1 for names in by_token.values())
    tokens = [token for token, _ in written]
    assert tokens == sorted(tokens), "nobody writes by an older order than somebody did before"
    if effect.phase is not Phase.BACK:
        effect = pair.effect(Phase.BACK)
    pair.say(effect)
    pair.bar += timedelta(minutes=1)
    pair.turn()
    pair.turn()
    pair.say(effect)
    assert pair.writers() == ["engine-1"]
