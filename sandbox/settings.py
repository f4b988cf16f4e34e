"""Every setting and switch of the sandbox, from SANDBOX_ variables or from arguments.

Where HubSpot's behaviour is not known for certain there is a switch; its default is the less comfortable form
or the one that was seen. All but the fixed ones may change while the sandbox runs.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox.definitions import Seed
from sandbox.doors import loopback_url
from sandbox.lifecycle import StageRule

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
ConflictForm = Literal["409", "400"]

FIXED = frozenset({"host", "port", "state", "portal_id", "app_id", "seed", "custom_properties"})


class Place(BaseModel):
    """Where the sandbox listens and which portal it plays."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8090, description="port to listen on; 0 takes a free one")
    state: str | None = Field(default=None, description="SQLite file that survives a restart; unset: memory only")
    portal_id: int = Field(default=147000000, description="the portal's id")
    app_id: int = Field(default=4169410, description="the app's id: sourceId of everything written through the API")
    seed: int = Field(default=1, description="seed of everything that is random")
    custom_properties: tuple[Seed, ...] = Field(default=(), description="contact properties beside HubSpot's own")
    access_token: str = Field(default="pat-sandbox-token", description="the bearer token that is accepted")
    client_secret: str = Field(default="sandbox-client-secret", description="the secret that signs webhooks")
    account_type: str = Field(default="DEVELOPER_TEST", description="accountType of the account details")
    time_zone: str = Field(default="UTC", description="timeZone of the account details")


class Limits(BaseModel):
    """How much HubSpot takes; 0 means no limit."""

    rate_per_10s: Count = Field(default=100, description="calls in any ten seconds, searches not counted")
    search_per_second: Count = Field(default=5, description="searches in any second")
    daily_limit: Count = Field(default=250_000, description="calls of a day")
    retry_after: str | None = Field(default=None, description="Retry-After of a 429; HubSpot sends none")
    url_limit: int = Field(default=16_000, description="longest request target in characters, beyond it 414")


class Doubts(BaseModel):
    """What is not known about HubSpot, a switch each."""

    lowercase_email: bool = Field(default=False, description="store addresses in lower case instead of as sent")
    trim_texts: bool = Field(default=False, description="store texts without the blanks around them")
    plain_numbers: bool = Field(default=False, description="store numbers without exponent and needless zeros")
    ordered_choices: bool = Field(default=False, description="store several choices in the order of the options")
    rewrite_phones: bool = Field(default=False, description="store phone numbers of ten digits or more as E.164")
    null_clears: bool = Field(default=False, description="a null value clears the property instead of being ignored")
    stage_rule: StageRule = Field(default=StageRule.FORWARD, description="how a backward lifecyclestage is treated")
    echo_ignored_stage: bool = Field(default=False, description="answer an ignored stage as sent instead of as stored")
    default_stage: str = Field(default="lead", description="lifecyclestage of a contact created without one")
    create_conflict: ConflictForm = Field(default="409", description="answer when a new address is another's primary")
    update_conflict: ConflictForm = Field(default="409", description="the same when an address is changed")
    secondary_conflict: ConflictForm = Field(default="400", description="the same when it is another's secondary")
    race_share: Share = Field(default=0, description="share of conflicts that come in the 400 form of a race")
    named_batch_conflict: bool = Field(default=False, description="a refused batch names the holder")
    echo_trace_id: bool = Field(default=True, description="batch results carry the objectWriteTraceId of their input")
    duplicate_reads: bool = Field(default=False, description="a batch read answers an id twice when asked twice")
    duplicate_upserts: Literal["refuse", "apply"] = Field(default="refuse", description="one key twice in an upsert")
    silent_upserts: Share = Field(default=0, description="share of batch upserts that answer success and do nothing")
    batch_update_by_email: bool = Field(default=False, description="batch update takes idProperty email")
    upsert_moves_primary: bool = Field(
        default=True,
        description="an upsert by a secondary address makes `email` in its properties the primary",
    )
    delete_unknown: Literal["204", "404"] = Field(default="204", description="DELETE of an id that is not live")
    not_found_form: Literal["html", "json"] = Field(default="html", description="a record that does not exist")
    unknown_path_form: Literal["html", "json"] = Field(default="html", description="a path that does not exist")
    preserve_primary_id: bool = Field(default=False, description="a merge keeps the primary's id, no third record")
    merge_creation_event: bool = Field(default=False, description="the third record of a merge has a creation event")
    restore_taken: Literal["refuse", "drop_email"] = Field(
        default="refuse", description="restoring a contact whose address another one has by now"
    )
    blocklisted: Literal["400", "409", "allow"] = Field(default="400", description="creating an erased address")
    additional_emails_writable: bool = Field(default=False, description="hs_additional_emails may be written")
    search_secondary: bool = Field(default=False, description="search on email also matches secondary addresses")
    search_epoch_zero_fails: bool = Field(default=True, description="a search from epoch 0 answers 500")
    search_body_limit: Count = Field(default=0, description="longest search body, beyond it 400; 0 any")
    search_merged_ids: bool = Field(default=True, description="search returns hs_merged_object_ids")
    missing_scopes: bool = Field(default=False, description="answer 403 as for a token without scopes")


