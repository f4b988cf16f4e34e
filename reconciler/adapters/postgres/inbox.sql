-- receive: mark the contacts of a delivery, durably, and count its events
with durable as (
    -- HubSpot is told that the delivery was taken, and so the commit must wait for the disk.
    select set_config('synchronous_commit', 'on', true)
), counted as (
    -- The events of the delivery by kind, also those that mark nothing.
    insert into sync.event (kind, count)
    select key, value::bigint from jsonb_each_text(%(counts)s::jsonb)
    order by 1
    on conflict (kind) do update set
        count = sync.event.count + excluded.count,
        at = clock_timestamp()
)
insert into sync.mark (subject, lane, privacy)
select subject, 1, subject = any(%(private)s::text[])
from durable, unnest(%(subjects)s::text[]) as subject
order by subject
on conflict (subject) do update set
    generation = nextval('sync.number'),
    due = least(sync.mark.due, now()),
    lane = least(sync.mark.lane, 1),
    -- A privacy deletion that was announced is not taken back by a later event.
    privacy = sync.mark.privacy or excluded.privacy

-- quarantine: note a body that could not be read, without keeping what may be personal in it
with counted as (
    -- It counts among the events.
    insert into sync.event (kind, count) values ('unreadable', 1)
    on conflict (kind) do update set
        count = sync.event.count + 1,
        at = clock_timestamp()
)
insert into sync.quarantine (reason, size, hash) values (%(reason)s, %(size)s, %(hash)s)

-- count_events: count what was not taken; `last` is when each kind came last
insert into sync.event (kind, count, at)
select kind, times, last
from unnest(%(kinds)s::text[], %(times)s::bigint[], %(last)s::timestamptz[])
    as counted (kind, times, last)
order by kind
on conflict (kind) do update set
    count = sync.event.count + excluded.count,
    at = greatest(sync.event.at, excluded.at)
