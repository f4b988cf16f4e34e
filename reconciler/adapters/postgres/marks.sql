-- mark: mark subjects due now
select sync.mark(%(subjects)s::text[], %(lane)s::integer, %(privacy)s::boolean)

-- has_dirty: whether the triggers have noted something, or pairs that waited for a column are still
--   to be woken
(select from sync.dirty limit 1)
union all
(select from sync.suspended where woken is not null limit 1)

-- next_lane: the first of these lanes that has due marks, once captured SQL writes, overdue intents
--   and pairs that waited for a column that is back are marked; and whether marks about addresses
--   are due
select
    sync.next_lane(%(lanes)s::integer[]) as lane,
    exists (select from sync.mark where due <= now() and subject like 'e:%%') as has_addresses

-- take_addresses: take the due marks about addresses for a while; a living customer that has one of
--   the addresses by now is marked, too
with taken as (
    -- Due marks about addresses, put off for as long as a lease: no other worker takes them.
    update sync.mark set due = now() + %(lease)s * interval '1 second'
    where subject in (
        select subject from sync.mark
        where due <= now() and subject like 'e:%%'
        order by due
        limit %(limit)s
        for update skip locked
    )
    returning substr(subject, 3) as address, generation
), marked as (
    -- One mark for each such customer; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_customer(c.uuid)), 1)
    from taken t
    join sync.customers() c on c.address = t.address
        and c.deletedat is null
    having count(*) > 0
)
select address, generation from taken
where (select count(*) from marked) >= 0

-- claim: lease due pairs, or those of the subjects in `only`, due or not
select uuid, fence, marks, attempts, delays, privacy
from sync.claim(
    %(lanes)s::integer[],
    %(limit)s,
    %(lease)s * interval '1 second',
    %(only)s::text[]
)

-- claim_page: lease the pairs of a page's news that it counts for, and mark the other news
select uuid, fence
from sync.claim_page(
    %(page)s::jsonb,
    %(lane)s,
    %(lease)s * interval '1 second',
    %(read_at)s::bigint
)

-- end_claims: end claims, and leave their links free; returns the pairs whose claim was lost (not
--   those whose link is gone, unless their marks lead to another link by now)
with claimed as (
    -- The claims that end, with the subjects of the marks that led to them.
    select *
    from jsonb_to_recordset(%(claims)s::jsonb) as c(
        uuid uuid, fence bigint, subjects text[], exhausted boolean
    )
), held as (
    -- Claims that still hold. The new fence tells a sweep that the pair was worked on meanwhile.
    update sync.link l set
        lease_until = null,
        fence = nextval('sync.number'),
        blocks = case
            when c.exhausted then l.blocks || %(why)s::jsonb
            else l.blocks
        end
    from claimed c
    where l.uuid = c.uuid and l.fence = c.fence
    returning l.uuid
)
select c.uuid from claimed c
where c.uuid not in (select uuid from held)
and (
    exists (select from sync.link l where l.uuid = c.uuid)
    or exists (select from sync.resolved(c.subjects) r where r.uuid is not null)
)

-- settle_marks: the marks of claims that have ended: settled ones go (one made again stays), others
--   are due later. (For itself: what is marked while the links are waited for is to be seen.)
with mark as materialized (
    -- Each mark with the generation that was claimed, and with a delay where it is not settled.
    select *
    from jsonb_to_recordset(%(marks)s::jsonb) as m(
        subject text, generation bigint, delay double precision, spent smallint, delays smallint
    )
), cleared as (
    -- Settled marks.
    delete from sync.mark m using mark
    where m.subject = mark.subject and m.generation = mark.generation and mark.delay is null
), again as (
    -- Marks made again meanwhile: they stay, and their worker came back, so no crash is counted.
    update sync.mark m set crashes = 0
    from mark
    where m.subject = mark.subject
    and m.generation <> mark.generation
    and mark.delay is null
    and m.crashes > 0
), late as (
    -- Marks that are put off.
    update sync.mark m set
        due = case
            when m.generation = mark.generation
                then clock_timestamp() + mark.delay * interval '1 second'
            -- One that was made again meanwhile is due at once.
            else least(m.due, clock_timestamp())
        end,
        crashes = 0,
        attempts = m.attempts + mark.spent,
        delays = mark.delays
    from mark
    where m.subject = mark.subject and mark.delay is not null
)
insert into sync.mark (subject, due)
-- Another look, later, at pairs that no mark led to.
select subject, now() + delay * interval '1 second'
from jsonb_to_recordset(%(later)s::jsonb) as l(subject text, delay double precision)
order by 1
on conflict (subject) do update set due = least(sync.mark.due, excluded.due)

-- block: let records, or properties of theirs, not move
update sync.link set blocks = blocks || %(blocks)s::jsonb
where uuid = any(%(uuids)s::uuid[])
