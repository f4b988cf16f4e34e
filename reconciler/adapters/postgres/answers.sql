-- make_former: contacts that were archived for good; their customers are to get new ones, for which
--   nothing counts that went to the old ones
with old as (
    -- Links whose claim holds and that have the contact still.
    select l.uuid, l.contact
    from sync.link l
    join jsonb_to_recordset(%(rows)s::jsonb) as r(
        uuid uuid, fence bigint, contact bigint
    ) using (uuid)
    where l.fence = r.fence
    and l.contact = r.contact
    for update of l
), former as (
    -- The old ids: a contact that is restored under one of them makes no new customer.
    insert into sync.alias (contact, uuid, kind)
    select contact, uuid, 'former'
    from old
    on conflict (contact) do update set
        uuid = excluded.uuid,
        kind = 'former'
)
update sync.link l set
    contact = null,
    alive = false,
    newest_seen = null,
    merged_through = null,
    stale_reads = 0,
    base = '{}',
    base_at = '{}',
    blind_pushes = '{}',
    late = '[]'
from old
where l.uuid = old.uuid

-- intend: store intents of the writes whose claim still holds and whose contact is still the link's
--   (none for a create), and prolong the leases past the call
with write as (
    -- What is about to be sent; without a fence it is an API write that got no claim.
    select *
    from jsonb_to_recordset(%(writes)s::jsonb) as w(
        uuid uuid, fence bigint, contact bigint, kind text, vals jsonb, reserved text,
        hubspot_first boolean
    )
), ours as (
    -- Links whose write may go: leased past the call; what it sends without a read is noted.
    update sync.link l set
        lease_until = case
            when w.fence is null then l.lease_until
            else greatest(l.lease_until, now() + %(lease)s * interval '1 second')
        end,
        blind_pushes = case
            when w.kind = 'update'
                and (w.hubspot_first or l.blind_pushes <> '{}')
                then sync.with_push(l, w.vals, w.hubspot_first)
            else l.blind_pushes
        end
    from write w
    where l.uuid = w.uuid
    and (
        w.fence is null
        or l.fence = w.fence
            and l.lease_until >= now()
    )
    and case w.kind
        when 'create' then l.contact is null
        else l.contact = w.contact
    end
    returning w.uuid, l.base, l.base_at
)
insert into sync.intent (uuid, kind, vals, deadline, reserved, hubspot_first, before)
select
    w.uuid,
    w.kind,
    w.vals,
    now() + %(deadline)s * interval '1 second',
    w.reserved,
    w.hubspot_first,
    -- The base of each column that is sent: where it is another one later, the write was overtaken.
    (
        select coalesce(
            jsonb_object_agg(key, jsonb_build_array(ours.base -> key, ours.base_at -> key)),
            '{}'
        )
        from jsonb_object_keys(w.vals) key
        where w.kind = 'update'
    )
from write w
join ours using (uuid)
order by w.reserved, w.uuid
on conflict (reserved) where reserved is not null
    -- Another API create has reserved the address: this one is not sent.
    do nothing
returning id, uuid

-- drop_placeholder: the link of a contact that turned out to belong to a customer; one that an API
--   write has reached goes only if it is `looked_at`
delete from sync.link
where contact = %(contact)s
and uuid <> %(owner)s
and alive is null
and (
    blind_pushes = '{}'
    or uuid = %(looked_at)s
)
and not exists (select from sync.customers() c where c.uuid = sync.link.uuid)
returning uuid

-- drop_intents: the intents of links that have no contact any more, or get none
delete from sync.intent where uuid = any(%(uuids)s::uuid[])

-- drop_links: links that never had a customer: it could not be inserted, or another link has the
--   contact of its create. (One that was edited here has a row, perhaps hidden from this role.)
delete from sync.link l
where uuid = any(%(uuids)s::uuid[])
and edited = '{}'
and not exists (select from sync.customers() c where c.uuid = l.uuid)

-- ensure_links: give customers the link that a lease sits on; and reservations that were given up,
--   but whose contact is there after all
insert into sync.link (uuid)
select uuid
from unnest(%(uuids)s::uuid[]) as uuid
order by uuid
on conflict (uuid) do nothing

-- links_now: the links of these writes, and whether their row is to be waited for: another
--   transaction has locked it, or it is hidden. Locks the links, and the rows not waited for
with loose as materialized (
    -- Rows that no other transaction has locked.
    select uuid
    from sync.loose_customers(array(
        select r.uuid from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid)
    )) uuid
)
select
    l.uuid,
    l.contact,
    l.fence,
    l.uuid not in (select uuid from loose) and (
        exists (select from sync.customers() c where c.uuid = l.uuid)
        -- The row was there when the pair was loaded, and nothing saw it go: a policy hides it.
        or r.known
            and sync.hides_rows()
            and not l.deleted
            and not exists (select from sync.dirty d where d.uuid = l.uuid and d.deleted)
    ) as held
