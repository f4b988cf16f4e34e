-- Every statement the system runs, by name. A line `-- name: what it does` begins one.

-- begin_own: begin a transaction of the sync's own (not captured by the trigger), durable, and patient for 5 s at most
begin; set local sync.own = on; set local synchronous_commit = on; set local lock_timeout = '5s'; set local statement_timeout = '60s'; set local idle_in_transaction_session_timeout = '60s'; set local timezone = 'UTC'

-- begin_own_briefly: the same for a transaction that a caller waits for
begin; set local sync.own = on; set local synchronous_commit = on; set local lock_timeout = '1500ms'; set local statement_timeout = '60s'; set local idle_in_transaction_session_timeout = '60s'; set local timezone = 'UTC'

-- begin_bounded: begin a transaction in which no statement waits for ever, where the session is not ours alone
begin; set local lock_timeout = '1500ms'; set local statement_timeout = '60s'; set local idle_in_transaction_session_timeout = '60s'; set local timezone = 'UTC'

-- backend: which backend answers
select pg_backend_pid() as backend

-- configure: let no statement of this session wait for ever
select set_config('lock_timeout', '1500ms', false), set_config('statement_timeout', '60s', false), set_config('idle_in_transaction_session_timeout', '60s', false), set_config('timezone', 'UTC', false)

-- keep_plans: one plan for each statement, by key: it must be right when the tables have grown, too. What is switched off counts as dear, which would have each compiled
select set_config('jit', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)

-- mark: mark subjects due now
select sync.mark(%(subjects)s::text[], %(lane)s::integer, %(privacy)s::boolean)

-- fold: turn captured SQL writes and overdue intents into marks
select sync.fold()

-- wake: mark the next pairs that waited for a column that is back
select sync.wake()

-- has_dirty: whether the triggers have noted something, or pairs are still to be woken
(select from sync.dirty limit 1) union all (select from sync.mapping where woken is not null limit 1)

-- next_lane: the first of these lanes with due marks
select asked from unnest(%(lanes)s::integer[]) with ordinality as wanted(asked, place) where exists (select from sync.mark m where m.lane = asked and m.due <= now()) order by place limit 1

-- claim: lease due pairs
select uuid, fence, marks, attempts, delays, privacy from sync.claim(%(lanes)s::integer[], %(limit)s, %(lease)s * interval '1 second', %(only)s::text[], %(untouched_since)s::bigint)

-- lease: lease pairs for an API write whose row nobody holds; customers that have no link yet get the row a lease sits on
with loose as materialized (
    select uuid from customer where uuid = any(%(uuids)s::uuid[]) order by uuid for no key update skip locked
), held as materialized (
    select uuid from customer where uuid = any(%(uuids)s::uuid[]) and uuid not in (select uuid from loose)
), fresh as (
    insert into sync.link (uuid, lease_until, fence) select uuid, now() + %(lease)s * interval '1 second', nextval('sync.number')
    from unnest(%(uuids)s::uuid[]) as uuid where not exists (select from sync.link l where l.uuid = uuid.uuid) and uuid not in (select uuid from held)
    order by uuid on conflict (uuid) do nothing returning uuid, fence
), free as (
    select uuid from sync.link where uuid = any(%(uuids)s::uuid[]) and uuid not in (select uuid from held) and (lease_until is null or lease_until < now())
    order by uuid for update skip locked
), leased as (
    update sync.link l set lease_until = now() + %(lease)s * interval '1 second', fence = nextval('sync.number')
    from free where l.uuid = free.uuid returning l.uuid, l.fence
)
select uuid, fence from fresh union all select uuid, fence from leased

-- ensure_links: give customers the link row a lease sits on
insert into sync.link (uuid) select uuid from unnest(%(uuids)s::uuid[]) as uuid order by uuid on conflict (uuid) do nothing

-- take_addresses: take the due marks about addresses for a while; the ones a customer has by now become that customer's
with taken as (
    update sync.mark set due = now() + %(lease)s * interval '1 second'
    where subject in (select subject from sync.mark where due <= now() and subject like 'e:%%' order by due limit %(limit)s for update skip locked)
    returning substr(subject, 3) as address, generation
), marked as (
    select sync.mark(array_agg('u:' || c.uuid), 1) from taken t join customer c on sync.address(c.email) = t.address and c.deletedat is null having count(*) > 0
)
select address, generation from taken where (select count(*) from marked) >= 0

-- finish: clear settled marks; one made again meanwhile stays, and its worker came back
with done as (
    select * from jsonb_to_recordset(%(marks)s::jsonb) as d(subject text, generation bigint)
), again as (
    update sync.mark m set crashes = 0 from done where m.subject = done.subject and m.generation <> done.generation and m.crashes > 0
)
delete from sync.mark m using done where m.subject = done.subject and m.generation = done.generation

-- put_off: make marks due later; the worker came back, so the crash is taken back
update sync.mark m set due = case when m.generation = late.generation then clock_timestamp() + late.delay * interval '1 second' else least(m.due, clock_timestamp()) end,
    crashes = 0, attempts = m.attempts + late.spent, delays = late.delays
from jsonb_to_recordset(%(marks)s::jsonb) as late(subject text, generation bigint, delay double precision, spent smallint, delays smallint)
where m.subject = late.subject

-- mark_later: another look at pairs that no mark led to
insert into sync.mark (subject, due) select subject, now() + delay * interval '1 second' from jsonb_to_recordset(%(marks)s::jsonb) as later(subject text, delay double precision) order by subject
on conflict (subject) do update set due = least(sync.mark.due, excluded.due)

-- end_leases: give the pairs free; returns those whose claim was lost (not those that are gone, if their marks lead to nobody else)
with claimed as (
    select * from jsonb_to_recordset(%(claims)s::jsonb) as c(uuid uuid, fence bigint, subjects text[])
), held as (
    update sync.link l set lease_until = null, fence = nextval('sync.number')
    from claimed c where l.uuid = c.uuid and l.fence = c.fence returning l.uuid
)
select c.uuid from claimed c
where c.uuid not in (select uuid from held)
and (exists (select from sync.link l where l.uuid = c.uuid) or exists (select from sync.resolved(c.subjects) r where r.uuid is not null))

-- park: park records, or properties of theirs
update sync.link set trouble = trouble || %(trouble)s::jsonb where uuid = any(%(uuids)s::uuid[])

-- load: the claimed pairs' local side, base and open intents
select l.uuid as link_uuid, l.contact, l.base, l.alive, l.seen, l.read, l.looks, l.edited, l.trouble, l.unseen, l.late, l.base_at, l.detached, l.privacy, l.fence, l.erase_due,
    l.deleted or c.uuid is null and exists (select from sync.dirty d where d.uuid = l.uuid and d.deleted) as deletion_seen,
    c.uuid is null and row_security_active('customer') as hides_rows,
    c.uuid, c.email, c.firstname, c.lastname, c.phone, c.company, c.website, c.lifecyclestage, c.createdat, c.updatedat,
    c.contactid, c.hubspotcreatedat, c.hubspotupdatedat, c.deletedat is not null as deleted, c.erasedat is not null as erased, c.mergedinto, i.intents
from sync.link l
left join customer c on c.uuid = l.uuid
left join lateral (
    select jsonb_agg(jsonb_build_object('id', id, 'kind', kind, 'values', vals, 'at', at, 'overdue', overdue or deadline < now(), 'ahead', ahead, 'reserved', reserved is not null, 'before', before)) as intents
    from sync.intent where uuid = l.uuid
) i on true
where l.uuid = any(%(uuids)s::uuid[])

