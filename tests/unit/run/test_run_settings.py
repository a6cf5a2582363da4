"""Settings: flags, environment, `.env`, file, defaults; each with where it came from."""

from datetime import timedelta
from pathlib import Path

import pytest

from controller.run.settings import SettingsError, describe, read_settings, without_password


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LISTEN", "WORKERS", "LEASE", "LOG_LEVEL", "DATABASE", "OWNER"):
        monkeypatch.delenv(f"ROLLOUT_{name}", raising=False)
    return tmp_path


def origins(**flags: object) -> dict[str, tuple[str, str]]:
    return {item.name: (item.value, item.origin) for item in describe(flags)}


def test_everything_has_a_default() -> None:
    settings = read_settings()
    assert settings.store == ".rollout/rollout.db"
    assert settings.policies == Path("policies")
    assert settings.resolution == timedelta(seconds=1)
    assert {origin for _, origin in origins().values()} == {"default"}


def test_the_store_is_in_the_state_directory_unless_it_is_named() -> None:
    assert read_settings({"state_dir": Path("here")}).store == "here/rollout.db"
    assert read_settings({"database": "there.db"}).store == "there.db"


def test_flags_win_over_the_environment_over_dotenv_over_the_file(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_place.joinpath("rollout.toml").write_text(
        'lease = "1m"\nworkers = 1\nresolution = "2s"\nlog_level = "error"\n'
    )
    empty_place.joinpath(".env").write_text("ROLLOUT_WORKERS=2\nROLLOUT_LOG_LEVEL=warning\n")
    monkeypatch.setenv("ROLLOUT_LOG_LEVEL", "debug")
    monkeypatch.setenv("ROLLOUT_RESOLUTION", "3s")
    found = origins(resolution="4s", workers=None)
    assert found["lease"] == ("60s", "lease in rollout.toml")
    assert found["workers"] == ("2", "ROLLOUT_WORKERS in .env")
    assert found["log_level"] == ("debug", "ROLLOUT_LOG_LEVEL")
    assert found["resolution"] == ("4s", "flag --resolution")


def test_what_others_keep_in_dotenv_is_left_alone(empty_place: Path) -> None:
    empty_place.joinpath(".env").write_text("PROMETHEUS_URL=http://localhost\n")
    assert read_settings().workers == 4


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rollout.toml", "workrs = 3\n", "workrs in rollout.toml: no setting 'workrs'"),
        ("rollout.toml", "workers = 0\n", "workers in rollout.toml: Input should be greater"),
        ("rollout.toml", "workers = [\n", "rollout.toml: "),
        (".env", "ROLLOUT_WORKRS=3\n", "ROLLOUT_WORKRS in .env: no setting 'workrs'"),
        (".env", "ROLLOUT_LEASE=soon\n", "ROLLOUT_LEASE in .env: 'soon' is not a dur"),
    ],
)
def test_a_wrong_setting_says_where_it_stands(
    empty_place: Path, name: str, text: str, words: str
) -> None:
    empty_place.joinpath(name).write_text(text)
    with pytest.raises(SettingsError) as found:
        read_settings()
    assert words in str(found.value)


def test_no_password_is_shown() -> None:
    url = "postgresql://desk:hunter2@db.example/rollouts"
    assert without_password(url) == "postgresql://desk:***@db.example/rollouts"
    assert without_password("sqlite:///here.db") == "sqlite:///here.db"
    assert origins(database=url)["database"][0] == without_password(url)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (None, ("127.0.0.1", 8787)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:8787", ("::1", 8787)),
        ("off", None),
    ],
)
def test_it_listens_on_this_machine_or_not_at_all(
    listen: str | None, address: tuple[str, int] | None
) -> None:
    assert read_settings({"listen": listen}).address == address


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("0.0.0.0:8787", "no tokens"),
        ("[::]:8787", "no tokens"),
        ("192.0.2.7:8787", "no tokens"),
        ("desk.example:8787", "in numbers"),
        ("8787", "an address and a port"),
        ("127.0.0.1", "an address and a port"),
        ("127.0.0.1:65536", "an address and a port"),
        ("127.0.0.1:\u0663", "an address and a port"),
        ("", "an address and a port"),
    ],
)
def test_an_address_that_cannot_be_says_what_can(listen: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings({"listen": listen})
