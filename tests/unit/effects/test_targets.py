"""Targets: acknowledged means read back; a late message changes nothing; a repeat is harmless."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.plans import POLICY

from controller.core.effect import Activate, Alert, Effect, SetShare, Severity, Verify, VerifyActive
from controller.core.share import Share
from controller.effects import open_targets, routing
from controller.effects.alerts import AlertLog
from controller.effects.base import EffectError
from controller.effects.config import ConfigFile, Versions
from controller.effects.file import FLAGD, Origin, ShareFile
from controller.policy.load import load_text
from controller.traffic.published import Pins, Routing


def origin(rollout: str = "signal", store: str = "home") -> Origin:
    return Origin(rollout, "v1", "v3", Routing("signal"), store)


HOME = origin()


def share(token: int, units: int = 5000) -> SetShare:
    return SetShare(f"r/{token}/0", "share", Share(units), False, 1, token)


@pytest.fixture
def published(tmp_path: Path) -> ShareFile:
    return ShareFile(tmp_path / "live" / "share.json", HOME)


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    (tmp_path / "v1.json").write_bytes(b'{"old": 1}\r\n')
    (tmp_path / "v3.json").write_bytes(b'{"new": 3}')
    versions = {"v1": tmp_path / "v1.json", "v3": tmp_path / "v3.json"}
    return ConfigFile(tmp_path / "live.json", Versions(versions, "v1", "v3"), "signal", "home")


def activate(version: str, token: int) -> Activate:
    return Activate(f"r/{token}/1", "config", version, 1, token)


def test_a_published_share_is_what_a_reader_of_the_file_finds(published: ShareFile) -> None:
    assert published.deliver(share(7)) == "share 5% read back"
    found = json.loads(published.path.read_text())
    assert (found["share"], found["percent"], found["token"]) == (5000, "5%", 7)
    assert (found["baseline"], found["candidate"]) == ("v1", "v3")


def test_a_late_message_never_brings_the_candidate_back(published: ShareFile) -> None:
    published.deliver(share(9, 0))
    with pytest.raises(EffectError, match=r"holds decision 9, this is 8; .*restored"):
        published.deliver(share(8, 50_000))
    assert json.loads(published.path.read_text())["share"] == 0


def test_a_store_restored_from_a_backup_can_always_go_back(published: ShareFile) -> None:
    """Its tokens are lower than the one in the file, and its rollback must not wait for that."""
    published.deliver(share(40, 50_000))
    assert published.deliver(share(31, 0)) == "share 0% read back"
    assert published.deliver(Verify("r/32/0", "share", Share(0))) == "share 0% read back"


def test_two_stores_do_not_take_the_work_from_each_other(published: ShareFile) -> None:
    published.deliver(share(7))
    other = ShareFile(published.path, origin(store="elsewhere"))
    with pytest.raises(EffectError, match=r"share 5% .* another store \(home\); roll back there"):
        other.deliver(share(99, 1000))
    with pytest.raises(EffectError, match="another store"):
        other.deliver(SetShare("r/99/0", "share", Share(0), True, 1, 99))
    assert other.deliver(share(2, 0)) == "share 0% read back"
    with pytest.raises(EffectError, match="published from store elsewhere, not from this"):
        published.deliver(Verify("r/9/0", "share", Share(0)))
    assert published.deliver(share(8)) == "share 5% read back"


def test_the_same_effect_again_changes_nothing(published: ShareFile) -> None:
    published.deliver(share(7))
    before = published.path.stat().st_mtime_ns
    assert published.deliver(share(7)) == "share 5% read back"
    assert published.path.stat().st_mtime_ns == before


def test_a_damaged_share_file_is_replaced(published: ShareFile) -> None:
    published.deliver(share(7))
    published.path.write_text("{half")
    assert published.deliver(share(8, 0)) == "share 0% read back"


def test_a_file_of_another_rollout_is_left_alone(published: ShareFile) -> None:
    published.deliver(share(7))
    other = ShareFile(published.path, origin(rollout="another"))
    with pytest.raises(EffectError, match="belongs to the rollout signal"):
        other.deliver(share(99))


@pytest.mark.parametrize(("there", "said"), [(5000, "share 5%, not 0%"), (None, "no published")])
def test_verified_is_only_what_is_read_back(
    published: ShareFile, there: int | None, said: str
) -> None:
    if there is not None:
        published.deliver(share(7, there))
    with pytest.raises(EffectError, match=said):
        published.deliver(Verify("r/9/0", "share", Share(0)))
    published.deliver(SetShare("r/8/0", "share", Share(0), True, 1, 8))
    with pytest.raises(EffectError, match="share 0% and the candidate mirrored, not 0%"):
        published.deliver(Verify("r/9/0", "share", Share(0)))
    published.deliver(share(8, 0))
    assert published.deliver(Verify("r/9/0", "share", Share(0))) == "share 0% read back"


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = ShareFile(tmp_path / "file" / "share.json", HOME)
    with pytest.raises(EffectError, match=r"share\.json"):
        target.deliver(share(1))


def test_the_effective_configuration_is_the_versions_file_byte_for_byte(
    config: ConfigFile, tmp_path: Path
) -> None:
    said = config.deliver(activate("v3", 5))
    assert config.path.read_bytes() == (tmp_path / "v3.json").read_bytes()
    assert said.startswith("configuration of v3 read back")
    config.deliver(activate("v1", 6))
    assert config.path.read_bytes() == (tmp_path / "v1.json").read_bytes()


def test_a_late_activation_of_the_candidate_changes_nothing(config: ConfigFile) -> None:
    config.deliver(activate("v1", 6))
    with pytest.raises(EffectError, match=r"holds decision 6, this is 5; .*\.live\.json\.applied"):
        config.deliver(activate("v3", 5))
    assert config.path.read_bytes() == b'{"old": 1}\r\n'


def test_the_baselines_configuration_gets_through_whatever_was_noted(config: ConfigFile) -> None:
    config.deliver(activate("v3", 40))
    config._note.write_text("{half")
    config.deliver(activate("v1", 6))
    assert config.path.read_bytes() == b'{"old": 1}\r\n'


@pytest.mark.parametrize(("rollout", "store"), [("signal", "elsewhere"), ("another", "home")])
def test_the_candidate_of_somebody_else_is_not_overwritten_by_ours(
    config: ConfigFile, rollout: str, store: str
) -> None:
    other = ConfigFile(config.path, config._versions, rollout, store)
    other.deliver(activate("v3", 40))
    with pytest.raises(EffectError, match=f"v3 was put there by {rollout} of store {store}"):
        config.deliver(activate("v3", 5))
    other.deliver(activate("v1", 41))
    config.deliver(activate("v3", 5))
    assert config.path.read_bytes() == b'{"new": 3}'


def test_a_configuration_is_verified_by_its_note_and_its_bytes(config: ConfigFile) -> None:
    verify = VerifyActive("r/9/1", "config", "v1")
    with pytest.raises(EffectError, match="nothing was put there"):
        config.deliver(verify)
    config.deliver(activate("v3", 5))
    with pytest.raises(EffectError, match="v3 of signal was put there, not v1"):
        config.deliver(verify)
    config.deliver(activate("v1", 6))
    assert config.deliver(verify).startswith("configuration of v1 read back")
    config.path.write_bytes(b'{"new": 3}')
    with pytest.raises(EffectError, match="somebody else has written it"):
        config.deliver(verify)
    config.path.unlink()
    with pytest.raises(EffectError, match="no file"):
        config.deliver(verify)


def test_a_configuration_that_somebody_edited_is_put_right_when_delivered_again(
    config: ConfigFile,
) -> None:
    config.deliver(activate("v3", 5))
    config.path.write_text("edited")
    config.deliver(activate("v3", 5))
    assert config.path.read_bytes() == b'{"new": 3}'


def test_a_version_whose_file_is_gone_is_an_error(config: ConfigFile, tmp_path: Path) -> None:
    (tmp_path / "v3.json").unlink()
    with pytest.raises(EffectError, match="No such file"):
        config.deliver(activate("v3", 5))


def test_an_alert_is_one_line_and_the_same_alert_none(tmp_path: Path) -> None:
    log = AlertLog(tmp_path / "alerts.jsonl")
    alert = Alert("r/1/0", Severity.HIGH, "rollback", "back to v1", ("loss",))
    assert [log.deliver(alert), log.deliver(alert)] == ["told", "told before"]
    log.deliver(Alert("r/1/01", Severity.LOW, "stage", 'quotes " and\nlines'))
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [line["key"] for line in lines] == ["r/1/0", "r/1/01"]
    assert lines[0]["severity"] == "high"


def test_a_line_torn_by_a_crash_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = AlertLog(tmp_path / "alerts.jsonl")
    log.path.write_bytes(b'{"key":"r/1/0","sev')
    log.deliver(Alert("r/2/0", Severity.LOW, "stage", "on"))
    assert json.loads(log.path.read_text().splitlines()[1])["key"] == "r/2/0"


@pytest.mark.parametrize(
    ("make", "effect"),
    [
        (lambda p: ShareFile(p, HOME), activate("v1", 1)),
        (lambda p: ConfigFile(p, Versions({}, "a", "b"), "r", "home"), share(1)),
        (AlertLog, share(1)),
    ],
)
def test_an_effect_for_somebody_else_is_refused(
    tmp_path: Path, make: Callable[[Path], ShareFile], effect: Effect
) -> None:
    with pytest.raises(EffectError, match="takes no"):
        make(tmp_path / "x").deliver(effect)


ROUTED = (
    POLICY
    + """