from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, known boolean)
join sync.link l using (uuid)
order by l.uuid
for update of l

-- move_pushed: the base takes HubSpot's answers in the order of HubSpot's time, whichever worker
--   holds the claim; a refusal only blocks. What was answered is over, and logged
with logged as (
    -- What was written into which contact.
    insert into sync.history (uuid, side, action, changes)
    select uuid, side, action, changes
    from jsonb_to_recordset(%(history)s::jsonb) as h(
        uuid uuid, side text, action text, changes jsonb
    )
), closed as (
    -- The intents of what was answered as a whole, was refused, or is about another contact by now.
    delete from sync.intent where id = any(%(ended)s::bigint[])
)
update sync.link l set
    -- The columns that the row took were agreed with it, whichever answer they are of.
    base = jsonb_strip_nulls(l.base || sync.not_outdated(l, a.pushed, a.ms) || a.pulled),
    base_at = l.base_at || (
        select coalesce(jsonb_object_agg(key, a.ms), '{}')
        from jsonb_object_keys(sync.not_outdated(l, a.pushed, a.ms)) key
    ),
    newest_seen = greatest(l.newest_seen, a.at),
    alive = coalesce(a.alive, l.alive),
    contact = coalesce(l.contact, a.contact),
    blocks = (l.blocks - a.cured) || a.blocks,
    blind_pushes = case
        when l.blind_pushes = '{}' then l.blind_pushes
        else sync.with_answer(l, a.pushed)
    end
from jsonb_to_recordset(%(answers)s::jsonb) as a(
    uuid uuid, pushed jsonb, pulled jsonb, ms bigint, at timestamptz, alive boolean,
    contact bigint, cured text[], blocks jsonb
)
where l.uuid = a.uuid

-- log_rewritten: what HubSpot stores in a form of its own, once, as settled
insert into sync.conflict (uuid, property, winner, kept, lost, resolved)
select uuid, property, winner, kept, lost, now()
from jsonb_to_recordset(%(conflicts)s::jsonb) as c(
    uuid uuid, property text, winner text, kept text, lost text
)
where not exists (
    -- Logged before, be it settled or not.
    select from sync.conflict o
    where o.uuid = c.uuid
    and o.property = c.property
    and o.kept is not distinct from c.kept
    and o.lost is not distinct from c.lost
)

-- mark_overtaken: mark living rows that do not hold what HubSpot has of them now: they were written
--   between read and answer
select sync.mark(array_agg(distinct sync.of_customer(c.uuid)), 1)
from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, vals jsonb)
join sync.customers() c using (uuid)
cross join lateral jsonb_each_text(w.vals) v
where c.deletedat is null
and c.canonical ->> v.key is distinct from v.value
having count(*) > 0

-- put_back: mark customers whose row was refused here after HubSpot had taken the write: the next
--   look takes it back in HubSpot
with orphaned as (
    -- New contacts that got no row: as if it had been seen to go, so that they are archived.
    update sync.link l set deleted = true
    from unnest(%(orphans)s::uuid[]) as o(uuid)
    where l.uuid = o.uuid
    and not exists (select from sync.customers() c where c.uuid = l.uuid)
)
select sync.mark(array(select sync.of_customer(uuid) from unnest(%(uuids)s::uuid[]) uuid), 0)

-- close_intents: these intents are over: their writes were certainly not sent
delete from sync.intent where id = any(%(ids)s::bigint[])

-- close_unanswered: these intents are given up without an answer; what an update sent may land yet
with gone as (
    -- Intents that no answer is waited for any more.
    delete from sync.intent
    where id = any(%(ids)s::bigint[])
    returning uuid, kind, vals, before, at
), late as (
    -- For each link, what may still land: the value, the base it was sent from, and until when.
    select
        uuid,
        jsonb_agg(jsonb_build_object(
            'column', key,
            'value', value,
            'before', before -> key,
            'until', at + %(landing)s * interval '1 second'
        )) as entries
    from gone, jsonb_each(vals)
    where kind = 'update'
    group by uuid
)
update sync.link l set late = l.late || late.entries
from late
where l.uuid = late.uuid

-- answer_intents: what HubSpot answered is settled, the rest stays open
with answer as (
    -- Each intent with what HubSpot's answer left out.
    select id, vals - answered as rest
    from jsonb_to_recordset(%(answers)s::jsonb) as a(id bigint, answered text[])
    join sync.intent using (id)
), settled as (
    -- Intents of which nothing was left out are over.
    delete from sync.intent i
    using answer a
    where i.id = a.id and a.rest = '{}'
)
update sync.intent i set vals = a.rest
from answer a
where i.id = a.id and a.rest <> '{}'