-- holders: who has these addresses: live customers, and open creates under an address that their customers have not (yet, or any more)
select sync.address(c.email) as address, c.uuid, l.contact, sync.address(c.email) as email, l.base ->> 'email' as base_email, c.createdat,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false) as busy, true as alive, false as placeholder, coalesce(l.trouble ?| '{email,*}', false) as stuck
from customer c left join sync.link l on l.uuid = c.uuid where sync.address(c.email) = any(%(addresses)s::text[]) and c.deletedat is null
union all
select i.vals ->> 'email', i.uuid, l.contact, i.vals ->> 'email', l.base ->> 'email', null,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false), true, false, false
from sync.intent i join sync.link l on l.uuid = i.uuid
where i.kind = 'create' and i.vals ->> 'email' = any(%(addresses)s::text[])
and not exists (select from customer c where c.uuid = i.uuid and c.deletedat is null and sync.address(c.email) = i.vals ->> 'email')

-- owners: who is linked with these contacts
select l.contact as linked, l.uuid, l.contact, sync.address(c.email) as email, l.base ->> 'email' as base_email, c.createdat,
    coalesce(l.lease_until > now() and l.uuid <> all(%(ours)s::uuid[]), false) as busy, coalesce(c.deletedat is null and c.uuid is not null, false) as alive,
    c.uuid is null and l.alive is null and l.unseen = '{}' and not exists (select from sync.intent i where i.uuid = l.uuid) as placeholder, l.trouble ?| '{email,*}' as stuck
from sync.link l left join customer c on c.uuid = l.uuid where l.contact = any(%(contacts)s::bigint[])

-- tombstoned: which of these addresses were erased
select address from unnest(%(addresses)s::text[]) as address where exists (select from sync.tombstone) and exists (select from sync.tombstone where hash = sync.hash_of(address))

-- set_apart: which of these contacts are erased people's ('ignored'), or were archived and replaced by another ('former')
select contact, kind from sync.alias where contact = any(%(contacts)s::bigint[]) and kind in ('ignored', 'former')

-- conditions: whether a create without an address is open, and the columns that wait for HubSpot's schema
select exists (select from sync.intent where kind = 'create' and not vals ? 'email') as has_nameless_create,
    (select coalesce(jsonb_object_agg(name, code), '{}') from sync.mapping where woken is null) as suspended

-- suspend_mapping: let columns wait for HubSpot's schema
with again as (
    update sync.mapping set code = %(code)s, woken = null where name = any(%(columns)s::text[]) and woken is not null
)
insert into sync.mapping (name, code) select name, %(code)s from unnest(%(columns)s::text[]) as name on conflict (name) do nothing returning name

-- resume_mapping: let columns go again; the pairs that wait for one of them are woken from the first one on
update sync.mapping set woken = '00000000-0000-0000-0000-000000000000' where name = any(%(columns)s::text[]) and woken is null

-- join: lease the free holders of addresses that change hands, here or there
with wanted as (
    select uuid from customer where sync.address(email) = any(%(pulled)s::text[]) and deletedat is null
    union
    select uuid from sync.link where base ->> 'email' = any(%(pushed)s::text[])
), free as (
    select l.uuid from sync.link l join wanted using (uuid)
    where l.uuid <> all(%(present)s::uuid[]) and l.contact is not null and (l.lease_until is null or l.lease_until < now())
    order by l.uuid limit 100 for update of l skip locked
)
update sync.link l set lease_until = now() + %(lease)s * interval '1 second', fence = nextval('sync.number') from free where l.uuid = free.uuid returning l.uuid, l.fence

-- intend: store intents of the writes whose claim still holds and whose contact is still theirs (none for a create), and prolong their leases past the call
with write as (
    select * from jsonb_to_recordset(%(writes)s::jsonb) as w(uuid uuid, fence bigint, contact bigint, kind text, vals jsonb, reserved text, ahead boolean)
), ours as (
    update sync.link l set lease_until = case when w.fence is null then l.lease_until else greatest(l.lease_until, now() + %(lease)s * interval '1 second') end,
        unseen = case when w.kind = 'update' then l.unseen || (
            select coalesce(jsonb_object_agg(v.key, coalesce(l.unseen -> v.key, jsonb_build_object(
                -- What is parked was read, and never agreed nor logged.
                'since', greatest(case when not l.trouble ?| array[v.key, '*'] then l.read end, to_timestamp((l.base_at ->> v.key)::float8 / 1000)),
                'base', l.base ->> v.key
            )) || jsonb_build_object('sent', coalesce(l.unseen -> v.key -> 'sent', '[]') || jsonb_build_array(v.value)
                    || coalesce((select jsonb_agg(i.vals -> v.key) from sync.intent i where i.uuid = l.uuid and i.vals ? v.key), '[]'))), '{}')
            from jsonb_each(w.vals) v where w.ahead or l.unseen ? v.key) else l.unseen end
    from write w where l.uuid = w.uuid and (w.fence is null or l.fence = w.fence and l.lease_until >= now()) and case w.kind when 'create' then l.contact is null else l.contact = w.contact end returning w.uuid, l.base, l.base_at
)
insert into sync.intent (uuid, kind, vals, deadline, reserved, ahead, before)
select w.uuid, w.kind, w.vals, now() + %(deadline)s * interval '1 second', w.reserved, w.ahead,
    (select coalesce(jsonb_object_agg(key, jsonb_build_array(ours.base -> key, ours.base_at -> key)), '{}')
     from jsonb_object_keys(w.vals) key where w.kind = 'update')
from write w join ours using (uuid) order by w.reserved, w.uuid
on conflict (reserved) where reserved is not null do nothing returning id, uuid

-- log_conflicts: keep the losers, each once
insert into sync.conflict (uuid, property, winner, kept, lost)
select uuid, property, winner, kept, lost from jsonb_to_recordset(%(conflicts)s::jsonb) as c(uuid uuid, property text, winner text, kept text, lost text)
on conflict (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, ''))) where resolved is null do nothing returning uuid, property

-- log_rewritten: what HubSpot stores in a form of its own, once, as settled
insert into sync.conflict (uuid, property, winner, kept, lost, resolved)
select uuid, property, winner, kept, lost, now()
from jsonb_to_recordset(%(conflicts)s::jsonb) as c(uuid uuid, property text, winner text, kept text, lost text)
where not exists (select from sync.conflict o where o.uuid = c.uuid and o.property = c.property
                  and o.kept is not distinct from c.kept and o.lost is not distinct from c.lost)

-- lock_steps: lock the links of these steps; returns those whose claim or snapshot is out of date
with step as materialized (
    select * from jsonb_to_recordset(%(steps)s::jsonb) as s(uuid uuid, fence bigint, at timestamptz, believe boolean)
), locked as materialized (
    select l.uuid from sync.link l join step s using (uuid)
    where l.fence = s.fence and (s.at is null or l.seen is null or s.believe or l.seen <= s.at)
    order by l.uuid for update of l
)
select uuid from step where uuid not in (select uuid from locked)

-- lock_customers: lock the customers about to be written; returns those whose row a transaction of somebody's holds
with loose as materialized (
    select uuid from customer where uuid = any(%(uuids)s::uuid[]) order by uuid for no key update skip locked
)
select uuid from customer where uuid = any(%(uuids)s::uuid[]) and uuid not in (select uuid from loose)

-- release_addresses: take the addresses off the customers whose address moves, so that another can take them
update customer c set email = null from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, stored text)
where c.uuid = w.uuid and c.email is not distinct from w.stored returning c.uuid

-- give_addresses_back: what was taken off and could not move stays as it was
update customer c set email = w.stored from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, stored text) where c.uuid = w.uuid and c.email is null

