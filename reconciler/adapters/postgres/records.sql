-- take_job: take a job of which one process is enough, if it is due and no other process is at it
insert into sync.heartbeat as h (job, taken) values (%(job)s, now())
on conflict (job) do update set taken = now()
where h.at < now() - %(every)s * interval '1 second'
and h.taken < now() - %(stale)s * interval '1 second'
returning job

-- hold_job: this process is still at the job
update sync.heartbeat set taken = now() where job = %(job)s

-- beat: a job succeeded
insert into sync.heartbeat (job, at) values (%(job)s, now())
on conflict (job) do update set at = now()

-- leave_job: this process is not at the job any more: its next turn may come at once
update sync.heartbeat set taken = '-infinity' where job = %(job)s

-- beats: when the jobs last succeeded
select job, at, extract(epoch from now() - at)::float8 as age
from sync.heartbeat
where at > '-infinity'

-- read_cursor: where a walk or poll stands
select value from sync.cursor where name = %(name)s

-- number: a number above all fences and generations there are, and below all that will be
select nextval('sync.number') as number

-- count_linked: how many contacts are linked and alive
select count(*) as count from sync.link where contact is not null and alive

-- mark_missing: mark linked contacts that a walk did not meet in a part of the id space
with missing as (
    -- Contacts believed to be alive that HubSpot does not list: a look finds out about them.
    select contact from sync.link
    where contact > %(after)s
    and contact <= %(upto)s
    and alive
    and contact <> all(%(met)s::bigint[])
), marked as (
    -- One mark for each of them; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_contact(contact) order by contact), %(lane)s) from missing
    having count(*) > 0
)
select count(*) as count from missing
where (select count(*) from marked) >= 0

-- mark_changed: mark the contacts of a page that are unknown, or that changed since their last full
--   read, and remember where the poll stands; returns how many
with cursor as (
    -- Where the poll stands; it moves with the marks of its page, or not at all.
    insert into sync.cursor (name, value) values (%(cursor)s, %(value)s::jsonb)
    on conflict (name) do update set value = excluded.value, at = now()
), news as (
    -- What is marked.
    select contact from sync.news(%(page)s::jsonb) contact
), marked as (
    -- One mark for each; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_contact(contact) order by contact), %(lane)s) from news
    having count(*) > 0
)
select count(*) as count from news
where (select count(*) from marked) >= 0

-- save_cursor: remember where a walk stands
insert into sync.cursor (name, value) values (%(name)s, %(value)s::jsonb)
on conflict (name) do update set value = excluded.value, at = now()

-- find_rows: take in what no trigger saw of the next rows after a key; returns the last one
select sync.find_rows(%(after)s, %(most)s) as last

-- mark_drifted: mark, among the next customers, those that differ from their base, have no link,
--   wait for an address or are held: what no trigger saw; and links whose row has gone without a
--   word
with page as (
    -- The next customers.
    select uuid from sync.customers()
    where uuid > %(after)s and uuid <= %(upto)s
    order by uuid
    limit %(limit)s
), last as (
    -- Where this look ends. Beyond the last customer the links are looked at to the end.
    select coalesce((select uuid from page order by uuid desc limit 1), %(upto)s::uuid) as uuid
), drifted as (
    -- Customers that are not as was agreed, or whose block may be over; links without a customer.
    select c.uuid
    from page
    join sync.customers() c using (uuid)
    left join sync.link l using (uuid)
    where c.mergedinto is null
    and c.erasedat is null
    and (
        -- A living customer that has no link yet.
        l.uuid is null
            and c.deletedat is null
        -- A living one without a contact, and no block that says why.
        or l.contact is null
            and c.deletedat is null
            and not l.detached
            and l.blocks = '{}'
        -- One that waits for an address, or is held by the brake.
        or l.blocks <> '{}'
            and not l.detached
            and (
                sync.ended_by(l.blocks, 'address_freed') <> '{}'
                or sync.ended_by(l.blocks, 'allowance') <> '{}'
            )
        -- One with a contact that is not as was agreed: in being alive, or in a value.
        or l.contact is not null
            and not l.detached
            and (
                (c.deletedat is null) is distinct from coalesce(l.alive, true)
                or c.deletedat is null
                    and sync.differs(c.canonical, l.base)
            )
    )
    union all
    select l.uuid from sync.link l, last
    where l.uuid > %(after)s
    and l.uuid <= last.uuid
    and l.contact is not null
    and (l.alive or l.blocks <> '{}')
    and not exists (select from sync.customers() c where c.uuid = l.uuid)
    -- Where the table hides rows, one that is not there says nothing.
    and not sync.hides_rows()
), marked as (
    -- One mark for each of them; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_customer(uuid)), %(lane)s) from drifted
    having count(*) > 0
)
select
    (select last.uuid from last where exists (select from page)) as last,
    (select count(*) from drifted) as drifted
