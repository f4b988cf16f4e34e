-- begin_request: take an idempotency key; a key whose request has ended without an answer is taken
--   over, and stays with the customer that it was about
insert into sync.idempotency as i (caller, key, request, uuid, fence, lease_until)
values (
    %(caller)s, %(key)s, %(request)s, %(uuid)s,
    nextval('sync.number'),
    now() + %(lease)s * interval '1 second'
)
on conflict (caller, key) do update set lease_until = excluded.lease_until, fence = excluded.fence
where i.status is null
and i.request = excluded.request
-- Its process died, or it failed on our side.
and i.lease_until < now()
returning uuid, fence, uuid is distinct from %(uuid)s as is_repeat, body

-- known_request: a request that was seen before
select uuid, request, status, body from sync.idempotency
where caller = %(caller)s and key = %(key)s

-- has_open_create: whether a create of this customer may still be under way
select exists (select from sync.intent where uuid = %(uuid)s and kind = 'create') as open

-- customers_by_address: the live customers with these addresses
select
    c.address,
    c.uuid, c.key, c.raw, c.canonical, c.createdat, c.updatedat,
    c.contactid, c.hubspotcreatedat, c.hubspotupdatedat,
    c.deletedat is not null as deleted,
    c.erasedat is not null as erased,
    c.mergedinto
from sync.customers() c
where c.address = any(%(addresses)s::text[])
and c.deletedat is null

-- hidden_addresses: which of these addresses belong to linked customers whose row the table hides
--   from this role
select l.base ->> 'email' as address from sync.link l
where sync.hides_rows()
and l.base ->> 'email' = any(%(addresses)s::text[])
and l.alive
and not l.deleted
and not exists (select from sync.customers() c where c.uuid = l.uuid)

-- customers_by_uuid: customers by uuid, living and deleted
select
    c.uuid, c.key, c.raw, c.canonical, c.createdat, c.updatedat,
    c.contactid, c.hubspotcreatedat, c.hubspotupdatedat,
    c.deletedat is not null as deleted,
    c.erasedat is not null as erased,
    c.mergedinto
from sync.customers() c
where c.uuid = any(%(uuids)s::uuid[])

-- uuid_of_contact: the customer of a contact; ids that HubSpot merged away, or that were archived
--   and replaced, lead to it, too, where they are nobody's now
select coalesce(
    (select uuid from sync.link where contact = %(contact)s),
    (select uuid from sync.alias where contact = %(contact)s and kind in ('merged', 'former'))
) as uuid

-- live_customers: the next hundred live customers from a uuid on, in the order of their uuids. (A
--   plan for any other number would sort the whole table.)
select
    c.uuid, c.key, c.raw, c.canonical, c.createdat, c.updatedat,
    c.contactid, c.hubspotcreatedat, c.hubspotupdatedat,
    c.deletedat is not null as deleted,
    c.erasedat is not null as erased,
    c.mergedinto
from sync.customers() c
where c.deletedat is null
and c.uuid >= %(first)s
order by c.uuid
limit 100

-- had_address: the live customers that had this address, or whose contact has it beside its own;
--   none where a person was erased or deleted who had it later
select c.uuid
from sync.link l
join sync.customers() c using (uuid)
where l.former @> array[%(address)s]
and l.former <> '{}'
and c.deletedat is null
and not exists (select from sync.tombstone where hash = sync.hash_of(%(address)s))
and not exists (
    select from sync.customers() d
    where d.address = %(address)s
    and d.deletedat is not null
    and d.mergedinto is distinct from c.uuid
)
limit 2

-- hidden_links: linked customers whose row the table hides from this role: the one with this uuid,
--   those that had this address
select l.uuid from sync.link l
where sync.hides_rows()
and (
    l.uuid = %(uuid)s::uuid
    or l.former @> array[%(address)s::text]
)
and l.alive
and not l.deleted
and not exists (select from sync.customers() c where c.uuid = l.uuid)
limit 1