-- write_customers: compare-and-set of columns and of being alive; says which columns took, and what the row holds of them now where a trigger may change it
with wanted as (
    select * from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, vals jsonb, stored jsonb, was_alive boolean, becomes_alive boolean, contact bigint, created timestamptz, updated timestamptz)
), passing as (
    select w.uuid, w.becomes_alive, w.contact, w.created, w.updated,
        w.becomes_alive is null or (c.deletedat is null) = w.was_alive as lived,
        coalesce((
            select jsonb_object_agg(v.key, v.value) from jsonb_each(w.vals) v
            where h.here -> v.key is not distinct from w.stored -> v.key
            and (v.key <> 'email' or v.value = 'null' or not exists (
                select from customer o where sync.address(o.email) = v.value #>> '{}' and o.deletedat is null and o.uuid <> c.uuid))
        ), '{}') as vals
    from wanted w join customer c using (uuid) cross join lateral (select to_jsonb(c.*) as here offset 0) h
), done as (
    update customer c set
        (email, firstname, lastname, phone, company, website, lifecyclestage) = (
            select r.email, r.firstname, r.lastname, r.phone, r.company, r.website, r.lifecyclestage from jsonb_populate_record(c.*, p.vals) r),
        deletedat = case when p.becomes_alive is null or not p.lived then c.deletedat when not p.becomes_alive then coalesce(c.deletedat, clock_timestamp()) end,
        contactid = coalesce(p.contact, c.contactid), hubspotcreatedat = coalesce(p.created, c.hubspotcreatedat),
        hubspotupdatedat = greatest(c.hubspotupdatedat, p.updated)
    from passing p where c.uuid = p.uuid
    returning c.uuid, p.vals as written, p.lived, c.deletedat is null as alive,
        case when %(watched)s then (
            select coalesce(jsonb_object_agg(v.key, to_jsonb(c.*) -> v.key), '{}') from jsonb_each(p.vals) v
        ) end as holds
)
select uuid, written, lived, alive, holds, false as swallowed from done
union all
select uuid, null, null, null, null, true from passing where uuid not in (select uuid from done)

-- insert_customers: new customers for contacts; one whose address or uuid is there by now is left out
with wanted as (
    select * from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, vals jsonb, contact bigint, created timestamptz, updated timestamptz)
), free as (
    select w.* from wanted w
    where not exists (select from customer c where c.uuid = w.uuid)
    and not exists (select from customer c where sync.address(c.email) = w.vals ->> 'email' and c.deletedat is null)
), passing as (
    -- Of two that want one address only the first gets it.
    select distinct on (coalesce(vals ->> 'email', uuid::text)) * from free order by coalesce(vals ->> 'email', uuid::text), uuid
), done as (
    insert into customer (uuid, email, firstname, lastname, phone, company, website, lifecyclestage, contactid, hubspotcreatedat, hubspotupdatedat)
    select p.uuid, r.email, r.firstname, r.lastname, r.phone, r.company, r.website, r.lifecyclestage, p.contact, p.created, p.updated
    from passing p cross join lateral jsonb_populate_record(null::customer, p.vals) r
    returning uuid,
        case when %(watched)s then jsonb_build_object('email', email, 'firstname', firstname, 'lastname', lastname,
            'phone', phone, 'company', company, 'website', website, 'lifecyclestage', lifecyclestage) end as holds
)
select uuid, holds, false as swallowed from done
union all select uuid, null, true from passing where uuid not in (select uuid from done)

-- table_rules: what the owner lets no row do or does to every row: triggers, and constraints, keys and types beyond ours; and a digest of it all
with rules as (
    select 'trigger ' || pg_get_triggerdef(oid) as rule, tgtype & 2 = 2 and tgtype & 1 = 1 as changes
    from pg_trigger
    where tgrelid = to_regclass('customer') and not tgisinternal and tgname not like 'sync\_%%' and tgenabled <> 'D'
    union all
    select 'constraint ' || pg_get_constraintdef(oid), false from pg_constraint
    where conrelid = to_regclass('customer') and contype <> 'p' and contype <> 'n'
    union all
    select format('policy %%s %%s %%s', polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), false
    from pg_policy where polrelid = to_regclass('customer') and row_security_active('customer')
    union all
    select 'index ' || pg_get_indexdef(i.indexrelid), false from pg_index i join pg_class k on k.oid = i.indexrelid
    where i.indrelid = to_regclass('customer') and i.indisunique and not i.indisprimary
    and k.relname <> all(%(ours)s::text[])
    union all
    select format('column %%s %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull), false from pg_attribute
    where attrelid = to_regclass('customer') and attnum > 0 and not attisdropped and attgenerated = ''
    and (attname = any(%(columns)s::text[]) and (atttypid <> 'text'::regtype or attnotnull)
        or attnotnull and not atthasdef and attidentity = '' and attname not in ('uuid'))
)
select count(*) > 0 as any, coalesce(bool_or(changes), false) as changes, md5(coalesce(string_agg(rule, ' ' order by rule), '')) as digest from rules

-- rule_columns: the mapped columns that a constraint or unique index of the owner's is about
select a.attname as column from pg_constraint c cross join lateral unnest(c.conkey) as k(attnum)
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
where c.conrelid = to_regclass('customer') and c.conname = %(rule)s and a.attname = any(%(columns)s::text[])
union
select a.attname from pg_index i cross join lateral unnest(i.indkey) as k(attnum)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = to_regclass('customer') and i.indexrelid = to_regclass(quote_ident(%(rule)s)) and a.attname = any(%(columns)s::text[])

-- fits: make the values the columns' own, to see whether they can be
select jsonb_populate_record(null::customer, %(vals)s::jsonb) is not null as fits

-- check_constraints: what is deferred is checked now
set constraints all immediate

-- lift_refused: look again at what a rule of the owner's refused
with refused as (
    select l.uuid, array_agg(t.key) as keys from sync.link l, jsonb_each(l.trouble) t
    where l.trouble <> '{}' and t.value ->> 'code' = 'row_refused' group by l.uuid
), lifted as (
    update sync.link l set trouble = l.trouble - r.keys from refused r where l.uuid = r.uuid returning l.uuid
), marked as (
    select sync.mark(array_agg('u:' || uuid), 2) from lifted having count(*) > 0
)
select count(*) as count from lifted where (select count(*) from marked) >= 0

-- note_rules: remember the digest of the owner's rules; says whether they are others than before
insert into sync.cursor (name, value) values ('table rules', to_jsonb(%(digest)s::text))
on conflict (name) do update set value = excluded.value, at = now() where sync.cursor.value <> excluded.value
returning xmax <> 0 as changed

-- put_back: contacts whose row was refused here after HubSpot had taken them: what HubSpot has of them goes back
with orphaned as (
    update sync.link l set deleted = true from unnest(%(orphans)s::uuid[]) as o(uuid)
    where l.uuid = o.uuid and not exists (select from customer c where c.uuid = l.uuid)
)
select sync.mark(array(select 'u:' || uuid from unnest(%(uuids)s::uuid[]) uuid), 0)

-- move_links: the base follows what was agreed, written or inserted; the read is remembered when nothing was left out
update sync.link l set
    base = jsonb_strip_nulls(l.base || s.base), alive = coalesce(s.alive, l.alive), looks = s.looks,
    seen = case when s.believe then s.at else greatest(l.seen, s.at) end, read = case when s.whole then s.at else l.read end,
    trouble = (l.trouble - s.cured) || s.trouble,
    unseen = case when s.checked and s.unseen = (select coalesce(jsonb_object_agg(key, value -> 'sent'), '{}') from jsonb_each(l.unseen)) then '{}' else l.unseen end,
    late = case when s.whole then (
        select coalesce(jsonb_agg(each), '[]') from jsonb_array_elements(l.late) each
        -- What is forgotten must have been over when the contact was read.
        where (each ->> 'until')::timestamptz > now() - interval '1 minute') else l.late end,
    former = case when s.beside <@ l.former then l.former else array(select unnest(l.former) union select unnest(s.beside)) end,
    detached = case when s.attached then false else l.detached end, privacy = l.privacy or s.privacy
from jsonb_to_recordset(%(steps)s::jsonb) as s(privacy boolean, uuid uuid, base jsonb, alive boolean, looks smallint, believe boolean, at timestamptz, whole boolean, cured text[], trouble jsonb, checked boolean, unseen jsonb, attached boolean, beside text[])
where l.uuid = s.uuid

-- know_addresses: remember addresses that a customer's contact has, or had, beside its own
update sync.link set former = array(select unnest(former) union select unnest(%(addresses)s::text[])) where uuid = %(uuid)s

-- close_intents: these intents are settled
delete from sync.intent where id = any(%(ids)s::bigint[])

-- close_unanswered: these intents are given up without an answer; what an update sent may still land
with gone as (
    delete from sync.intent where id = any(%(ids)s::bigint[]) returning uuid, kind, vals, before, at
), late as (
    select uuid, jsonb_agg(jsonb_build_object('column', key, 'value', value, 'before', before -> key,
                                              'until', at + %(landing)s * interval '1 second')) as entries
    from gone, jsonb_each(vals) where kind = 'update' group by uuid
)
update sync.link l set late = l.late || late.entries from late where l.uuid = late.uuid

-- answer_intents: what HubSpot answered is settled, the rest stays open
with answer as (
    select id, vals - answered as rest from jsonb_to_recordset(%(answers)s::jsonb) as a(id bigint, answered text[]) join sync.intent using (id)
), settled as (
    delete from sync.intent i using answer a where i.id = a.id and a.rest = '{}'
)
update sync.intent i set vals = a.rest from answer a where i.id = a.id and a.rest <> '{}'

-- at_home: of these answers, those about the contact that the link has (or gets by its create), and whether the row is to be waited for: somebody's transaction holds it, or it is hidden; links and rows are locked
with loose as materialized (
    select uuid from customer where uuid in (select r.uuid from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid)) order by uuid for no key update skip locked
)
select l.uuid, l.fence, l.uuid not in (select uuid from loose) and (
    exists (select from customer c where c.uuid = l.uuid)
    or r.known and row_security_active('customer') and not l.deleted and not exists (select from sync.dirty d where d.uuid = l.uuid and d.deleted)
) as held
from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, contact bigint, created boolean, known boolean) join sync.link l using (uuid)
where l.contact = r.contact or l.contact is null and r.created order by l.uuid for update of l

