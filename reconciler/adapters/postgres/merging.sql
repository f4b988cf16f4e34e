-- log_conflicts: keep the losers of conflicts, each once
insert into sync.conflict (uuid, property, winner, kept, lost)
select uuid, property, winner, kept, lost
from jsonb_to_recordset(%(conflicts)s::jsonb) as c(
    uuid uuid, property text, winner text, kept text, lost text
)
on conflict (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, '')))
    where resolved is null
    do nothing
returning uuid, property

-- insert_customers: new customers for contacts; one whose address or uuid is taken by now is left
--   out. Where a trigger of the owner's may change a row (`watched`), says what the row holds
with wanted as (
    -- The customers that contacts are to have, each under the uuid of its link.
    select *
    from jsonb_to_recordset(%(rows)s::jsonb) as w(
        uuid uuid, vals jsonb, contact bigint, created timestamptz, updated timestamptz
    )
), free as (
    -- Those whose uuid is no customer's by now, and whose address is no living customer's.
    select w.*
    from wanted w
    where not exists (select from sync.customers() c where c.uuid = w.uuid)
    and not exists (
        select from sync.customers() c
        where c.address = w.vals ->> 'email'
        and c.deletedat is null
    )
), passing as (
    -- Of two that want one address only the first gets it; those without an address all pass.
    select distinct on (coalesce(vals ->> 'email', uuid::text)) *
    from free
    order by coalesce(vals ->> 'email', uuid::text), uuid
), done as (
    -- The new customers, as the rows are after the owner's triggers.
    select uuid, holds
    from sync.insert_customers((select jsonb_agg(to_jsonb(p)) from passing p), %(watched)s)
)
select uuid, holds, false as swallowed
from done
union all
select
    -- A trigger of the owner's let these go nowhere.
    uuid, null, true
from passing
where uuid not in (select uuid from done)

-- release_addresses: take the addresses off the customers whose address moves, so that another
--   customer can take them
select uuid
from sync.write_customers((
    select jsonb_agg(jsonb_build_object('uuid', c.uuid, 'vals', '{"email": null}'::jsonb))
    from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, raw text)
    join sync.customers() c using (uuid)
    where c.raw ->> 'email' is not distinct from w.raw
    and sync.releases()
))

-- write_customers: compare-and-set of columns and of being alive; says which columns took, and what
--   the row holds of them now where a trigger of the owner's may change it (`watched`)
with wanted as (
    -- What is to be written, and what the row held, and whether it lived, when that was decided.
    select *
    from jsonb_to_recordset(%(rows)s::jsonb) as w(
        uuid uuid, vals jsonb, raw jsonb, was_alive boolean, becomes_alive boolean,
        contact bigint, created timestamptz, updated timestamptz
    )
), passing as (
    -- What may be written of that: columns that are unchanged, and an address that is still free.
    select
        w.uuid,
        w.becomes_alive,
        w.contact,
        w.created,
        w.updated,
        w.becomes_alive is null
            or (c.deletedat is null) = w.was_alive
            as lived,
        coalesce(
            (
                select jsonb_object_agg(v.key, v.value)
                from jsonb_each(w.vals) v
                where c.raw -> v.key is not distinct from w.raw -> v.key
                and (
                    v.key <> 'email'
                    or v.value = 'null'
                    or not exists (
                        select from sync.customers() o
                        where o.address = v.value #>> '{}'
                        and o.deletedat is null
                        and o.uuid <> c.uuid
                    )
                )
            ),
            '{}'
        ) as vals
    from wanted w
    -- `offset 0`: the row is turned into JSON once, not once per column.
    cross join lateral (
        select c.uuid, c.deletedat, c.raw
        from sync.customers() c
        where c.uuid = w.uuid
        offset 0
    ) c
), done as (
    -- The rows as they are now; the times and the id that they show of the contact go along.
    select uuid, alive, holds
    from sync.write_customers(
        (
            select jsonb_agg(jsonb_build_object(
                'uuid', uuid,
                'vals', vals,
                'alive', case when lived then becomes_alive end,
                'contact', contact,
                'created', created,
                'updated', updated
            ))
            from passing
        ),
        %(watched)s
    )
)
-- A trigger of the owner's let those that are not done go nowhere.
select p.uuid, p.vals as written, p.lived, d.alive, d.holds, d.uuid is null as swallowed
from passing p
left join done d using (uuid)

