"""Customers and links in memory: what is known about a pair, and every change to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from reconciler.core.blocking import blocked_row
from reconciler.core.contact import BlindPush, ContactId, CustomerId, IntentKind, Pair
from reconciler.core.context import Context, OtherLink
from reconciler.core.errors import RowRefused
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import LEASE, NO_CLAIMS, Claim, Subject
from reconciler.core.step import Absorb, Adopt, Attach, Detach, Erase, Forget, Ignore, Insert, Step, Wait
from reconciler.core.values import Values
from simulation.memory.rows import RowWrite, drop_placeholder, erase, insert_customer, write_customers
from simulation.memory.tables import Clash, CustomerRow, LinkRow, Rule, Tables, later


class MemoryPairs:
    """The store of the reconcile."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def load(self, claims: Sequence[Claim]) -> list[Pair]:
        return [self._pair(claim) for claim in claims if claim.uuid in self._tables.links]

    def _pair(self, claim: Claim) -> Pair:
        tables, link = self._tables, self._tables.links[claim.uuid]
        row = tables.customers.get(claim.uuid)
        is_seen = link.deleted or (row is None and any(each[0] == claim.uuid and each[3] for each in tables.dirty))
        return Pair(
            link=replace(link.value(), is_deletion_seen=is_seen),
            customer=None if row is None else row.value(tables.fields),
            intents=tuple(intent.value(tables.now(), link) for intent in tables.intents_of(claim.uuid)),
            fence=claim.fence,
            privacy=claim.privacy or link.privacy,
            hides_rows=row is None and tables.hides_rows,
        )

    def context(
        self, *, addresses: Collection[str], contacts: Collection[ContactId], ours: Collection[CustomerId] = ()
    ) -> Context:
        tables = self._tables
        holders: dict[str, OtherLink] = {}
        for address in addresses:
            row = tables.holder(address)
            if row is not None:
                holders[address] = self._holder(row, ours)
        for intent in tables.intents.values():
            wanted = intent.values.get("email")
            row, link = tables.customers.get(intent.uuid), tables.links.get(intent.uuid)
            is_shown = row is not None and row.is_alive and row.address == wanted
            is_open = intent.kind is IntentKind.CREATE and not is_shown
            if is_open and link is not None and wanted is not None and wanted in addresses:
                holders[wanted] = replace(self._neighbour(link, ours), email=wanted, is_blocked=False)
        links = [link for link in tables.links.values() if link.contact in contacts]
        return Context(
            holders=holders,
            owners={link.contact: self._owner(link, ours) for link in links if link.contact is not None},
            tombstoned=frozenset(tables.tombstones.intersection(addresses)),
            former=frozenset(c for c in contacts if tables.aliases.get(c, (None, ""))[1] == "former"),
            ignored=frozenset(c for c in contacts if tables.aliases.get(c, (None, ""))[1] == "ignored"),
            suspended=dict(tables.suspended),
            has_nameless_create=any(
                i.kind is IntentKind.CREATE and "email" not in i.values for i in tables.intents.values()
            ),
        )

    def _neighbour(self, link: LinkRow, ours: Collection[CustomerId]) -> OtherLink:
        is_busy = link.lease_until is not None and link.lease_until > self._tables.now() and link.uuid not in ours
        return OtherLink(
            uuid=link.uuid,
            contact_id=link.contact,
            email=None,
            created_at=None,
            is_busy=is_busy,
            base_email=link.base.get("email"),
            is_blocked=bool({"email", "*"} & link.blocks.keys()),
        )

    def _holder(self, row: CustomerRow, ours: Collection[CustomerId]) -> OtherLink:
        link = self._tables.links.get(row.uuid, LinkRow(row.uuid))
        return replace(self._neighbour(link, ours), email=row.address, created_at=row.created)

    def _owner(self, link: LinkRow, ours: Collection[CustomerId]) -> OtherLink:
        row = self._tables.customers.get(link.uuid)
        is_nobody = row is None and link.alive is None and not link.blind_pushes
        is_placeholder = is_nobody and not any(self._tables.intents_of(link.uuid))
        return replace(
            self._neighbour(link, ours),
            email=None if row is None else row.address,
            created_at=None if row is None else row.created,
            is_alive=row is not None and row.is_alive,
            is_placeholder=is_placeholder,
        )

    def join(self, steps: Sequence[Step]) -> list[Claim]:
        tables = self._tables
        pulled = {s.pair.contact.values.get("email") for s in steps if s.pair.contact and "email" in s.blocks}
        pushed = {a for s in steps if (a := s.push.get("email")) is not None and s.pair.link.contact_id}
        wanted = {row.uuid for row in map(tables.holder, pulled) if row is not None}
        wanted |= {link.uuid for link in tables.links.values() if link.base.get("email", None) in pushed}
        present = {step.pair.uuid for step in steps}
        claims = []
        for uuid in sorted(wanted - present):
            link = tables.links.get(uuid)
            if link is not None and link.contact is not None and not tables.is_leased(link):
                claims.append(lease(tables, link))
        return claims

    def know_addresses(self, uuid: CustomerId, addresses: Collection[str]) -> None:
        self._tables.links[uuid].former |= set(addresses)

    def merge(self, steps: Sequence[Step], ending: Mapping[CustomerId, Claim] = NO_CLAIMS) -> set[CustomerId]:
        rule = self._tables.rule
        if rule is not None:
            steps = [
                s if rule.allows(s.pull) or self._tables.is_held(s.pair.uuid) else blocked_row(s, _told(rule))
                for s in steps
            ]
        changing = [step for step in steps if step.changes_anything]
        ours = [step for step in changing if self._is_ours(step)]
        left_out = {step.pair.uuid for step in changing} - {step.pair.uuid for step in ours}
        self._tables.refuse_erased(
            [s.pull.get("email") for s in ours if isinstance(s.action, Insert) or s.touches_customer]
        )
        left_out |= self._merge(ours)
        for uuid in ending.keys() - left_out:
            self._tables.links[uuid].lease_until, self._tables.links[uuid].fence = None, next(self._tables.numbers)
            self._tables.clear_marks(ending[uuid].marks)
        return left_out

    def _is_ours(self, step: Step) -> bool:
        link = self._tables.links.get(step.pair.uuid)
        if link is None or link.fence != step.pair.fence:
            return False
        return step.at is None or link.newest_seen is None or step.believes or link.newest_seen <= step.at

    def _merge(self, steps: Sequence[Step]) -> set[CustomerId]:
        tables = self._tables
        touched = [step for step in steps if step.touches_customer]
        free = [step for step in touched if not tables.is_held(step.pair.uuid)]
        released = _released(tables, free)
        writes = [_row_write(step, is_released=step.pair.uuid in released) for step in free]
        written, lived = write_customers(tables, writes, released)
        for step in steps:
            tables.log(step.pair.uuid, step.conflicts)
            if isinstance(step.action, Insert) and insert_customer(
                tables, step.pair.uuid, step.pull, step.pair.contact
            ):
                written[step.pair.uuid] = dict(step.pull)
        left_out = {s.pair.uuid for s in steps if set(s.pull) - written.get(s.pair.uuid, {}).keys()}
        left_out |= {s.pair.uuid for s in touched if not lived.get(s.pair.uuid, False)}
        for step in steps:
            uuid = step.pair.uuid
            _move(tables.links[uuid], step, written.get(uuid, {}), whole=uuid not in left_out)
            if uuid not in left_out and step.is_whole:
                _forget_late(tables, tables.links[uuid])
            tables.give_up(step.closes)
        tables.wake_waiting([step.freed_address for step in steps])
        return left_out

    def rearrange(self, steps: Sequence[Step]) -> set[CustomerId]:
        left_out: set[CustomerId] = set()
        for step in steps:
            link = self._tables.links.get(step.pair.uuid)
            if link is None or link.fence != step.pair.fence:
                continue
            if step.rearranged & self._tables.held:
                left_out.add(step.pair.uuid)
                continue
            self._tables.log(step.pair.uuid, step.conflicts)
            self._tables.give_up(step.closes)
            match step.action:
                case Attach() as attached:
                    self._attach(step, attached)
                case Adopt(owner, contact):
                    self._adopt(owner, contact, step.pair.uuid)
                case Absorb() as merged if not self._may_absorb(merged):
                    self._tables.mark({Subject.customer(step.pair.uuid).key}, 1)
                case Absorb() as merged:
                    self._absorb(merged)
                case _:
                    self._end(step)
        return left_out

    def _attach(self, step: Step, attached: Attach) -> None:
        tables, uuid = self._tables, step.pair.uuid
        if attached.former is not None:
            former = tables.links[attached.former]
            if former.contact == attached.contact_id:
                former.contact, former.alive, former.base, former.base_at = None, False, {}, {}
                former.newest_seen = former.merged_through = None
                former.fence, former.lease_until = next(tables.numbers), None
                _inherit(tables, tables.links[uuid], former)
                tables.handed_over.add(attached.contact_id)
                self._show(attached.former)
        drop_placeholder(tables, attached.contact_id, uuid)
        link = tables.links[uuid]
        if link.contact != step.pair.link.contact_id:
            return
        owner = tables.owner(attached.contact_id)
        if (owner is None or owner.uuid == uuid) and not tables.is_ignored(attached.contact_id):
            if link.contact is not None and link.contact != attached.contact_id:
                tables.aliases[link.contact] = (uuid, "merged")
            link.contact, link.newest_seen, link.merged_through, link.stale_reads = attached.contact_id, None, None, 0
            link.alive = True if link.alive is None and self._is_alive(uuid) else link.alive
        self._show(uuid)

    def _adopt(self, owner: CustomerId, contact: ContactId, looked_at: CustomerId) -> None:
        tables = self._tables
        row, known = tables.customers.get(owner), tables.links.get(owner)
        is_creating = any(intent.kind is IntentKind.CREATE for intent in tables.intents_of(owner))
        is_over = row is not None and (row.merged_into is not None or (not row.is_alive and not is_creating))
        if is_over or (known is not None and known.contact is not None):
            tables.mark({Subject.contact(contact).key}, 1)
            return
        drop_placeholder(tables, contact, owner, looked_at=looked_at)
        link = tables.ensure_link(owner)
        if tables.owner(contact) is None:
            link.contact, link.newest_seen, link.merged_through = contact, None, None
            link.fence, link.lease_until = next(tables.numbers), None
            link.alive = True if self._is_alive(owner) else None
        self._show(owner)
        tables.mark({Subject.customer(owner).key}, 1)

    def _may_absorb(self, merged: Absorb) -> bool:
        tables = self._tables
        return {merged.winner, merged.loser} <= tables.links.keys() and not tables.is_ignored(merged.contact_id)

    def _absorb(self, merged: Absorb) -> None:
        tables = self._tables
        owner = tables.owner(merged.contact_id)
        if owner is not None and owner.uuid not in (merged.winner, merged.loser):
            raise Clash("link_contact_is_unique", delay=1.0)
        winner, loser = tables.links[merged.winner], tables.links[merged.loser]
        old = {link.contact for link in (winner, loser) if link.contact not in (None, merged.contact_id)}
        tables.aliases.update((contact, (merged.winner, "merged")) for contact in old if contact is not None)
        kinds = {contact: kind for contact, (uuid, kind) in tables.aliases.items() if uuid == merged.loser}
        tables.aliases.update((contact, (merged.winner, kind)) for contact, kind in kinds.items())
        tables.aliases.pop(merged.contact_id, None)
        _inherit(tables, winner, loser)
        tables.close([intent.id for intent in tables.intents_of(merged.loser)])
        row = tables.customers.get(merged.loser)
        tables.log(merged.loser, [] if row is None else _unsent(tables, row, loser))
        loser.contact, loser.alive, loser.base, loser.base_at, loser.lease_until = None, False, {}, {}, None
        loser.fence, loser.blocks = next(tables.numbers), {}
        for each in tables.customers.values():
            if each.uuid == merged.loser or each.merged_into == merged.loser:
                each.merged_into, each.contact = merged.winner, None
                each.deleted = each.deleted or tables.now()
        winner.contact, winner.newest_seen, winner.merged_through, winner.stale_reads = merged.contact_id, None, None, 0
        winner.fence, winner.lease_until = next(tables.numbers), None
        self._show(merged.winner)
        tables.mark({Subject.customer(merged.winner).key}, 1)

    def _is_alive(self, uuid: CustomerId) -> bool:
        row = self._tables.customers.get(uuid)
        return row is not None and row.is_alive

    def _show(self, uuid: CustomerId) -> None:
        row = self._tables.customers.get(uuid)
        if row is not None:
            row.contact = self._tables.links[uuid].contact

    def _end(self, step: Step) -> None:
        tables = self._tables
        link = tables.links[step.pair.uuid]
        is_as_known = link.contact == step.pair.link.contact_id
        match step.action:
            case Erase():
                erase(tables, step.pair.uuid)
            case Detach():
                link.detached = True
            case Forget() if is_as_known and link.uuid not in tables.customers:
                del tables.links[link.uuid]
            case Ignore():
                del tables.links[link.uuid]
                if link.contact is not None:
                    tables.aliases[link.contact] = (None, "ignored")
            case _:
                pass