-- move_pushed: the base takes HubSpot's answers in the order of HubSpot's time, whoever holds the claim
update sync.link l set
    base = jsonb_strip_nulls(l.base || coalesce((select jsonb_object_agg(key, value) from jsonb_each(a.pushed) where coalesce((l.base_at ->> key)::bigint, 0) <= a.ms), '{}')),
    base_at = l.base_at || coalesce((select jsonb_object_agg(key, a.ms) from jsonb_each(a.pushed) where coalesce((l.base_at ->> key)::bigint, 0) <= a.ms), '{}'),
    seen = greatest(l.seen, a.at), alive = coalesce(a.alive, l.alive), contact = coalesce(l.contact, a.contact),
    trouble = (l.trouble - a.cured) || a.trouble,
    unseen = l.unseen || (
        select coalesce(jsonb_object_agg(key, u.value || jsonb_build_object('sent', (u.value -> 'sent') || jsonb_build_array(p.value))), '{}')
        from jsonb_each(a.pushed) p join jsonb_each(l.unseen) u using (key) where not u.value -> 'sent' @> jsonb_build_array(p.value))
from jsonb_to_recordset(%(answers)s::jsonb) as a(uuid uuid, pushed jsonb, ms bigint, at timestamptz, alive boolean, contact bigint, cured text[], trouble jsonb)
where l.uuid = a.uuid

-- agree_dead: contacts that were archived, and whose rows are dead as well
update sync.link set alive = false where uuid = any(%(uuids)s::uuid[])

-- move_pulled: the base takes the columns that an answer really changed here
update sync.link l set base = jsonb_strip_nulls(l.base || w.vals) from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, vals jsonb) where l.uuid = w.uuid

-- mark_overtaken: look again at living rows that do not hold what HubSpot has of them now, written between read and answer
select sync.mark(array_agg(distinct 'u:' || c.uuid), 1)
from jsonb_to_recordset(%(rows)s::jsonb) as w(uuid uuid, vals jsonb) join customer c using (uuid) cross join lateral jsonb_each_text(w.vals) v
where c.deletedat is null and nullif(case when v.key = 'email' then sync.address(c.email) else to_jsonb(c.*) ->> v.key end, '') is distinct from v.value having count(*) > 0

-- keep_erases_out: until this transaction ends
select sync.note_era()

-- wake_waiting: links that were parked because others had these addresses (by fingerprint), which were just given up
with waiting as (
    select l.uuid, array_agg(t.key) as keys from sync.link l, jsonb_each(l.trouble) t
    where l.trouble <> '{}' and t.value ->> 'code' in ('address_taken', 'duplicate') and t.value ->> 'fingerprint' = any(%(fingerprints)s::text[]) group by l.uuid
), woken as (
    update sync.link l set trouble = l.trouble - w.keys from waiting w where l.uuid = w.uuid returning l.uuid
)
select sync.mark(array_agg('u:' || uuid), 1) from woken having count(*) > 0

-- log_history: what was written where
insert into sync.history (uuid, side, action, changes)
select uuid, side, action, changes from jsonb_to_recordset(%(rows)s::jsonb) as h(uuid uuid, side text, action text, changes jsonb)

-- hold_claim: make sure that a claim still holds, until this transaction ends
select uuid from sync.link where uuid = %(uuid)s and fence = %(fence)s for update

-- hold_links: make sure that links are there, until this transaction ends, and that the contact is no erased person's
select uuid from sync.link where uuid = any(%(uuids)s::uuid[])
and not exists (select from sync.alias where contact = %(contact)s and kind = 'ignored') order by uuid for update

-- attach: a link's contact is another id from now on; the old one leads here still. Both sides are seen alive at this moment
with moved as (
    select r.* from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint, contact bigint, known bigint) join sync.link l using (uuid) where l.contact is not distinct from r.known
), old as (
    insert into sync.alias (contact, uuid, kind) select l.contact, l.uuid, 'merged' from sync.link l join moved r using (uuid)
    where l.fence = r.fence and l.contact is not null and l.contact <> r.contact
    and not exists (select from sync.link o where o.contact = r.contact and o.uuid <> l.uuid) order by 1 on conflict (contact) do update set uuid = excluded.uuid, kind = excluded.kind
)
update sync.link l set contact = r.contact, seen = null, read = null, looks = 0,
    alive = case when exists (select from customer c where c.uuid = l.uuid and c.deletedat is null) then coalesce(l.alive, true) else l.alive end from moved r
where l.uuid = r.uuid and l.fence = r.fence and not exists (select from sync.link o where o.contact = r.contact and o.uuid <> l.uuid)
and not exists (select from sync.alias a where a.contact = r.contact and a.kind = 'ignored')
returning l.uuid

-- show_contacts: show the contact id in the customer row
update customer c set contactid = l.contact from sync.link l where l.uuid = c.uuid and c.uuid = any(%(uuids)s::uuid[]) and c.contactid is distinct from l.contact

-- drop_placeholder: the link of a contact that turned out to belong to a customer; one that an API write has reached goes only if it is `looked_at`
delete from sync.link where contact = %(contact)s and uuid <> %(owner)s and alive is null and (unseen = '{}' or uuid = %(looked_at)s) and not exists (select from customer c where c.uuid = sync.link.uuid) returning uuid