publish:
  router: {type: file, path: share.json}
  flags: {type: flagd, path: flags.json}
routing:
  layer: nq
  max_age: 10m
  pin: {baseline: {account: [A1]}, candidate: {key: [book-7]}}
"""
)


@pytest.fixture
def flag(tmp_path: Path) -> ShareFile:
    return ShareFile(tmp_path / "flags.json", HOME, FLAGD)


def test_a_flag_file_has_the_same_fences_and_is_read_back_too(flag: ShareFile) -> None:
    assert flag.deliver(share(7)) == "share 5% read back"
    with pytest.raises(EffectError, match="holds decision 7, this is 6"):
        flag.deliver(share(6, 50_000))
    other = ShareFile(flag.path, origin(store="elsewhere"), FLAGD)
    with pytest.raises(EffectError, match="another store"):
        other.deliver(share(99))
    with pytest.raises(EffectError, match="share 5%, not 0%"):
        flag.deliver(Verify("r/9/0", "share", Share(0)))
    flag.deliver(share(8, 0))
    assert flag.deliver(Verify("r/9/0", "share", Share(0))) == "share 0% read back"


def test_a_flag_that_somebody_edited_is_not_verified_and_is_put_right(flag: ShareFile) -> None:
    flag.deliver(share(8, 0))
    flag.path.write_text(
        flag.path.read_text().replace(
            '"defaultVariant": "baseline"', '"defaultVariant": "candidate"'
        )
    )
    with pytest.raises(EffectError, match="changed by somebody else"):
        flag.deliver(Verify("r/9/0", "share", Share(0)))
    flag.deliver(share(8, 0))
    assert flag.deliver(Verify("r/9/0", "share", Share(0))) == "share 0% read back"


def test_what_a_policy_says_of_routing_is_published_with_the_share(tmp_path: Path) -> None:
    policy = load_text(ROUTED, tmp_path / "p.yaml", {}).policy
    assert policy is not None
    targets = open_targets(policy, tmp_path, tmp_path / "state", "home")
    assert sorted(targets) == ["alerts", "flags", "router"]
    for name in ("router", "flags"):
        targets[name].deliver(share(7))
        target = targets[name]
        assert isinstance(target, ShareFile)
        found = target.read()
        assert found is not None
        assert (found.layer, found.max_age_s) == ("nq", 600)
        assert found.pins == Pins({"account": ("A1",)}, {"key": ("book-7",)})


def test_without_a_layer_a_rollout_is_one_of_its_own(tmp_path: Path) -> None:
    policy = load_text(POLICY, tmp_path / "p.yaml", {}).policy
    assert policy is not None
    assert routing(policy) == Routing("signal")


def test_a_sign_of_life_changes_nothing_but_the_time_of_our_own_file(
    published: ShareFile, flag: ShareFile
) -> None:
    published.renew(1)
    assert not published.path.exists()
    for target in (published, flag):
        target.deliver(share(7))
        os.utime(target.path, (1000, 1000))
        content = target.path.read_bytes()
        ShareFile(target.path, origin(store="elsewhere"), target._form).renew(1)
        target.renew(2)
        assert target.path.stat().st_mtime == 1000
        target.renew(1)
        assert target.path.read_bytes() == content
    assert published.path.stat().st_mtime > 1000
    assert flag.path.stat().st_mtime == 1000


def test_a_damaged_file_is_not_renewed(published: ShareFile) -> None:
    published.deliver(share(7))
    published.path.write_text("{half")
    with pytest.raises(EffectError, match="not a published share"):
        published.renew(1)


def test_a_policy_that_publishes_nothing_has_a_share_file_in_the_state_directory(
    tmp_path: Path,
) -> None:
    policy = load_text(POLICY, tmp_path / "p.yaml", {}).policy
    assert policy is not None
    targets = open_targets(policy, tmp_path, tmp_path / "state", "home")
    assert sorted(targets) == ["alerts", "share"]
    targets["share"].deliver(share(1))
    assert (tmp_path / "state" / "shares" / "signal.json").exists()


def test_targets_have_the_names_and_places_of_the_policy(tmp_path: Path) -> None:
    text = POLICY.replace("baseline: v1", "baseline: {version: v1, config: a.json}").replace(
        "candidate: v3", "candidate: {version: v3, config: b.json}"
    )
    text += (
        "publish: {router: {type: file, path: live/s.json}, settings: {type: config, path: c}}\n"
    )
    policy = load_text(text, tmp_path / "p.yaml", {}).policy
    assert policy is not None
    targets = open_targets(policy, tmp_path, tmp_path / "state", "home")
    assert sorted(targets) == ["alerts", "router", "settings"]
    (tmp_path / "b.json").write_text("b")
    targets["settings"].deliver(activate("v3", 1))
    assert (tmp_path / "c").read_text() == "b"