-- give_addresses_back: customers whose address was taken off and could not move get it back; that
--   was no edit
select uuid
from sync.write_customers((
    select jsonb_agg(jsonb_build_object(
        'uuid', c.uuid,
        'vals', jsonb_build_object('email', w.raw),
        'edited', w.updated
    ))
    from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, raw text, updated timestamptz)
    join sync.customers() c using (uuid)
    where c.raw ->> 'email' is null
))

-- move_links: the base follows what was agreed, written or inserted; the read is remembered when
--   nothing was left out; where nothing is left to do, the claim ends. What was written is logged
with logged as (
    -- What was written into which row.
    insert into sync.history (uuid, side, action, changes)
    select uuid, side, action, changes
    from jsonb_to_recordset(%(history)s::jsonb) as h(
        uuid uuid, side text, action text, changes jsonb
    )
)
update sync.link l set
    lease_until = case when not s.ends then l.lease_until end,
    -- The new fence tells a sweep that the pair was worked on meanwhile.
    fence = case when s.ends then nextval('sync.number') else l.fence end,
    base = jsonb_strip_nulls(l.base || s.base),
    alive = coalesce(s.alive, l.alive),
    stale_reads = s.stale_reads,
    -- A read that is older than what was seen, and believed all the same, takes its place.
    newest_seen = case
        when s.believe then s.at
        else greatest(l.newest_seen, s.at)
    end,
    merged_through = case
        when s.whole then s.at
        else l.merged_through
    end,
    blocks = (l.blocks - s.cured) || s.blocks,
    -- The history was looked at, and nothing was pushed without a read since the pair was loaded.
    blind_pushes = case
        when s.checked
            and s.blind_pushes = (
                select coalesce(jsonb_object_agg(key, value -> 'sent'), '{}')
                from jsonb_each(l.blind_pushes)
            )
            then '{}'
        else l.blind_pushes
    end,
    late = case
        when s.whole then (
            select coalesce(jsonb_agg(each), '[]')
            from jsonb_array_elements(l.late) each
            -- What is forgotten was over when the contact was read, a minute ago at most.
            where (each ->> 'until')::timestamptz > now() - interval '1 minute'
        )
        else l.late
    end,
    former = case
        when s.beside <@ l.former then l.former
        else array(select unnest(l.former) union select unnest(s.beside))
    end,
    detached = case
        when s.attached then false
        else l.detached
    end,
    privacy = l.privacy or s.privacy
from jsonb_to_recordset(%(steps)s::jsonb) as s(
    privacy boolean, uuid uuid, base jsonb, alive boolean, stale_reads smallint, believe boolean,
    at timestamptz, whole boolean, cured text[], blocks jsonb, checked boolean, blind_pushes jsonb,
    attached boolean, ends boolean, beside text[]
)
where l.uuid = s.uuid

-- wake_waiting: look again at links that are blocked because other contacts or customers had these
--   addresses (by fingerprint), which have just been given up
with waiting as (
    -- These links, and what of each (the address, or the record) waits for the address.
    select l.uuid, array_agg(b.key) as keys
    from sync.link l, jsonb_each(l.blocks) b
    where l.blocks <> '{}'
    and b.key = any(sync.ended_by(l.blocks, 'address_freed'))
    and b.value ->> 'fingerprint' = any(%(fingerprints)s::text[])
    group by l.uuid
), woken as (
    -- They are not blocked any more.
    update sync.link l set blocks = l.blocks - w.keys
    from waiting w
    where l.uuid = w.uuid
    returning l.uuid
)
select sync.mark(array_agg(sync.of_customer(uuid)), 1)
from woken
having count(*) > 0
