-- load: the claimed pairs: link with base, customer and open intents
select
    l.uuid as link_uuid, l.contact, l.base, l.base_at, l.alive, l.edited, l.blocks, l.late,
    l.newest_seen, l.merged_through, l.stale_reads, l.blind_pushes,
    l.detached, l.privacy, l.fence, l.erase_due,
    -- Either the link knows that the trigger saw the row go, or what it noted is not folded yet.
    l.deleted
        or c.uuid is null
            and exists (select from sync.dirty d where d.uuid = l.uuid and d.deleted)
        as deletion_seen,
    -- A policy may hide rows from this role: one that is absent may be there all the same.
    c.uuid is null and sync.hides_rows() as hides_rows,
    c.uuid, c.key, c.raw, c.canonical, c.createdat, c.updatedat,
    c.contactid, c.hubspotcreatedat, c.hubspotupdatedat,
    c.deletedat is not null as deleted,
    c.erasedat is not null as erased,
    c.mergedinto,
    i.intents
from sync.link l
left join sync.customers() c on c.uuid = l.uuid
left join lateral (
    select jsonb_agg(jsonb_build_object(
        'id', id,
        'kind', kind,
        'values', vals,
        'at', at,
        -- Its call has ended, even if the fold has not said so yet.
        'overdue', overdue or deadline < now(),
        'hubspot_first', hubspot_first,
        'reserved', reserved is not null,
        'before', before
    )) as intents
    from sync.intent
    where uuid = l.uuid
) i on true
where l.uuid = any(%(uuids)s::uuid[])

-- holders: which customers have these addresses: rows that are not in scope, the living ones, and
--   those with an open create under an address that is not their own (yet, or any more)
select
    o.address, o.uuid, null::bigint as contact, o.address as email, null as base_email,
    null::timestamptz as createdat, false as busy, true as alive, false as placeholder, false as blocked,
    true as outside
from sync.outside(%(addresses)s::text[]) o
union all
select
    c.address,
    c.uuid,
    l.contact,
    c.address as email,
    l.base ->> 'email' as base_email,
    c.createdat,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false) as busy,
    true as alive,
    false as placeholder,
    -- The address itself is blocked, or the whole record: it will not be given up soon.
    coalesce(l.blocks ?| '{email,*}', false) as blocked,
    false as outside
from sync.customers() c
left join sync.link l on l.uuid = c.uuid
where c.address = any(%(addresses)s::text[])
and c.deletedat is null
union all
select
    i.vals ->> 'email',
    i.uuid,
    l.contact,
    i.vals ->> 'email',
    l.base ->> 'email',
    null,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false),
    true,
    false,
    false,
    false
from sync.intent i
join sync.link l on l.uuid = i.uuid
where i.kind = 'create'
and i.vals ->> 'email' = any(%(addresses)s::text[])
and not exists (
    -- A living customer that has the address itself is in the first half.
    select from sync.customers() c
    where c.uuid = i.uuid
    and c.deletedat is null
    and c.address = i.vals ->> 'email'
)

-- owners: which links have these contacts, and what is known of their customers
select
    l.contact as linked,
    l.uuid,
    l.contact,
    c.address as email,
    l.base ->> 'email' as base_email,
    c.createdat,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false) as busy,
    coalesce(c.deletedat is null and c.uuid is not null, false) as alive,
    -- Made by a claim of an unknown contact: no customer, nothing agreed, nothing sent.
    c.uuid is null
        and l.alive is null
        and l.blind_pushes = '{}'
        and not exists (select from sync.intent i where i.uuid = l.uuid)
        as placeholder,
    l.blocks ?| '{email,*}' as blocked,
    false as outside
from sync.link l
left join sync.customers() c on c.uuid = l.uuid
where l.contact = any(%(contacts)s::bigint[])

-- set_apart: which of these contacts are erased people's ('ignored'), and which were archived and
--   replaced by another ('former')
select contact, kind
from sync.alias
where contact = any(%(contacts)s::bigint[])
and kind in ('ignored', 'former')

