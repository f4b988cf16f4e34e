-- status: the state of the sync in numbers
select * from sync.status

-- causes: what keeps the sync, or a part of it, from working
select cause, since, reason from sync.causes

-- blocks: what does not move, by reason and property
select code, property, min(sentence) as sentence, count(*) as count
from sync.parked
group by code, property
order by count(*) desc

-- budget: the HubSpot calls of the current windows
select kind, calls, used, today from sync.budget

-- events: what came to the webhook receiver, and how often
select kind, count from sync.event order by kind

-- count_unlinked: live customers without a contact that nothing keeps from getting one
select count(*) as count
from sync.customers() c
left join sync.link l on l.uuid = c.uuid
where c.deletedat is null
and l.contact is null
and coalesce(l.blocks, '{}') = '{}'

-- audit_customers: the next customers and links side by side, and what may be under way with them
with page as (
    -- The next uuids that a customer or a link has, without customers merged into another.
    (
        select uuid from sync.customers()
        where uuid > %(after)s::uuid and mergedinto is null
        order by uuid
        limit %(limit)s
    )
    union
    (
        select l.uuid from sync.link l
        where l.uuid > %(after)s::uuid
        and not exists (select from sync.customers() c where c.uuid = l.uuid and c.mergedinto is not null)
        order by l.uuid
        limit %(limit)s
    )
    order by uuid
    limit %(limit)s
)
select
    p.uuid,
    c.uuid is not null as present,
    c.raw, c.canonical,
    coalesce(l.base, '{}') as base,
    c.deletedat is null as living,
    c.erasedat, l.contact, l.blocks,
    coalesce(l.detached, false) as detached,
    -- Conflicts that wait for a person to choose.
    (
        select array_agg(property) from sync.conflict f
        where f.uuid = l.uuid
        and f.winner is null
        and f.resolved is null
    ) as undecided,
    exists (
        select from sync.mark m
        where m.subject in (sync.of_customer(p.uuid), sync.of_contact(l.contact))
    )
        or exists (select from sync.intent i where i.uuid = l.uuid)
        or exists (select from sync.dirty d where d.uuid = p.uuid)
        -- Of many rows at once it is not known yet which these are.
        or exists (select from sync.dirty d where d.uuid is null)
        or coalesce(l.lease_until > now(), false) as pending
from page p
left join sync.customers() c on c.uuid = p.uuid
left join sync.link l on l.uuid = p.uuid
order by p.uuid

-- audit_contact: what is known of a contact that no customer shows
select
    coalesce(a.kind = 'ignored', false) as ignored,
    exists (select from sync.outside(array[%(address)s::text])) as outside,
    coalesce(l.blocks <> '{}', false) as blocked,
    coalesce('*' = any(sync.ended_by(l.blocks, 'allowance')), false) as held,
    exists (select from sync.mark m where m.subject = sync.of_contact(%(contact)s::bigint))
        or coalesce(l.lease_until > now(), false) as marked
from (select %(contact)s::bigint as contact) k
left join sync.link l using (contact)
left join sync.alias a using (contact)
