"""Settings of the program: flags, then environment, then `.env`, then `rollout.toml`, then these
defaults. Imported when a command needs them, for pydantic-settings is not light.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from controller.policy.values import parse_duration

PREFIX = "ROLLOUT_"
BY = f"{PREFIX}BY"
"""The variable that says who acts, where a command does not."""
DOTENV = ".env"
FILE = "rollout.toml"
OFF = "off"
LAST_PORT = 65_535
IPV6 = 6


class SettingsError(Exception):
    """Settings that cannot be read or make no sense; each is a line of the message."""


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def parse_listen(value: object) -> str:
    """`127.0.0.1:8787`, `[::1]:8787`, or `off`. Raises ValueError with the remedy."""
    text = str(value).strip()
    if text == OFF:
        return OFF
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > LAST_PORT:
        raise ValueError("write an address and a port, like 127.0.0.1:8787, or off")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError("write the address in numbers, like 127.0.0.1:8787, or off") from None
    if not address.is_loopback:
        raise ValueError(
            "anybody who can reach that address could push observations, for there are no tokens "
            "yet; listen on 127.0.0.1 or [::1], and let others in through a tunnel or a proxy that "
            "knows them"
        )
    return f"[{host}]:{port}" if address.version == IPV6 else f"{host}:{port}"


Listen = Annotated[str, BeforeValidator(parse_listen)]


class _DotEnv(DotEnvSettingsSource):
    """`.env` without what is there for others (the variables that policies name)."""

    def __call__(self) -> dict[str, Any]:
        own = {name.lower() for name in self.env_vars if name.lower().startswith(PREFIX.lower())}
        return {
            name: value
            for name, value in super().__call__().items()
            if name.lower() in own or f"{PREFIX}{name}".lower() in own
        }


class Settings(BaseSettings):
    """What the controller needs to know of the machine it runs on."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=DOTENV, toml_file=FILE, extra="forbid", frozen=True
    )

    state_dir: Path = Field(
        default=Path(".rollout"), description="Directory of everything that is kept"
    )
    database: str = Field(
        default="", description="Path or URL of the store; by default rollout.db in state_dir"
    )
    policies: Path = Field(default=Path("policies"), description="Directory of the policy files")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    resolution: Duration = Field(
        default=timedelta(seconds=1),
        ge=timedelta(milliseconds=10),
        le=timedelta(minutes=1),
        description="How often the controller looks for what is due",
    )
    lease: Duration = Field(
        default=timedelta(seconds=15),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="How long a controller that died keeps its rollouts from another",
    )
    workers: int = Field(
        default=4, ge=1, le=64, description="Slow sources and targets served at the same time"
    )
    listen: Listen = Field(
        default="127.0.0.1:8787",
        description="Address and port at which observations are taken; `off` for none",
    )
    owner: str = Field(
        default="", description="Name of this controller; by default host and process"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over files."""
        del dotenv_settings, file_secret_settings
        file = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, _DotEnv(settings_cls), file

    @property
    def store(self) -> str:
        """Where the store is."""
        return self.database or str(self.state_dir / "rollout.db")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port at which it listens; None: it does not."""
        if self.listen == OFF:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def store_is_there(self) -> bool:
        """Whether it need not be made first, as far as one can tell without opening it."""
        return "://" in self.store or Path(self.store).exists()

    @property
    def name(self) -> str:
        """Who this controller is."""
        return self.owner or f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting: its value as text, and where it was set."""

    name: str
    value: str
    origin: str
    description: str


def read_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings that hold now; flags that are None were not given. Raises SettingsError."""
    try:
        return Settings(**_given(flags))
    except ValidationError as error:
        found = origins_by_name(flags)
        lines = [_line(item, found) for item in error.errors()]
        raise SettingsError("\n".join(lines)) from error
    except (ValueError, OSError) as error:
        raise SettingsError(f"{FILE}: {error}") from error


def describe(flags: Mapping[str, Any] | None = None) -> list[Origin]:
    """Every setting with its value and origin. Raises SettingsError."""
    settings = read_settings(flags)
    found = origins_by_name(flags)
    shown = {"database": without_password(settings.store), "owner": settings.name}
    return [
        Origin(
            name=name,
            value=shown.get(name) or _text(getattr(settings, name)),
            origin=found.get(name, "default"),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def origins_by_name(flags: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Where each setting that is not at its default was set."""
    places: list[tuple[str, Mapping[str, Any]]] = [
        (FILE, TomlConfigSettingsSource(Settings)()),
        (DOTENV, _DotEnv(Settings)()),
        ("environment", EnvSettingsSource(Settings)()),
        ("flag", _given(flags)),
    ]
    found: dict[str, str] = {}
    for place, values in places:
        for name in values:
            known = name.lower().removeprefix(PREFIX.lower())
            found[known] = _place(place, known)
    return found


def without_password(url: str) -> str:
    """A database URL that can be shown."""
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not separator or not at:
        return url
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}:***@{host}"


def _given(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (flags or {}).items() if value is not None}


def _place(place: str, name: str) -> str:
    match place:
        case "flag":
            return f"flag --{name.replace('_', '-')}"
        case "environment" | ".env":
            variable = f"{PREFIX}{name.upper()}"
            return variable if place == "environment" else f"{variable} in {DOTENV}"
        case _:
            return f"{name} in {FILE}"


def _line(error: Any, found: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in error["loc"]).lower().removeprefix(PREFIX.lower())
    where = found.get(name, name)
    if error["type"] == "extra_forbidden":
        return f"{where}: no setting {name!r}; there are: {', '.join(Settings.model_fields)}"
    words = str(error["msg"]).removeprefix("Value error, ")
    shown = "" if repr(error["input"]) in words else f", got {error['input']!r}"
    return f"{where}: {words}{shown}"


def strays(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {BY}
    return sorted(
        name for name in environment if name.startswith(PREFIX) and name.upper() not in known
    )


def _text(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return str(value)