-- conditions: whether a create without an address is open (a contact without one may come of it),
--   and which columns wait for HubSpot's schema, each with the reason
select
    exists (
        select from sync.intent
        where kind = 'create' and not vals ? 'email'
    ) as has_nameless_create,
    (
        select coalesce(jsonb_object_agg(name, reason), '{}')
        from sync.suspended
        where woken is null
    ) as suspended

-- suspend: let columns wait for HubSpot's schema
with again as (
    -- Columns that were back, and are gone again before all pairs that waited were marked.
    update sync.suspended set
        reason = %(reason)s,
        woken = null
    where name = any(%(fields)s::text[])
    and woken is not null
)
insert into sync.suspended (name, reason)
select name, %(reason)s
from unnest(%(fields)s::text[]) as name
on conflict (name) do nothing
returning name

-- resume: let columns go again; the pairs that wait for one of them are marked later, from
--   the first uuid on (`wake`)
update sync.suspended set woken = '00000000-0000-0000-0000-000000000000'
where name = any(%(fields)s::text[])
and woken is null

-- join: lease the free pairs that have an address which changes hands, here or in HubSpot
with wanted as (
    -- Customers that have an address wanted here, and links whose contact has one wanted there.
    select uuid
    from sync.customers()
    where address = any(%(pulled)s::text[])
    and deletedat is null
    union
    select uuid
    from sync.link
    where base ->> 'email' = any(%(pushed)s::text[])
), free as (
    -- Those with a contact that are not in the batch yet, and that no worker holds a claim on.
    select l.uuid
    from sync.link l
    join wanted using (uuid)
    where l.uuid <> all(%(present)s::uuid[])
    and l.contact is not null
    and (
        l.lease_until is null
        or l.lease_until < now()
    )
    order by l.uuid
    limit 100
    for update of l skip locked
)
update sync.link l set
    lease_until = now() + %(lease)s * interval '1 second',
    fence = nextval('sync.number')
from free
where l.uuid = free.uuid
returning l.uuid, l.fence

-- know_addresses: remember addresses that a customer's contact has, or had, beside its own: an
--   erase covers them, too
update sync.link set
    former = array(select unnest(former) union select unnest(%(addresses)s::text[]))
where uuid = %(uuid)s

-- hold_claim: make sure that a claim still holds, until this transaction ends
select uuid
from sync.link
where uuid = %(uuid)s
and fence = %(fence)s
for update

-- lock_steps: lock the links of these steps, and the rows that they write; returns the steps whose
--   claim or read is out of date, and those whose row another transaction has locked
with step as materialized (
    -- What each step was decided by: a claim, and HubSpot's time of the contact that was read.
    select *
    from jsonb_to_recordset(%(steps)s::jsonb) as s(
        uuid uuid, fence bigint, at timestamptz, believe boolean, touches boolean
    )
), locked as materialized (
    -- Links with that claim still, of whose contact no answer is newer than the read.
    select l.uuid, s.touches
    from sync.link l
    join step s using (uuid)
    where l.fence = s.fence
    and (
        s.at is null
        or l.newest_seen is null
        -- An older read is believed when it was looked at often enough.
        or s.believe
        or l.newest_seen <= s.at
    )
    order by l.uuid
    for update of l
), loose as materialized (
    -- Of the rows to be written those that no other transaction has locked.
    select uuid
    from sync.loose_customers(array(select uuid from locked where touches)) uuid
)
select uuid, true as outdated
from step
where uuid not in (select uuid from locked)
union all
select uuid, false
from sync.customers()
where uuid = any(array(select uuid from locked where touches))
and uuid not in (select uuid from loose)

-- lock_customers: lock the rows about to be written; returns the ones that another transaction has
--   locked
with loose as materialized (
    -- Rows that no other transaction has locked.
    select uuid
    from sync.loose_customers(%(uuids)s::uuid[]) uuid
)
select uuid
from sync.customers()
where uuid = any(%(uuids)s::uuid[])
and uuid not in (select uuid from loose)
