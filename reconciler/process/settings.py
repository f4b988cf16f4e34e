"""Settings: the environment, or for each secret a file named by NAME_FILE; read once, checked all at once.

Nothing else in the system reads the environment. What looks like a setting and is none is a problem, too: nobody
misses a setting that was never taken.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from reconciler.adapters.gateway.way import Way, proxy_url, trust, way_to
from reconciler.core.brake import LIMITS, Danger, Limit, Limits
from reconciler.core.fields import Fields, Policy
from reconciler.mapping.file import MappingFile
from reconciler.mapping.problems import MappingRefused
from reconciler.mapping.reading import fields_of
from reconciler.mapping.reading import load as load_mapping
from reconciler.process.secret_values import ClientSecrets, Dsn, SigningSecrets, Source, Token, read

BORROWED = {"HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}
"""Other programs' settings, whose names are like yet others of theirs (HTTP_PROXY)."""

SECRETS = (
    "DATABASE_URL",
    "DATABASE_READ_URL",
    "HUBSPOT_ACCESS_TOKEN",
    "HUBSPOT_CLIENT_SECRET",
    "JWT_SECRET",
    "TOKEN_ISSUER_KEY",
)

ALIKE = 0.9
"""How much a name must be like one of ours to be a slip: more than the names of others are (DATABASE_USER: 0.88)."""

_LIMIT = re.compile(r"([0-9]{1,9})(?:,([0-9]{1,3})%(?:,([0-9]{1,9})(?:,([0-9]{1,9}))?)?)?")

RECEIVERS_OWN = ("/livez", "/healthz", "/readyz", "/metrics")
"""Paths at which the webhook receiver takes no deliveries."""