-- may_adopt: whether somebody can take a contact: he has none, and is not deleted, but for a create that is still open
select %(owner)s as uuid where not exists (select from sync.link where uuid = %(owner)s and contact is not null)
and not exists (select from customer where uuid = %(owner)s and (mergedinto is not null or deletedat is not null and not exists (select from sync.intent where uuid = %(owner)s and kind = 'create')))

-- adopt: the customer takes the contact; whoever was deciding about it without is void
update sync.link set contact = %(contact)s, seen = null, read = null, fence = nextval('sync.number'), lease_until = null,
    alive = case when exists (select from customer where uuid = %(owner)s and deletedat is null) then true end where uuid = %(owner)s and contact is null
and not exists (select from sync.link o where o.contact = %(contact)s) returning uuid

-- absorb_loser: the loser of a merge has no link any more; its worker's claim is void
update sync.link set contact = null, fence = nextval('sync.number'), alive = false, base = '{}', base_at = '{}', lease_until = null where uuid = %(loser)s returning uuid

-- absorb_customer: the loser's customer is kept, soft-deleted, and points to the winner; so do those merged into it before
update customer set mergedinto = %(winner)s, deletedat = coalesce(deletedat, clock_timestamp()), contactid = null where uuid = %(loser)s or mergedinto = %(loser)s

-- absorb_aliases: every id of both leads to the winner; former contacts of the loser stay former ones
with old as (
    select contact, 'merged' as kind from sync.link where uuid = any(%(uuids)s::uuid[]) and contact is not null and contact <> %(contact)s
    union select contact, kind from sync.alias where uuid = %(loser)s and contact <> %(contact)s
), freed as (
    delete from sync.alias where contact = %(contact)s
)
insert into sync.alias (contact, uuid, kind) select distinct on (contact) contact, %(winner)s::uuid, kind from old order by contact, kind desc
on conflict (contact) do update set uuid = excluded.uuid, kind = excluded.kind

-- absorb_winner: the winner has the survivor; its worker's claim is void, too
update sync.link set contact = %(contact)s, seen = null, read = null, looks = 0, fence = nextval('sync.number'), lease_until = null where uuid = %(winner)s

-- inherit: updates on their way to a contact, and what was pushed to it unseen, go with it to its next link
with moved as (
    update sync.intent set uuid = %(heir)s where uuid = %(giver)s and kind = 'update'
), given as (
    update sync.link set unseen = '{}', late = '[]' where uuid = %(giver)s
)
update sync.link heir set late = heir.late || (select late from sync.link where uuid = %(giver)s), unseen = coalesce((
    select jsonb_object_agg(key, case when h.value is null or g.value is null then coalesce(h.value, g.value) else h.value || jsonb_build_object(
        'since', case when h.value ->> 'since' is not null and g.value ->> 'since' is not null then least((h.value ->> 'since')::timestamptz, (g.value ->> 'since')::timestamptz) end,
        'sent', (h.value -> 'sent') || (g.value -> 'sent')) end)
    from jsonb_each(heir.unseen) h full join (select u.* from sync.link l, jsonb_each(l.unseen) u where l.uuid = %(giver)s) g using (key)
), '{}') where heir.uuid = %(heir)s

-- drop_intents: the intents of a link that has no contact any more, or gets none
delete from sync.intent where uuid = any(%(uuids)s::uuid[])

-- forget: links that connect nothing
delete from sync.link l using jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint) where l.uuid = r.uuid and l.fence = r.fence and not exists (select from customer c where c.uuid = l.uuid) returning l.uuid

-- ignore: contacts of erased people are looked at no more
with gone as (
    delete from sync.link l using jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint) where l.uuid = r.uuid and l.fence = r.fence returning l.contact
)
insert into sync.alias (contact, kind) select contact, 'ignored' from gone where contact is not null on conflict (contact) do update set uuid = null, kind = 'ignored'

-- detach: both directions stop
update sync.link l set detached = true from jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint) where l.uuid = r.uuid and l.fence = r.fence

-- make_former: a contact that was archived for good; its customer gets a new one
with old as (
    select l.uuid, l.contact from sync.link l join jsonb_to_recordset(%(rows)s::jsonb) as r(uuid uuid, fence bigint, contact bigint) using (uuid)
    where l.fence = r.fence and l.contact = r.contact for update of l
), former as (
    insert into sync.alias (contact, uuid, kind) select contact, uuid, 'former' from old on conflict (contact) do update set uuid = excluded.uuid, kind = 'former'
)
update sync.link l set contact = null, alive = false, seen = null, read = null, base = '{}', base_at = '{}' from old where l.uuid = old.uuid

-- announce_erase: leave the tombstones of a person who is about to be erased
select from sync.erase(%(uuid)s, true)

-- begin_era: inserts from here on know the tombstones that are there
update sync.tombstone set era = nextval('sync.era') - 1 where era is null

-- erase: erase a person by closure
select hash, contact from sync.erase(%(uuid)s)

-- refuse_erased: fail if one of these addresses was erased, and keep erases out until this transaction ends
select sync.refuse_erased(%(addresses)s::text[])

-- drop_links: links that never had a customer (one that was edited may be hidden): it could not be inserted, or another link has the contact of its create
delete from sync.link l where uuid = any(%(uuids)s::uuid[]) and edited = '{}' and not exists (select from customer c where c.uuid = l.uuid)

-- number: a number above all fences and generations there are
select nextval('sync.number') as number

-- mark_changed: mark contacts whose last full read is older than this page says, or that nobody knows, and remember where the walk or poll stands; says the generation of the marks that are new
with cursor as (
    insert into sync.cursor (name, value) values (%(cursor)s, %(value)s::jsonb)
    on conflict (name) do update set value = excluded.value, at = now()
), page as (
    select * from jsonb_to_recordset(%(page)s::jsonb) as p(contact bigint, updated timestamptz)
), news as (
    select p.contact from page p left join sync.link l on l.contact = p.contact left join sync.alias a on a.contact = p.contact and a.kind <> 'former'
    where a.contact is null and (l.contact is null or l.read is null or l.read < p.updated or l.alive is distinct from true
        or l.trouble -> '*' ->> 'code' = 'held_missing')
), fresh as (
    insert into sync.mark (subject, lane) select 'c:' || contact, %(lane)s from news order by 1
    on conflict do nothing returning subject, generation
), others as (
    select 'c:' || contact as subject from news where 'c:' || contact not in (select subject from fresh)
), marked as (
    select sync.mark(array_agg(subject order by subject), %(lane)s) from others having count(*) > 0
)
select substr(subject, 3)::bigint as contact, null as generation from others where (select count(*) from marked) >= 0
union all select substr(subject, 3)::bigint, generation from fresh

-- mark_missing: mark linked contacts that a walk over the whole id space did not meet
with missing as (
    select contact from sync.link where contact > %(after)s and contact <= %(upto)s and alive and contact <> all(%(met)s::bigint[])
), marked as (
    select sync.mark(array_agg('c:' || contact order by contact), %(lane)s) from missing having count(*) > 0
)
select count(*) as count from missing where (select count(*) from marked) >= 0