def lease(tables: Tables, link: LinkRow) -> Claim:
    """Lease a link, whatever lease it has."""
    link.lease_until = tables.now() + timedelta(seconds=LEASE)
    link.fence = next(tables.numbers)
    return Claim(uuid=link.uuid, fence=link.fence)


def _inherit(tables: Tables, heir: LinkRow, giver: LinkRow) -> None:
    """Give what is on its way to a contact, and what was pushed to it blindly, to its next link."""
    for intent in tables.intents_of(giver.uuid):
        if intent.kind is IntentKind.UPDATE:
            intent.uuid = heir.uuid
    heir.blind_pushes, giver.blind_pushes = _joined(heir.blind_pushes, giver.blind_pushes), {}
    heir.late, giver.late = heir.late + giver.late, []


def _forget_late(tables: Tables, link: LinkRow) -> None:
    """Forget what could not land any more when the contact was read."""
    link.late = [each for each in link.late if each.until > tables.now() - timedelta(minutes=1)]


def _joined(one: dict[str, BlindPush], other: dict[str, BlindPush]) -> dict[str, BlindPush]:
    joined = {**one, **other}
    for field in one.keys() & other.keys():
        times = [one[field].since, other[field].since]
        since = None if None in times else min(at for at in times if at is not None)
        joined[field] = replace(one[field], since=since, sent=(*one[field].sent, *other[field].sent))
    return joined


