"""Settings: the environment, or for each secret a file named by NAME_FILE; read once, checked all at once.

Nothing else in the system reads the environment.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from reconciler.core.fields import COLUMNS, FIELDS, Policy

SECRETS = (
    "DATABASE_URL",
    "DATABASE_READ_URL",
    "HUBSPOT_ACCESS_TOKEN",
    "HUBSPOT_CLIENT_SECRET",
    "JWT_SECRET",
    "TOKEN_ISSUER_KEY",
)

_KEYWORDS = re.compile(r"(?:\s*\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)\s*)+")

RECEIVERS_OWN = ("/healthz", "/readyz", "/metrics")
"""Paths at which the webhook receiver takes no deliveries."""

Seconds = Annotated[float, Field(ge=0.2, le=7 * 86400)]
Port = Annotated[int, Field(ge=1, le=65535)]


class InvalidSettings(Exception):
    """Every problem with the settings, one a line, with no secret in it."""


class Database(BaseSettings):
    """What every process needs: Postgres."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: SecretStr = Field(description="Postgres, as a libpq connection string or URL")
    database_pool: int = Field(default=8, ge=1, le=100, description="connections of one process")
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("database_url", "database_read_url", check_fields=False)
    @classmethod
    def _connectable(cls, secret: SecretStr | None) -> SecretStr | None:
        # libpq's own complaint would quote the text, password and all.
        if secret is not None and not _is_connection_string(secret.get_secret_value()):
            raise ValueError("a libpq connection string or a postgresql:// URL")
        return secret

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone: it knows which secrets stand in files."""
        return (init_settings,)


class Sync(Database):
    """What a process needs that talks to HubSpot."""

    hubspot_access_token: SecretStr = Field(description="bearer token: private app, service key or project app")
    hubspot_base_url: HttpUrl = Field(default=HttpUrl("https://api.hubapi.com"))
    hubspot_rate_per_10s: int = Field(default=100, ge=1, le=10_000, description="calls in any 10 s")
    hubspot_search_per_second: int = Field(default=5, ge=1, le=100)
    hubspot_daily_limit: int = Field(default=250_000, ge=1)
    hubspot_threads: int = Field(
        default=24, ge=1, le=32, description="calls a process has under way: rate times latency"
    )
    poll_interval: Seconds = 30
    poll_overlap: Seconds = 120
    poll_second_look: Seconds = 3600
    sweep_interval: Seconds = 86400
    drain_interval: Seconds = 1
    sync_deletes: Literal["both", "inbound", "outbound", "none"] = "both"
    sync_policies: dict[str, Policy] = Field(
        default={}, description="who wins a conflict, as column=policy pairs: phone=hubspot,company=manual"
    )
    tombstone_file: Path | None = Field(default=None, description="append-only copy of what was erased")

    @field_validator("sync_policies", mode="before")
    @classmethod
    def _pairs(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        pairs = [part.strip().split("=", 1) for part in text.split(",")]
        if any(len(pair) != 2 or pair[0] not in COLUMNS for pair in pairs):
            raise ValueError("column=policy pairs of mapped columns, separated by commas")
        return dict(pairs)

    @property
    def policies(self) -> dict[str, Policy]:
        """Who wins a conflict, for every column."""
        return {field.column: self.sync_policies.get(field.column, field.policy) for field in FIELDS}


class Api(Sync):
    """What the API needs."""

    database_read_url: SecretStr | None = Field(default=None, description="a replica that GET reads from")
    jwt_secret: SecretStr = Field(description="HS256 key, at least 32 bytes")
    token_issuer_key: SecretStr | None = Field(default=None, description="unset: /get-token is closed")
    open_token_issuer: bool = Field(default=False, description="dev only: /get-token asks for no key, on loopback")
    api_host: str = "127.0.0.1"
    api_port: Port = 8080
    api_processes: int = Field(default=1, ge=1, le=64)
    api_threads: int = Field(default=8, ge=1, le=256)

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if len(secret.get_secret_value().encode()) < 32:
            raise ValueError("at least 32 bytes")
        if secret.get_secret_value().lstrip().startswith(("-----BEGIN", "ssh-")):
            raise ValueError("a secret of your own, not a public or private key")
        return secret


class Webhook(Sync):
    """What the webhook receiver needs."""

    hubspot_client_secret: SecretStr = Field(description="the app's secret; two, comma-separated, while rotating")
    hubspot_webhook_url: str = Field(
        description="the public target URL exactly as HubSpot calls it; deliveries are taken at its path"
    )
    hubspot_app_id: int | None = Field(default=None, description="events of other apps are ignored")
    webhook_host: str = "127.0.0.1"
    webhook_port: Port = 8081
    webhook_processes: int = Field(default=1, ge=1, le=64)
    webhook_threads: int = Field(default=8, ge=1, le=256)

    @field_validator("hubspot_client_secret")
    @classmethod
    def _not_empty(cls, secret: SecretStr) -> SecretStr:
        if not all(part.strip() for part in secret.get_secret_value().split(",")):
            raise ValueError("one secret, or two separated by a comma")
        return secret

    @field_validator("hubspot_webhook_url")
    @classmethod
    def _url(cls, url: str) -> str:
        # Kept as it is: HubSpot signs the very text.
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("an http or https URL")
        if (path := unquote(urlsplit(url).path)) in RECEIVERS_OWN:
            raise ValueError(f"its path {path} is the receiver's own")
        return url

    @property
    def client_secrets(self) -> tuple[bytes, ...]:
        """The secrets that a signature may be made with."""
        return tuple(part.strip().encode() for part in self.hubspot_client_secret.get_secret_value().split(","))


Model = TypeVar("Model", bound=Database)


def _is_connection_string(text: str) -> bool:
    if not text.startswith(("postgresql://", "postgres://")):
        return bool(_KEYWORDS.fullmatch(text))
    try:
        # Reading the port is what checks it.
        return urlsplit(text).port is None or True
    except ValueError:
        return False


def load(model: type[Model], environment: Mapping[str, str] = os.environ) -> Model:
    """Return the settings of a process; raise `InvalidSettings` with every problem at once."""
    values, problems = _with_files(environment)
    known: dict[str, Any] = {n.lower(): value for n, value in values.items() if n.lower() in model.model_fields}
    try:
        settings = model(**known)
    except ValidationError as error:
        problems += [_problem(each) for each in error.errors(include_input=False, include_url=False)]
        raise InvalidSettings("\n".join(problems)) from None
    if problems:
        raise InvalidSettings("\n".join(problems))
    return settings


def _problem(error: Any) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    text = "is missing" if error["type"] == "missing" else str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {text}"


def _with_files(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment with secrets read from the files that NAME_FILE names; an empty value is no value."""
    values = {name: value for name, value in environment.items() if value.strip()}
    problems = []
    for name in SECRETS:
        path = values.get(f"{name}_FILE")
        if path is None:
            continue
        if name in values:
            problems.append(f"{name}: set it or {name}_FILE, not both")
        try:
            values[name] = Path(path).read_text().strip()
        except (OSError, ValueError) as error:
            problems.append(f"{name}_FILE: cannot be read ({type(error).__name__})")
    return values, problems


def secret_source(name: str, value: SecretStr, environment: Mapping[str, str] = os.environ) -> "Source":
    """Return where to ask for a secret: its file each time, so that a replaced one is seen, else the value."""
    path = environment.get(f"{name}_FILE", "").strip()
    return Source(Path(path) if path else None, value.get_secret_value())


class Source:
    """A secret that may be replaced while the process runs."""

    def __init__(self, path: Path | None, value: str) -> None:
        self._path, self._value = path, value

    def __call__(self) -> str:
        if self._path is not None:
            try:
                self._value = self._path.read_text().strip() or self._value
            except (OSError, ValueError):
                return self._value
        return self._value