-- mark_drifted: mark, among the next customers, those that differ from their base, have no link, wait for an address or are held: what no trigger saw; and links whose row has gone without a word
with page as (
    select * from customer where uuid > %(after)s and uuid <= %(upto)s order by uuid limit %(limit)s
), last as (
    -- Beyond the last customer the links are looked at to the end.
    select coalesce((select uuid from page order by uuid desc limit 1), %(upto)s::uuid) as uuid
), drifted as (
    select c.uuid from page c left join sync.link l on l.uuid = c.uuid
    where c.mergedinto is null and c.erasedat is null and (
        l.uuid is null and c.deletedat is null
        or l.contact is null and c.deletedat is null and not l.detached and l.trouble = '{}'
        or l.trouble <> '{}' and not l.detached and exists (
            select from jsonb_each(l.trouble) t
            where t.value ->> 'code' in ('address_taken', 'duplicate')
            or t.value ->> 'code' like 'held%%')
        or l.contact is not null and not l.detached and (
            (c.deletedat is null) is distinct from coalesce(l.alive, true)
            or c.deletedat is null and jsonb_strip_nulls(jsonb_build_object('email', sync.address(c.email), 'firstname', nullif(c.firstname, ''), 'lastname', nullif(c.lastname, ''), 'phone', nullif(c.phone, ''),
                'company', nullif(c.company, ''), 'website', nullif(c.website, ''), 'lifecyclestage', nullif(c.lifecyclestage, ''))) is distinct from l.base))
    union all
    select l.uuid from sync.link l, last
    where l.uuid > %(after)s and l.uuid <= last.uuid and l.contact is not null and (l.alive or l.trouble <> '{}')
    and not exists (select from customer c where c.uuid = l.uuid) and not row_security_active('customer')
), marked as (
    select sync.mark(array_agg('u:' || uuid), %(lane)s) from drifted having count(*) > 0
)
select (select last.uuid from last where exists (select from page)) as last,
    (select count(*) from drifted) as drifted, (select count(*) from marked) as marked

-- count_linked: how many contacts are linked and alive
select count(*) as count from sync.link where contact is not null and alive

-- read_cursor: where a walk or poll stands
select value from sync.cursor where name = %(name)s

-- beat: a job succeeded
insert into sync.heartbeat (job, at, note) values (%(job)s, now(), %(note)s::jsonb) on conflict (job) do update set at = now(), note = excluded.note

-- take_job: run a job of which one process is enough, if it is due and nobody is at it
insert into sync.heartbeat as h (job, taken) values (%(job)s, now()) on conflict (job) do update set taken = now()
where h.at < now() - %(every)s * interval '1 second' and h.taken < now() - %(stale)s * interval '1 second' returning job

-- hold_job: still at it
update sync.heartbeat set taken = now() where job = %(job)s

-- clock: the database's time
select clock_timestamp() as now

-- beats: when the jobs last succeeded
select job, at, extract(epoch from now() - at)::float8 as age, note from sync.heartbeat where at > '-infinity'

-- shape_budget: one slot row per call of a window
insert into sync.slot (kind, n) select kind, n from jsonb_to_recordset(%(rates)s::jsonb) as r(kind text, rate integer), generate_series(1, r.rate) n on conflict do nothing

-- trim_budget: slots beyond the rate go
delete from sync.slot s using jsonb_to_recordset(%(rates)s::jsonb) as r(kind text, rate integer) where s.kind = r.kind and s.n > r.rate

-- take_slots: take calls whose slots were not used for a window; a lower lane leaves them to a higher one that waits, but for its floor, and takes no more than `pace` in a tenth of the window. Nobody waits for the disk: a crash of Postgres forgets a call or two
with unwaited as (
    select set_config('synchronous_commit', 'off', true)
), paced as (
    select %(pace)s::integer - count(*) as rest from sync.slot
    where kind = %(kind)s and at > (select clock_timestamp()) - %(window)s / 10 * interval '1 second'
), free as materialized (
    select kind, n from sync.slot s
    where kind = %(kind)s and at <= (select clock_timestamp()) - %(window)s * interval '1 second'
    and not exists (select from sync.outage where since is not null)
    and (n %% 20 = %(lane)s or not exists (select from sync.lane w where w.lane < %(lane)s and w.wanted > clock_timestamp() - interval '0.5 seconds'))
    order by at limit (select least(%(calls)s, case when paced.rest < 0 then 0 else paced.rest end) from paced) for update skip locked
)
update sync.slot s set at = clock_timestamp() from free, unwaited where s.kind = free.kind and s.n = free.n returning s.n

-- next_slot: seconds until the next slot comes free
select greatest(extract(epoch from min(at)) + %(window)s::float8 - extract(epoch from clock_timestamp()), 0)::float8 as wait from sync.slot where kind = %(kind)s

-- want_slots: a lane waits
insert into sync.lane (lane, wanted) values (%(lane)s, clock_timestamp()) on conflict (lane) do update set wanted = excluded.wanted

-- stamp_slot: a call is made now that was reserved before
update sync.slot set at = greatest(at, clock_timestamp()) where kind = 'all' and n = %(slot)s

-- give_slots: calls that were taken and not made; a slot ahead of now is blocked, not taken
update sync.slot set at = '-infinity' where kind = %(kind)s and n = any(%(slots)s::integer[]) and at <= clock_timestamp()

-- block_slots: HubSpot said 429: nobody calls for a while
update sync.slot set at = clock_timestamp() + (%(delay)s - %(window)s) * interval '1 second' where kind = %(kind)s and at < clock_timestamp() + (%(delay)s - %(window)s) * interval '1 second'

-- fail_hubspot: HubSpot failed for a cause of its own; after so many in a row it counts as down, and the next probe is a pause ahead
insert into sync.outage as o (failures, since, probe, cause, reason)
select 1, case when is_down then clock_timestamp() end,
    case when is_down then clock_timestamp() + %(pause)s * interval '1 second' else '-infinity' end, %(cause)s, %(reason)s
from (select %(after)s <= 1 as is_down) first
on conflict (one) do update set failures = o.failures + 1, cause = excluded.cause, reason = excluded.reason,
    since = case when o.failures + 1 >= %(after)s then coalesce(o.since, clock_timestamp()) else o.since end,
    probe = case when o.failures + 1 >= %(after)s or o.since is not null
        then clock_timestamp() + %(pause)s * interval '1 second' else o.probe end

-- recover_hubspot: HubSpot answers; of a path that it did not know, or did not let us take, only a read says so
update sync.outage set failures = 0, since = null
where (failures > 0 or since is not null)
and (cause not in ('path_unknown', 'scope_missing') or %(door)s = 'read contacts')

-- shut_door: HubSpot refuses one kind of call
insert into sync.shut (door, cause, reason) values (%(door)s, %(cause)s, %(reason)s)
on conflict (door) do update set cause = excluded.cause, reason = excluded.reason

-- open_door: HubSpot takes this kind of call again
delete from sync.shut where door = %(door)s

-- probe_hubspot: while HubSpot is down: 0 if this call is to look whether it is back, else the seconds until the next look
with looking as (
    update sync.outage set probe = clock_timestamp() + %(pause)s * interval '1 second'
    where since is not null and probe <= clock_timestamp() returning 0::float8 as wait, reason
)
select wait, reason from looking
union all
select greatest(extract(epoch from probe - clock_timestamp()), 0.001)::float8, reason
from sync.outage where since is not null and not exists (select from looking)

-- leave_probe: nobody looked; if it has failed for others meanwhile, that stands
update sync.outage set probe = clock_timestamp() where since is not null and probe <= clock_timestamp() + %(pause)s * interval '1 second'

-- count_day: calls made today, and in this hour
with unwaited as (
    select set_config('synchronous_commit', 'off', true)
), hour as (
    insert into sync.hour (at, calls) values (date_trunc('hour', now()), %(calls)s) on conflict (at) do update set calls = sync.hour.calls + excluded.calls
)
insert into sync.day (day, calls, quota) select sync.account_day(), %(calls)s, %(quota)s from unwaited
on conflict (day) do update set calls = sync.day.calls + excluded.calls, quota = excluded.quota returning calls

-- hear_day: how many calls HubSpot has counted today: other apps of the account call, too, and its day is not ours
update sync.day set calls = %(calls)s, spent = %(left)s <= 0 where day = sync.account_day()