-- hidden_between: linked customers in a part of the uuids whose row the table hides from this role
select l.uuid from sync.link l
where sync.hides_rows()
and l.uuid >= %(first)s
and l.uuid <= %(last)s
and l.alive
and not l.deleted
and not exists (select from sync.customers() c where c.uuid = l.uuid)
limit 1

-- check_constraints: check now what the owner's constraints defer to the commit
set constraints all immediate

-- reserve_links: leased links for customers about to be created; their marks, due when the lease
--   ends, see that nothing stays if the process dies
with links as (
    -- The links. A request that is repeated takes over the one that it made before.
    insert into sync.link (uuid, fence, lease_until)
    select uuid, nextval('sync.number'), now() + %(lease)s * interval '1 second'
    from unnest(%(uuids)s::uuid[]) as uuid
    order by uuid
    on conflict (uuid) do update set fence = excluded.fence, lease_until = excluded.lease_until
    returning uuid, fence
), marks as (
    -- One mark for each of them. Where there is one, a look under way must not clear it.
    insert into sync.mark (subject, due)
    select sync.of_customer(uuid), now() + %(lease)s * interval '1 second' from links
    order by 1
    on conflict (subject) do update set generation = nextval('sync.number')
    returning subject, generation
)
select uuid, fence, subject, generation
from links
join marks on subject = sync.of_customer(uuid)

-- lease: lease the pairs of customers for an API write. Left out are pairs that another worker
--   holds, and customers whose row another transaction has locked. A customer without a link gets
--   one for the lease to sit on
with loose as materialized (
    -- Customers whose row no other transaction has locked; this one locks it.
    select uuid from sync.loose_customers(%(uuids)s::uuid[]) uuid
), held as materialized (
    -- The others: their pairs are not leased, for the row could not follow HubSpot.
    select uuid from sync.customers()
    where uuid = any(%(uuids)s::uuid[])
    and uuid not in (select uuid from loose)
), fresh as (
    -- Links for those that have none, leased at once.
    insert into sync.link (uuid, lease_until, fence)
    select uuid, now() + %(lease)s * interval '1 second', nextval('sync.number')
    from unnest(%(uuids)s::uuid[]) as uuid
    where not exists (select from sync.link l where l.uuid = uuid.uuid)
    and uuid not in (select uuid from held)
    order by uuid
    on conflict (uuid) do nothing
    returning uuid, fence
), free as (
    -- Links that no worker holds.
    select uuid from sync.link
    where uuid = any(%(uuids)s::uuid[])
    and uuid not in (select uuid from held)
    and (lease_until is null or lease_until < now())
    order by uuid
    for update skip locked
), leased as (
    -- Their leases, each with a fence of its own.
    update sync.link l set
        lease_until = now() + %(lease)s * interval '1 second',
        fence = nextval('sync.number')
    from free
    where l.uuid = free.uuid
    returning l.uuid, l.fence
)
select uuid, fence from fresh
union all
select uuid, fence from leased

-- insert_plain: insert a customer as any SQL writer would
select uuid from sync.insert_customers(jsonb_build_array(%(row)s::jsonb))

-- write_plain: write a customer as any SQL writer would; returns no row if it is not as expected
select uuid from sync.write_customers(jsonb_build_array(%(row)s::jsonb))

-- as_expected: the living customer, if it holds what a caller expects of it
select c.uuid
from sync.customers() c
where c.uuid = %(uuid)s
and c.deletedat is null
and c.raw @> %(raw)s::jsonb

-- renew_request: keep an idempotency key, unless another request has it by now
update sync.idempotency set lease_until = now() + %(lease)s * interval '1 second'
where caller = %(caller)s
and key = %(key)s
and fence = %(fence)s
and status is null

-- end_request: keep the final answer of a request that has its key still
select sync.remember(%(caller)s, %(key)s, %(fence)s::bigint, %(status)s::smallint, %(body)s::json)

-- fail_request: let a request that failed on our side be repeated at once; its key keeps what it
--   was about
select sync.remember(%(caller)s, %(key)s, %(fence)s::bigint, null, %(body)s::json, '-infinity')