def _unsent(tables: Tables, row: CustomerRow, link: LinkRow) -> list[Conflict]:
    """Return what the loser of a merge had not sent to HubSpot yet."""
    return [
        Conflict(field=field, winner=Verdict.REMOTE, kept=None, lost=value)
        for field, value in tables.fields.outbound(tables.fields.canonical(row.raw)).items()
        if value is not None and value != link.base.get(field)
    ]


def _released(tables: Tables, steps: Sequence[Step]) -> set[CustomerId]:
    """Two addresses that change hands would clash row by row: take them all off first."""
    moving = [s.pair.customer for s in steps if "email" in s.pull and s.pair.customer is not None]
    if len(moving) < 2:
        return set()
    rows = ((tables.customers.get(customer.uuid), customer.raw["email"]) for customer in moving)
    return {row.uuid for row, address in rows if row is not None and row.raw["email"] == address}


def _row_write(step: Step, *, is_released: bool) -> RowWrite:
    assert step.pair.customer is not None
    contact = step.pair.contact
    return RowWrite(
        uuid=step.pair.uuid,
        values=step.pull,
        raw={**step.pair.customer.raw, **({"email": None} if is_released else {})},
        was_alive=step.pair.customer.is_alive,
        becomes_alive=step.becomes_alive,
        contact=None if contact is None else contact.id,
        created=None if contact is None else contact.created_at,
        updated=None if contact is None else contact.updated_at,
    )


def _move(link: LinkRow, step: Step, written: Values, *, whole: bool) -> None:
    """The base follows what was agreed, written or inserted; the read is remembered when nothing was left out."""
    settled = {**step.agree, **written}
    link.settle(settled)
    link.alive = step.alive if whole and step.alive is not None else link.alive
    link.stale_reads = step.pair.link.stale_reads + 1 if step.action is Wait.STALE else 0
    link.newest_seen = step.at if step.believes and step.action is not Wait.STALE else later(link.newest_seen, step.at)
    link.merged_through = step.at if whole and step.is_whole else link.merged_through
    cured = {*settled, *step.cured}
    link.blocks = {**{c: why for c, why in link.blocks.items() if c not in cured}, **step.blocks}
    if step.has_checked_blind_pushes and link.blind_pushes == step.pair.link.blind_pushes:
        link.blind_pushes = {}
    if step.pair.contact is not None:
        link.former |= step.pair.contact.addresses_beside
    link.detached = link.detached and not step.reattaches
    link.privacy = link.privacy or step.pair.privacy


def _told(rule: Rule) -> RowRefused:
    return RowRefused(f"{rule.field}_is_allowed", frozenset({rule.field}))