class Background(BaseModel):
    """What HubSpot does later, by itself."""

    index_lag_ms: Count = Field(default=0, description="delay of the search index")
    index_lag_max_ms: Count = Field(default=0, description="random per write between both when greater")
    touch_ms: Count = Field(default=0, description="lastmodifieddate moves this long after a create; 0 never")
    touch_max_ms: Count = Field(default=0, description="random per contact between both when greater")


class Hooks(BaseModel):
    """Webhooks out."""

    webhook_url: Annotated[str, AfterValidator(loopback_url)] | None = Field(
        default=None, description="target of the webhooks, on this machine; unset: none are sent"
    )
    webhook_properties: tuple[str, ...] = Field(
        default=("email", "firstname", "lastname", "phone", "company", "website", "lifecyclestage"),
        description="properties with a propertyChange subscription",
    )
    webhook_form: Literal["contact", "object"] = Field(default="contact", description="contact.* or generic object.*")
    webhook_type_key: Literal["subscriptionType", "eventType"] = Field(
        default="subscriptionType", description="key of the event's type"
    )
    webhook_whole_seconds: bool = Field(default=False, description="occurredAt without milliseconds")
    webhook_noop_events: bool = Field(default=False, description="a write of the stored value fires all the same")
    webhook_creation_properties: bool = Field(default=True, description="a creation also fires its properties")
    webhook_restore_events: bool = Field(default=True, description="a restore is told")
    webhook_merge_object_id: bool = Field(default=True, description="a merge is told with an objectId")
    webhook_same_event_id: Share = Field(default=0, description="share of events that repeat another's eventId")
    webhook_concurrency: Annotated[int, Field(ge=1, le=50)] = Field(default=10, description="requests in flight")
    webhook_batch: Annotated[int, Field(ge=1, le=100)] = Field(default=100, description="events in a request")
    webhook_timeout_ms: int = Field(default=5000, description="longest wait for an answer")
    webhook_attempts: int = Field(default=11, description="the first attempt and its retries")
    webhook_retry_ms: Count = Field(default=1000, description="delay of the first retry, half of it random")
    webhook_retry_factor: float = Field(default=2, description="growth of that delay")
    webhook_retry_max_ms: Count = Field(default=60_000, description="longest such delay")
    webhook_delay_ms: Count = Field(default=10, description="delay of every event")
    webhook_delay_max_ms: Count = Field(default=0, description="random per event between both when greater")
    webhook_drop: Share = Field(default=0, description="share of events that are never sent")
    webhook_duplicate: Share = Field(default=0, description="share of events that are sent twice")
    webhook_reorder: bool = Field(default=False, description="shuffle what waits")
    webhook_mute: bool = Field(default=False, description="send nothing: events made meanwhile are lost")
    events_kept: Count = Field(default=200_000, description="events remembered for a redelivery")


class Weather(BaseModel):
    """Failures that strike any API call."""

    latency_ms: Count = Field(default=0, description="delay of every answer")
    latency_jitter_ms: Count = Field(default=0, description="random addition to it")
    fail_429: Share = Field(default=0, description="share of calls answered 429")
    fail_5xx: Share = Field(default=0, description="share of calls answered 500, 502 or 503")
    fail_cut: Share = Field(default=0, description="share of calls whose connection is cut before the effect")
    fail_lost: Share = Field(default=0, description="share of calls whose answer is lost after the effect")
    calls_kept: Count = Field(default=500, description="calls remembered")


class Settings(Place, Limits, Doubts, Background, Hooks, Weather):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, changes: dict[str, Any]) -> "Settings":
        """Return the settings after a change; raise ValueError for one that cannot change or is not valid."""
        fixed = FIXED & changes.keys()
        if fixed:
            raise ValueError(f"fixed while running: {', '.join(sorted(fixed))}")
        return Settings.model_validate({**self.model_dump(), **changes})


class _Environment(BaseSettings, Settings):
    model_config = SettingsConfigDict(env_prefix="SANDBOX_", frozen=True, extra="ignore")


class Switches:
    """The settings in force; `current` shows the last change."""

    def __init__(self, settings: Settings) -> None:
        self.current = settings

    def change(self, **changes: Any) -> Settings:
        """Change settings while running; raise ValueError when one is fixed, unknown or not valid."""
        self.current = self.current.changed(changes)
        return self.current


def from_environment() -> Settings:
    """Read SANDBOX_ variables; raise pydantic's ValidationError naming every problem."""
    return Settings.model_validate(_Environment().model_dump())
