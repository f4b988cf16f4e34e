"""What a decision is made from beside the pair: the owner's rules, and what else the batch touches."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.fields import Fields, Policy
from reconciler.core.reasons import Reason
from reconciler.core.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The owner's choices. `first_link` says which side wins where a pair has no base yet; `skew` is HubSpot's
    clock minus the database's. A contact without the fields that are required becomes no customer, none where the
    sync `inserts` no rows.
    """

    fields: Fields
    requires: Collection[str] = ()
    inserts: bool = True
    first_link: Policy = Policy.NEWEST
    deletes_inbound: bool = True
    deletes_outbound: bool = True
    skew: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLink:
    """Another link that matters to this pair: it holds a wanted address, or the same contact.

    `is_busy`: a worker of another batch is at it. `is_placeholder`: the link of a contact that is not known yet.
    `is_blocked`: its own address, or all of it, does not move. `is_outside`: its row is not in scope.
    """

    uuid: CustomerId
    contact_id: ContactId | None
    email: Value
    created_at: datetime | None
    is_busy: bool = False
    is_alive: bool = True
    is_placeholder: bool = False
    base_email: Value = None
    is_blocked: bool = False
    is_outside: bool = False

    def is_giving_up(self, address: Value, rules: Rules) -> bool:
        """Whether the address is about to leave the holder's contact: deleted or renamed here, not yet there."""
        if self.is_placeholder or self.is_blocked:
            return False
        if not self.is_alive:
            return rules.deletes_outbound
        return self.base_email == address != self.email


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a batch's pairs touch: `holders` by address (live customers and open creates), `owners` by contact id.

    `former` contacts were archived and replaced: one that is alive again was restored beside its successor. `ignored`
    ones belong to erased people. `suspended` fields, with the reason, wait for HubSpot's schema.
    """

    holders: Mapping[str, OtherLink] = field(default_factory=dict)
    owners: Mapping[ContactId, OtherLink] = field(default_factory=dict)
    tombstoned: frozenset[str] = frozenset()
    former: frozenset[ContactId] = frozenset()
    ignored: frozenset[ContactId] = frozenset()
    suspended: Mapping[str, Reason] = field(default_factory=dict)
    has_nameless_create: bool = False

    def holder(self, address: Value) -> OtherLink | None:
        """Return the holder of an address, if there is one."""
        return None if address is None else self.holders.get(address)

    def schema_news(self, contacts: Collection[Contact], mapped: Collection[str]) -> "SchemaNews":
        """Return which of the mapped fields HubSpot's answers do not have, and which they have again."""
        absent = {
            field for each in contacts for field in mapped if field not in each.values and field not in each.unfit
        }
        unknown = {c for c, reason in self.suspended.items() if reason is Reason.UNKNOWN_PROPERTY}
        return SchemaNews(missing=absent - self.suspended.keys(), back=unknown - absent if contacts else set())

    def told(self, news: "SchemaNews") -> "Context":
        """Return the context in which the missing fields wait, and those that are back go again."""
        suspended = {**self.suspended, **dict.fromkeys(news.missing, Reason.UNKNOWN_PROPERTY)}
        return replace(self, suspended={c: reason for c, reason in suspended.items() if c not in news.back})


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaNews:
    """The mapped fields whose property is missing in HubSpot, and those whose property is back."""

    missing: Collection[str]
    back: Collection[str]