Seconds = Annotated[float, Field(ge=0.2, le=7 * 86400)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _believable(bundle: Path) -> Path:
    try:
        trust(bundle)
    except OSError:
        raise ValueError("no certificates can be read there") from None
    return bundle


Bundle = Annotated[Path, AfterValidator(_believable)]


class InvalidSettings(Exception):
    """Every problem with the settings, one a line, with no secret in it."""


class Database(BaseSettings):
    """What every process needs: Postgres."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: Dsn = Field(description="Postgres, as a libpq connection string or URL")
    database_pool: int = Field(default=8, ge=1, le=100, description="connections of one process")
    mapping_file: Path | None = Field(default=None, description="which table, rows, columns and properties; see docs")
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("mapping_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                load_mapping(str(path))
            except MappingRefused as error:
                raise ValueError(str(error)) from error
        return path

    @cached_property
    def mapping(self) -> MappingFile:
        """The mapping file, or the one that ships with the package."""
        return load_mapping(None if self.mapping_file is None else str(self.mapping_file))

    @property
    def own_table(self) -> MappingFile | None:
        """The mapping of a table of the owner's; None for the table that schema.sql makes."""
        return None if self.mapping_file is None else self.mapping

    @property
    def digest(self) -> str | None:
        """What tells the mapping of an owner's table from others; None for the table that schema.sql makes."""
        return None if self.own_table is None else self.own_table.digest

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

    hubspot_access_token: Token = Field(description="bearer token: private app, service key or project app")
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
        default={}, description="who wins a conflict, as field=policy pairs: phone=hubspot,company=manual"
    )
    sync_first_link: Policy = Field(
        default=Policy.NEWEST, description="who wins where a customer and a contact meet for the first time"
    )
    tombstone_file: Path | None = Field(default=None, description="append-only copy of what was erased")
    https_proxy: SecretStr | None = Field(default=None, description="the proxy to HubSpot, maybe with a password")
    no_proxy: str = Field(default="", description="hosts that need no proxy: names, suffixes, or *")
    hubspot_ca_bundle: Bundle | None = Field(default=None, description="whose certificates are believed of HubSpot")
    requests_ca_bundle: Bundle | None = Field(default=None, description="the same, as other programs call it")
    ssl_cert_file: Bundle | None = Field(default=None, description="the same, as OpenSSL calls it")

    brake_delete: Limit = Field(default=LIMITS[Danger.DELETE], description="number[,share%[,ceiling[,cap a day]]]")
    brake_blank: Limit = LIMITS[Danger.BLANK]
    brake_create: Limit = LIMITS[Danger.CREATE]
    brake_rewrite: Limit = LIMITS[Danger.REWRITE]
    brake_missing: Limit = LIMITS[Danger.MISSING]

    @field_validator("hubspot_base_url")
    @classmethod
    def _without_credentials(cls, url: HttpUrl) -> HttpUrl:
        # It is shown as it is.
        if url.username is not None or url.password is not None:
            raise ValueError("a URL without a user and password")
        return url

    @field_validator("https_proxy")
    @classmethod
    def _proxy(cls, secret: SecretStr | None) -> SecretStr | None:
        return None if secret is None else SecretStr(proxy_url(secret.get_secret_value()))

    @field_validator("brake_delete", "brake_blank", "brake_create", "brake_rewrite", "brake_missing", mode="before")
    @classmethod
    def _limit(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        found = _LIMIT.fullmatch(text.replace(" ", ""))
        if found is None:
            raise ValueError("number[,share%[,ceiling[,cap a day]]], such as 100,10%,1000")
        number, share, ceiling, daily = (None if part is None else int(part) for part in found.groups())
        return Limit(number=number or 0, share=(share or 0) / 100, ceiling=ceiling, daily=daily)

    @property
    def brake(self) -> Limits:
        """What may pass the brake in an hour, by kind."""
        return {kind: getattr(self, f"brake_{kind}") for kind in Danger}

    @field_validator("sync_policies", mode="before")
    @classmethod
    def _pairs(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        pairs = [part.strip().split("=", 1) for part in text.split(",")]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("field=policy pairs of mapped fields, separated by commas")
        return dict(pairs)

    @property
    def way(self) -> Way:
        """How HubSpot is reached."""
        proxy = None if self.https_proxy is None else self.https_proxy.get_secret_value()
        bundle = self.hubspot_ca_bundle or self.requests_ca_bundle or self.ssl_cert_file
        return way_to(str(self.hubspot_base_url), proxy=proxy, exempt=self.no_proxy, bundle=bundle)

    @model_validator(mode="after")
    def _of_mapped_fields(self) -> Self:
        mapped = self.mapping.mapped
        if any(name not in mapped for name in self.sync_policies):
            raise ValueError("SYNC_POLICIES: field=policy pairs of mapped fields, separated by commas")
        if twice := sorted(name for name in self.sync_policies if mapped[name].policy is not None):
            raise ValueError(f"SYNC_POLICIES: the mapping file has a policy for {', '.join(twice)}: set one of them")
        return self

    @property
    def takes_deletes(self) -> bool:
        """Whether a contact's end ends its customer."""
        return self.mapping.table.deleted != "never" and self.sync_deletes in ("both", "inbound")

    @property
    def sends_deletes(self) -> bool:
        """Whether a customer's end ends its contact."""
        return self.mapping.table.deleted != "never" and self.sync_deletes in ("both", "outbound")

    @cached_property
    def fields(self) -> Fields:
        """The mapped fields, with who wins a conflict."""
        return fields_of(self.mapping).with_policies(self.sync_policies)


class Look(Sync):
    """What a look at a mapping needs: its file is what is looked at, and may be wrong."""

    @field_validator("mapping_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        return path

    @model_validator(mode="after")
    def _of_mapped_fields(self) -> Self:
        return self


class Api(Sync):
    """What the API needs."""

    database_read_url: Dsn | None = Field(default=None, description="a replica that GET reads from")
    jwt_secret: SigningSecrets = Field(
        description="HS256 key, at least 32 bytes; two, comma-separated, while rotating: the first signs, both verify"
    )
    token_issuer_key: SecretStr | None = Field(default=None, description="unset: /get-token is closed")
    open_token_issuer: bool = Field(default=False, description="dev only: /get-token asks for no key, on loopback")
    api_host: str = "127.0.0.1"
    api_port: Port = 8080
    api_processes: int = Field(default=1, ge=1, le=64)
    api_threads: int = Field(default=8, ge=1, le=256)


class Webhook(Sync):
    """What the webhook receiver needs."""

    hubspot_client_secret: ClientSecrets = Field(description="the app's secret; two, comma-separated, while rotating")
    hubspot_webhook_url: str = Field(
        description="the public target URL exactly as HubSpot calls it; deliveries are taken at its path"
    )
    hubspot_app_id: int | None = Field(default=None, description="events of other apps are ignored")
    webhook_host: str = "127.0.0.1"
    webhook_port: Port = 8081
    webhook_processes: int = Field(default=1, ge=1, le=64)
    webhook_threads: int = Field(default=8, ge=1, le=256)

    @field_validator("hubspot_webhook_url")
    @classmethod
    def _url(cls, url: str) -> str:
        # Kept as it is: HubSpot signs the very text.
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("an http or https URL")
        if (path := unquote(urlsplit(url).path)) in RECEIVERS_OWN:
            raise ValueError(f"its path {path} is the receiver's own")
        return url


Model = TypeVar("Model", bound=Database)


def load(model: type[Model], environment: Mapping[str, str] = os.environ) -> Model:
    """Return the settings of a process; raise `InvalidSettings` with every problem at once."""
    values, problems = _with_files(environment)
    problems += _slips(values)
    # Of https_proxy and HTTPS_PROXY the former is taken, as curl does.
    known: dict[str, Any] = {n.lower(): values[n] for n in sorted(values) if n.lower() in model.model_fields}
    try:
        settings = model(**known)
    except ValidationError as error:
        problems += [_problem(each) for each in error.errors(include_input=False, include_url=False)]
        raise InvalidSettings("\n".join(problems)) from None
    if problems:
        raise InvalidSettings("\n".join(problems))
    return settings


def _problem(error: Any) -> str:
    text = "is missing" if error["type"] == "missing" else str(error["msg"]).removeprefix("Value error, ")
    return f"{str(error['loc'][0]).upper()}: {text}" if error["loc"] else text


def _with_files(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment with secrets read from the files that NAME_FILE names; an empty value is no value."""
    values = {name: value.strip() for name, value in environment.items() if value.strip()}
    problems = []
    for name in SECRETS:
        path = values.get(f"{name}_FILE")
        if path is None:
            continue
        if name in values:
            problems.append(f"{name}: set it or {name}_FILE, not both")
        try:
            values[name] = read(Path(path))
        except (OSError, ValueError) as error:
            problems.append(f"{name}_FILE: cannot be read ({type(error).__name__})")
    return values, problems


def _slips(values: Mapping[str, str]) -> list[str]:
    """Name what is like one of our settings, of whatever process, and is none."""
    ours = {name.upper() for model in (Api, Webhook) for name in model.model_fields}
    ours |= {f"{name}_FILE" for name in SECRETS}
    slips = {name: _meant(name.upper(), ours - BORROWED) for name in values if name.upper() not in ours}
    return [f"{name}: is no setting; {meant} is one" for name, meant in sorted(slips.items()) if meant]


def _meant(name: str, ours: set[str]) -> str | None:
    swapped = (each for each in sorted(ours) if sorted(each) == sorted(name))
    return next(swapped, None) or next(iter(get_close_matches(name, ours, n=1, cutoff=ALIKE)), None)


def secret_source(name: str, value: SecretStr, environment: Mapping[str, str] = os.environ) -> Source:
    """Return where to ask for a secret: its file each time, so that a replaced one is seen, else the value."""
    path = environment.get(f"{name}_FILE", "").strip()
    return Source(name, Path(path) if path else None, value.get_secret_value())