where (select count(*) from marked) >= 0

-- living_contacts: some linked contacts that are believed to be alive, drawn by chance
(
    -- Those that follow a place drawn by chance.
    select contact from sync.link
    where uuid >= (select gen_random_uuid())
    and alive
    and contact is not null
    and contact <> all(%(apart_from)s::bigint[])
    order by uuid
    limit %(limit)s
)
union
(
    -- The first ones, as few or none may follow that place.
    select contact from sync.link
    where alive
    and contact is not null
    and contact <> all(%(apart_from)s::bigint[])
    order by uuid
    limit %(limit)s
)
limit %(limit)s

-- grant_danger: take from the rolling hour's allowance what there is
select name, granted from sync.grant_danger(%(needs)s::jsonb)

-- allow: let so many more of a kind go within a day, and look again at as many of the links held
--   for it, first at those whose contact, as last read, has stood unchanged for longest; returns
--   how many are looked at, and how many were held
with allowed as (
    -- What an operator allows is added to what is left of an earlier allowance.
    insert into sync.allowance (kind, count, until)
    values (%(kind)s, %(count)s, now() + interval '1 day')
    on conflict (kind) do update set
        until = excluded.until,
        count = case
            when sync.allowance.until > now() then sync.allowance.count
            else 0
        end + excluded.count
), held as (
    -- Links of which the brake holds something of this kind, in the order they are let go.
    select uuid, row_number() over (order by merged_through nulls last, uuid) as place
    from sync.link
    where blocks <> '{}'
    and exists (select from jsonb_each(blocks) b where b.value ->> 'reason' = %(reason)s)
), freed as (
    -- As many of them as are allowed: they are held for this no more, other blocks stay.
    update sync.link l set blocks = coalesce(
        (
            select jsonb_object_agg(b.key, b.value) from jsonb_each(l.blocks) b
            where b.value ->> 'reason' <> %(reason)s
        ),
        '{}'
    )
    from held
    where l.uuid = held.uuid and held.place <= %(count)s
    returning l.uuid
), marked as (
    -- One mark for each of these; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_customer(uuid)), 1) from freed
    having count(*) > 0
)
select (select count(*) from freed) as woken, (select count(*) from held) as held
where (select count(*) from marked) >= 0

-- allow_all: let any number of these kinds go until told otherwise, or for a day
insert into sync.allowance (kind, count, until)
select kind || ':all', 0, now() + interval '1 day' from unnest(%(kinds)s::text[]) kind
on conflict (kind) do update set until = excluded.until

-- end_allowance: let any number of these kinds go no more
delete from sync.allowance
where kind = any(array(select kind || ':all' from unnest(%(kinds)s::text[]) kind))

-- prune: drop what has become too old to be of use, the history a portion at a time
with a as (
    -- The oldest entries of the history.
    delete from sync.history
    where id in (
        select id from sync.history
        where at < now() - interval '90 days'
        order by at
        limit 50000
    )
    returning uuid, changes
), settled as (
    -- Conflicts that were settled long ago.
    delete from sync.conflict
    where resolved < now() - interval '90 days'
    returning uuid, property, kept, lost
), said as (
    -- The addresses that these entries and conflicts tell of.
    select uuid, sync.address(address) as address
    from a, jsonb_array_elements_text(changes -> 'email') address
    union
    select uuid, sync.address(address)
    from settled, unnest(array[kept, lost]) address
    where property = 'email'
), known as (
    -- Their links remember them from now on: an erase takes every address a person ever had.
    update sync.link l set
        former = array(select unnest(l.former) union select unnest(past.addresses))
    from (
        select uuid, array_agg(address) as addresses
        from said
        where address is not null
        group by uuid
    ) past
    where l.uuid = past.uuid
), b as (
    -- Idempotency keys with their answers: they are remembered for a day.
    delete from sync.idempotency where at < now() - interval '1 day'
), c as (
    -- What passed the brake: it looks back for a day at most.
    delete from sync.danger where at < now() - interval '1 day'
), d as (
    -- HubSpot calls by day.
    delete from sync.day where day < now() - interval '60 days'
), h as (
    -- HubSpot calls by hour.
    delete from sync.hour where at < now() - interval '60 days'
)
-- Bodies of deliveries that could not be read.
delete from sync.quarantine where at < now() - interval '30 days'
