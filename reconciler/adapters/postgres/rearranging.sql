-- hand_over: a deleted customer's contact, which lives on in HubSpot, is to go to another customer:
--   the deleted one's link gives it up, and a claim on that is void
update sync.link set
    contact = null,
    fence = nextval('sync.number'),
    lease_until = null,
    alive = false,
    base = '{}',
    base_at = '{}',
    newest_seen = null,
    merged_through = null
where uuid = %(former)s
and contact = %(contact)s
returning uuid

-- inherit: updates on their way to a contact, and what was pushed to it blindly or may land late,
--   go with it to its next link
with moved as (
    -- Updates whose answers are about the heir's contact from now on.
    update sync.intent set uuid = %(heir)s
    where uuid = %(giver)s and kind = 'update'
), given as (
    -- The giver keeps nothing of that.
    update sync.link set
        blind_pushes = '{}',
        late = '[]'
    where uuid = %(giver)s
)
update sync.link heir set
    late = heir.late || (select late from sync.link where uuid = %(giver)s),
    blind_pushes = sync.pushes_of_both(
        heir.blind_pushes,
        (select blind_pushes from sync.link where uuid = %(giver)s)
    )
where heir.uuid = %(heir)s

-- attach: a link's contact is another id from now on; the old one leads here still. Both sides are
--   seen alive at this moment
with moved as (
    -- Links whose claim holds, with the contact that was decided about, that can have the new one.
    select r.uuid, r.contact, r.known
    from jsonb_to_recordset(%(rows)s::jsonb) as r(
        uuid uuid, fence bigint, contact bigint, known bigint
    )
    join sync.link l using (uuid)
    where l.fence = r.fence
    and l.contact is not distinct from r.known
    and not exists (
        select from sync.link o
        where o.contact = r.contact and o.uuid <> l.uuid
    )
    and not exists (
        -- The contact of an erased person is linked with no customer.
        select from sync.alias a
        where a.contact = r.contact and a.kind = 'ignored'
    )
), old as (
    -- The ids that they give up are aliases from now on.
    insert into sync.alias (contact, uuid, kind)
    select known, uuid, 'merged'
    from moved
    where known <> contact
    order by 1
    on conflict (contact) do update set
        uuid = excluded.uuid,
        kind = excluded.kind
)
update sync.link l set
    contact = m.contact,
    newest_seen = null,
    merged_through = null,
    stale_reads = 0,
    alive = case
        when exists (select from sync.customers() c where c.uuid = l.uuid and c.deletedat is null)
            then coalesce(l.alive, true)
        else l.alive
    end
from moved m
where l.uuid = m.uuid

-- show_contacts: show the contact ids of the links in the customers' rows
select sync.show_contacts(%(uuids)s::uuid[])

-- may_adopt: whether a customer can take a contact: it has none, and is neither merged nor deleted;
--   a deleted one can while a create of its own is open
select %(owner)s as uuid
where not exists (
    select from sync.link
    where uuid = %(owner)s and contact is not null
)
and not exists (
    select from sync.customers()
    where uuid = %(owner)s
    and (
        mergedinto is not null
        or deletedat is not null
            and not exists (
                select from sync.intent
                where uuid = %(owner)s and kind = 'create'
            )
    )
)

-- adopt: the customer takes the contact; a claim on its link is void, for the worker that holds it
--   decides without the contact
update sync.link set
    contact = %(contact)s,
    newest_seen = null,
    merged_through = null,
    fence = nextval('sync.number'),
    lease_until = null,
    -- Where the customer is deleted nothing is agreed: the next look archives the contact.
    alive = case
        when exists (select from sync.customers() where uuid = %(owner)s and deletedat is null) then true
    end
where uuid = %(owner)s
and contact is null
and not exists (select from sync.link o where o.contact = %(contact)s)
returning uuid

-- hold_links: make sure that links are there, until this transaction ends, and that the contact is
--   no erased person's
select uuid
from sync.link
where uuid = any(%(uuids)s::uuid[])
and not exists (
    select from sync.alias
    where contact = %(contact)s and kind = 'ignored'
)
order by uuid
for update

-- absorb_aliases: every id of both leads to the winner; the loser's former contacts stay former
with old as (
    -- The contacts that both links had, and what led to the loser before.
    select contact, 'merged' as kind
    from sync.link
    where uuid = any(%(uuids)s::uuid[])
    and contact is not null
    and contact <> %(contact)s
    union
    select contact, kind
    from sync.alias
    where uuid = %(loser)s and contact <> %(contact)s
), freed as (
    -- The id that survives is the winner's contact itself from now on, and no alias.
    delete from sync.alias where contact = %(contact)s
)
insert into sync.alias (contact, uuid, kind)
select distinct on (contact)
    -- An id that is there as both kinds is a merged one.
    contact, %(winner)s::uuid, kind
from old
order by contact, kind desc
on conflict (contact) do update set
    uuid = excluded.uuid,
    kind = excluded.kind

-- log_unsent: what the loser of a merge had not sent to HubSpot yet
insert into sync.conflict (uuid, property, winner, kept, lost)
select l.uuid, v.key, 'hubspot', null, v.value
from sync.link l
join sync.customers() c using (uuid)
cross join lateral jsonb_each_text(c.canonical) v
where l.uuid = %(loser)s
and sync.differs(jsonb_build_object(v.key, v.value), jsonb_strip_nulls(jsonb_build_object(v.key, l.base ->> v.key)))
on conflict (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, '')))
    where resolved is null
    do nothing

-- absorb_loser: the loser of a merge has no contact any more; a claim on its link is void
update sync.link set
    contact = null,
    fence = nextval('sync.number'),
    alive = false,
    base = '{}',
    base_at = '{}',
    blocks = '{}',
    lease_until = null
where uuid = %(loser)s

-- absorb_customer: the loser's customer is kept, soft-deleted, and points to the winner; so do the
--   customers that were merged into it before
select sync.merge_customers(%(winner)s::uuid, %(loser)s::uuid)

-- absorb_winner: the winner has the contact that survived; a claim on its link is void, too
update sync.link set
    contact = %(contact)s,
    newest_seen = null,
    merged_through = null,
    stale_reads = 0,
    fence = nextval('sync.number'),
    lease_until = null
where uuid = %(winner)s

-- forget: links that connect nothing end, where their claim still holds
delete from sync.link l
using jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint, known bigint)
where l.uuid = r.uuid
and l.fence = r.fence
-- A late answer may have given it a contact since.
and l.contact is not distinct from r.known
and not exists (select from sync.customers() c where c.uuid = l.uuid)

-- ignore: contacts of erased people are looked at no more
with gone as (
    -- Their links end, where the claim still holds.
    delete from sync.link l
    using jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint)
    where l.uuid = r.uuid
    and l.fence = r.fence
    returning l.contact
)
insert into sync.alias (contact, kind)
select contact, 'ignored'
from gone
where contact is not null
on conflict (contact) do update set
    uuid = null,
    kind = 'ignored'

-- detach: both directions stop
update sync.link l set detached = true
from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint)
where l.uuid = r.uuid
and l.fence = r.fence