-- day_spent: whether HubSpot has left no call of today
select spent from sync.day where day = sync.account_day()

-- grant_danger: take from the rolling hour's allowance what there is
select name, granted from sync.grant_danger(%(needs)s::jsonb)

-- allow: let so many more of a kind go within a day, and look at as many of those held, the longest linked first; says how many are held
with allowed as (
    insert into sync.allowance (kind, count, until)
    values (%(kind)s, %(count)s, now() + interval '1 day')
    on conflict (kind) do update set until = excluded.until,
        count = case when sync.allowance.until > now() then sync.allowance.count else 0 end + excluded.count
), held as (
    select uuid, row_number() over (order by read nulls last, uuid) as place from sync.link
    where trouble <> '{}'
    and exists (select from jsonb_each(trouble) t where t.value ->> 'code' = 'held_' || %(kind)s)
), freed as (
    update sync.link l set trouble = coalesce((
        select jsonb_object_agg(t.key, t.value) from jsonb_each(l.trouble) t where t.value ->> 'code' <> 'held_' || %(kind)s
    ), '{}')
    from held where l.uuid = held.uuid and held.place <= %(count)s returning l.uuid
), marked as (
    select sync.mark(array_agg('u:' || uuid), 1) from freed having count(*) > 0
)
select (select count(*) from freed) as woken, (select count(*) from held) as held
where (select count(*) from marked) >= 0

-- allow_all: let any number of these kinds go until told otherwise, or for a day
insert into sync.allowance (kind, count, until)
select kind || ':all', 0, now() + interval '1 day' from unnest(%(kinds)s::text[]) kind
on conflict (kind) do update set until = excluded.until

-- end_allowance: any number goes no more
delete from sync.allowance where kind = any(array(select kind || ':all' from unnest(%(kinds)s::text[]) kind))

-- read_salt: the salt of the tombstones' hashes
select value from sync.secret where name = 'salt'

-- restore_salt: the salt that the hashes of the file were made with
insert into sync.secret (name, value) select 'salt', %(salt)s::text where %(salt)s::text is not null on conflict (name) do update set value = excluded.value

-- restore_tombstones: what was erased after the backup was made
with stone as (
    select * from jsonb_to_recordset(%(stones)s::jsonb) as s(hash text, contact bigint)
), hashes as (
    insert into sync.tombstone (hash) select hash from stone where hash is not null on conflict do nothing
)
insert into sync.alias (contact, kind) select distinct contact, 'ignored' from stone where contact is not null on conflict (contact) do update set uuid = null, kind = 'ignored'

-- bump_numbers: old workers' fences must fail
select setval('sync.number', nextval('sync.number') + 1000000000)

-- erased_again: customers that the backup brought back although they were erased
select uuid from customer where email is not null and sync.hash_of(email) in (select hash from sync.tombstone)
union
select l.uuid from sync.link l join sync.alias a on a.contact = l.contact where a.kind = 'ignored'

-- customers_by_address: the live customers with these addresses
select sync.address(c.email) as address, c.uuid, c.email, c.firstname, c.lastname, c.phone, c.company, c.website, c.lifecyclestage, c.createdat, c.updatedat, c.contactid, c.hubspotcreatedat, c.hubspotupdatedat, c.deletedat is not null as deleted, c.erasedat is not null as erased, c.mergedinto
from customer c where sync.address(c.email) = any(%(addresses)s::text[]) and c.deletedat is null

-- hidden_addresses: which of these addresses, whose live rows are not to be seen, are linked all the same
select l.base ->> 'email' as address from sync.link l
where row_security_active('customer') and l.base ->> 'email' = any(%(addresses)s::text[]) and l.alive and not l.deleted
and not exists (select from customer c where c.uuid = l.uuid)

-- customers_by_uuid: customers by uuid
select c.uuid, c.email, c.firstname, c.lastname, c.phone, c.company, c.website, c.lifecyclestage, c.createdat, c.updatedat, c.contactid, c.hubspotcreatedat, c.hubspotupdatedat, c.deletedat is not null as deleted, c.erasedat is not null as erased, c.mergedinto
from customer c where c.uuid = any(%(uuids)s::uuid[])

-- reserve_links: leased links for customers about to be created; their marks see that nothing stays if the caller dies
with links as (
    insert into sync.link (uuid, fence, lease_until) select uuid, nextval('sync.number'), now() + %(lease)s * interval '1 second' from unnest(%(uuids)s::uuid[]) as uuid order by uuid
    on conflict (uuid) do update set fence = excluded.fence, lease_until = excluded.lease_until returning uuid, fence
), marks as (
    insert into sync.mark (subject, due) select 'u:' || uuid, now() + %(lease)s * interval '1 second' from links order by 1
    on conflict (subject) do update set generation = nextval('sync.number') returning subject, generation
)
select uuid, fence, subject, generation from links join marks on subject = 'u:' || uuid

-- insert_plain: insert a customer as any SQL writer would
insert into customer (uuid, email, firstname, lastname, phone, company, website, lifecyclestage)
select %(uuid)s, r.email, r.firstname, r.lastname, r.phone, r.company, r.website, r.lifecyclestage from jsonb_populate_record(null::customer, %(vals)s::jsonb) r

-- change_plain: change a customer as any SQL writer would; no row: it is not as expected
with expected as (
    select c.uuid from customer c
    where c.uuid = %(uuid)s and c.deletedat is null and (%(stored)s::jsonb is null or to_jsonb(c.*) @> %(stored)s::jsonb)
    for update
), done as (
    update customer c set (email, firstname, lastname, phone, company, website, lifecyclestage) = (
        select r.email, r.firstname, r.lastname, r.phone, r.company, r.website, r.lifecyclestage
        from jsonb_populate_record(c.*, %(vals)s::jsonb) r)
    from expected e where c.uuid = e.uuid
    returning c.uuid
)
select d.uuid is null as swallowed from expected e left join done d using (uuid)

-- remove_plain: soft-delete a customer as any SQL writer would
update customer set deletedat = clock_timestamp() where uuid = %(uuid)s and deletedat is null

-- begin_request: take an idempotency key; one whose process died is taken over
insert into sync.idempotency as i (caller, key, request, uuid, fence, lease_until)
values (%(caller)s, %(key)s, %(request)s, %(uuid)s, nextval('sync.number'), now() + %(lease)s * interval '1 second')
on conflict (caller, key) do update set lease_until = excluded.lease_until, fence = excluded.fence
where i.status is null and i.request = excluded.request and i.lease_until < now()
returning uuid, fence, uuid is distinct from %(uuid)s as is_repeat, body

-- renew_request: keep an idempotency key, unless another request has it by now
update sync.idempotency set lease_until = now() + %(lease)s * interval '1 second'
where caller = %(caller)s and key = %(key)s and fence = %(fence)s and status is null

-- known_request: a request that was seen before
select uuid, request, status, body from sync.idempotency where caller = %(caller)s and key = %(key)s

-- end_request: keep an answer
select sync.remember(%(caller)s, %(key)s, %(fence)s::bigint, %(status)s::smallint, %(body)s::json)

-- fail_request: a request that failed on our side can be repeated at once; it keeps what it was about
select sync.remember(%(caller)s, %(key)s, %(fence)s::bigint, null, %(body)s::json, '-infinity')

-- has_open_create: whether a create of this customer may still be under way
select exists (select from sync.intent where uuid = %(uuid)s and kind = 'create') as open

-- prune: drop what is older than anybody needs, so much at a time
with a as (
    delete from sync.history where id in (select id from sync.history where at < now() - interval '90 days' order by at limit 50000) returning uuid, changes
), lost as (
    select uuid, array_agg(distinct sync.address(address)) as addresses
    from a, jsonb_array_elements_text(changes -> 'email') address where address <> '' group by uuid
), known as (
    update sync.link l set former = array(select unnest(l.former) union select unnest(lost.addresses))
    from lost where l.uuid = lost.uuid
), b as (delete from sync.idempotency where at < now() - interval '1 day'),
    c as (delete from sync.danger where at < now() - interval '1 day'), d as (delete from sync.day where day < now() - interval '60 days'), h as (delete from sync.hour where at < now() - interval '60 days'),
    e as (delete from sync.quarantine where at < now() - interval '30 days')
delete from sync.conflict where resolved < now() - interval '90 days'

-- status: the state of the sync in numbers
select * from sync.status

-- budget: the calls of the current windows
select kind, calls, used, today from sync.budget

-- receive: mark the contacts of a delivery, durably, and count its events
with durable as (
    select set_config('synchronous_commit', 'on', true)
), counted as (
    insert into sync.event (kind, count) select key, value::bigint from jsonb_each_text(%(counts)s::jsonb)
    order by 1 on conflict (kind) do update set count = sync.event.count + excluded.count, at = clock_timestamp()
)
insert into sync.mark (subject, lane, privacy)
select subject, 1, subject = any(%(private)s::text[]) from durable, unnest(%(subjects)s::text[]) as subject order by subject
on conflict (subject) do update set
    generation = nextval('sync.number'), due = least(sync.mark.due, now()), lane = least(sync.mark.lane, 1), privacy = sync.mark.privacy or excluded.privacy

-- count_events: count what was not taken; `last` is when each kind came last
insert into sync.event (kind, count, at)
select kind, times, last
from unnest(%(kinds)s::text[], %(times)s::bigint[], %(last)s::timestamptz[]) as counted (kind, times, last) order by kind
on conflict (kind) do update set
    count = sync.event.count + excluded.count, at = greatest(sync.event.at, excluded.at)

-- events: what came to the webhook receiver, and how often
select kind, count from sync.event order by kind

-- quarantine: note a body that could not be read, without keeping what may be personal in it
with counted as (
    insert into sync.event (kind, count) values ('unreadable', 1)
    on conflict (kind) do update set count = sync.event.count + 1, at = clock_timestamp()
)
insert into sync.quarantine (reason, size, hash) values (%(reason)s, %(size)s, %(hash)s)

-- read_portal: the HubSpot account this database is linked with
select value from sync.secret where name = 'portal'

-- read_home: whether this is the database that was linked with the HubSpot account, and with which
select sync.is_home(home.value) as is_here, portal.value as portal
from sync.secret as home left join sync.secret as portal on portal.name = 'portal'
where home.name = 'home'

-- claim_home: where this database is linked with its account, its home is
insert into sync.secret (name, value) values ('home', sync.place()) on conflict (name) do nothing

-- adopt_database: this database is the one from now on, wherever it was before
insert into sync.secret (name, value) values ('home', sync.place())
on conflict (name) do update set value = excluded.value

-- claim_account: the first account this database meets is its own; when its day ends is for HubSpot to say
with portal as (
    insert into sync.secret (name, value) values ('portal', %(portal)s) on conflict (name) do nothing
)
insert into sync.secret (name, value)
select 'time_zone', coalesce((select name from pg_timezone_names where name = %(time_zone)s), 'UTC')
where not exists (select from sync.secret where name = 'portal' and value <> %(portal)s)
on conflict (name) do update set value = excluded.value where sync.secret.value <> excluded.value

-- living_contacts: some linked contacts that are believed to be alive, drawn by chance
(select contact from sync.link
    where uuid >= (select gen_random_uuid()) and alive and contact is not null and contact <> all(%(apart_from)s::bigint[])
    order by uuid limit %(limit)s)
union
(select contact from sync.link
    where alive and contact is not null and contact <> all(%(apart_from)s::bigint[]) order by uuid limit %(limit)s)
limit %(limit)s

-- causes: what keeps the sync, or a part of it, from working
select cause, since, reason from sync.causes

-- troubles: what is parked or held, by code and property
select code, property, count(*) as count from sync.parked group by code, property order by 3 desc

-- count_unlinked: live customers without a contact
select count(*) as count from customer c left join sync.link l on l.uuid = c.uuid
where c.deletedat is null and l.contact is null

-- hand_over: a deleted customer's contact goes to a new one, where deletions are not pushed
update sync.link set contact = null, alive = false, base = '{}', base_at = '{}', seen = null, read = null where uuid = %(former)s and contact = %(contact)s returning uuid

-- log_unsent: what the loser of a merge had not sent to HubSpot yet
insert into sync.conflict (uuid, property, winner, kept, lost)
select l.uuid, v.key, 'hubspot', null, v.value
from sync.link l join customer c using (uuid), jsonb_each_text(jsonb_build_object('email', sync.address(c.email), 'firstname', c.firstname, 'lastname', c.lastname, 'phone', c.phone, 'company', c.company, 'website', c.website, 'lifecyclestage', c.lifecyclestage)) v
where l.uuid = %(loser)s and v.value is distinct from l.base ->> v.key and v.value <> ''
on conflict (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, ''))) where resolved is null do nothing

-- audit_customers: customers and links side by side, and what may be under way with them
with page as (
    (select uuid from customer where uuid > %(after)s::uuid and mergedinto is null order by uuid limit %(limit)s)
    union
    (select l.uuid from sync.link l where l.uuid > %(after)s::uuid and not exists (select from customer c where c.uuid = l.uuid and c.mergedinto is not null) order by l.uuid limit %(limit)s)
    order by uuid limit %(limit)s
)
select p.uuid, c.uuid is not null as present, c.email, c.firstname, c.lastname, c.phone, c.company, c.website, c.lifecyclestage,
    c.deletedat, c.erasedat, l.contact, l.trouble, coalesce(l.detached, false) as detached,
    (select array_agg(property) from sync.conflict f where f.uuid = l.uuid and f.winner is null and f.resolved is null) as undecided,
    exists (select from sync.mark m where m.subject in ('u:' || p.uuid, 'c:' || l.contact))
        or exists (select from sync.intent i where i.uuid = l.uuid)
        or exists (select from sync.dirty d where d.uuid = c.uuid)
        or coalesce(l.lease_until > now(), false) as pending
from page p left join customer c on c.uuid = p.uuid left join sync.link l on l.uuid = p.uuid order by p.uuid

-- audit_contact: what is known of a contact that no customer shows
select coalesce(a.kind = 'ignored', false) as ignored, coalesce(l.trouble <> '{}', false) as parked,
    coalesce(l.trouble -> '*' ->> 'code' like 'held%%', false) as held,
    exists (select from sync.mark m where m.subject = 'c:' || %(contact)s::bigint) or coalesce(l.lease_until > now(), false) as marked
from (select %(contact)s::bigint as contact) k left join sync.link l using (contact) left join sync.alias a using (contact)

-- request_erasure: note that the people are to be erased who have this address, or had it; a merged customer's person is the winner
with people as (
    select coalesce(mergedinto, uuid) as uuid from customer
    where sync.address(email) = %(address)s and erasedat is null and deletedat is null
    union
    select coalesce(mergedinto, uuid) from customer
    where sync.address(email) = %(address)s and erasedat is null and deletedat is not null
    union
    select uuid from sync.link where base ->> 'email' = %(address)s
    union
    select uuid from sync.intent where vals ->> 'email' = %(address)s
)
insert into sync.link (uuid, erase_due) select uuid, true from people order by uuid
on conflict (uuid) do update set erase_due = true returning uuid

-- erasures_due: which of these people are still to be erased
select uuid from sync.link where uuid = any(%(uuids)s::uuid[]) and erase_due

-- leave_job: nobody is at it any more
update sync.heartbeat set taken = '-infinity' where job = %(job)s
