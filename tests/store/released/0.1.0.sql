-- The customer table, what the sync remembers about it, and the views operators read.
-- Idempotent and safe on a live database: `python -m reconciler db init` applies it in one transaction.

set local lock_timeout = '5s';
set local client_min_messages = warning;

-- Tables ---------------------------------------------------------------------------------------------------------

create table if not exists customer (uuid uuid primary key default gen_random_uuid());

-- Its columns; a table that was there before gets those it lacks.
alter table customer
    add column if not exists uuid uuid not null default gen_random_uuid(),
    add column if not exists email text,
    add column if not exists firstname text,
    add column if not exists lastname text,
    add column if not exists phone text,
    add column if not exists company text,
    add column if not exists website text,
    add column if not exists lifecyclestage text,
    add column if not exists createdat timestamptz not null default now(),
    add column if not exists updatedat timestamptz not null default now(),
    add column if not exists contactid bigint,
    add column if not exists hubspotcreatedat timestamptz,
    add column if not exists hubspotupdatedat timestamptz,
    add column if not exists deletedat timestamptz,
    add column if not exists erasedat timestamptz,
    add column if not exists mergedinto uuid;
alter table customer
    alter column email drop not null,
    alter column firstname drop not null,
    alter column lastname drop not null;

do $$
begin
    if (select atttypid from pg_attribute where attrelid = 'customer'::regclass and attname = 'uuid') <> 'uuid'::regtype then
        raise exception 'customer.uuid is not of type uuid: rename that column, and another one is added';
    end if;
    if not exists (
        select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = 'customer'::regclass and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and a.attname = 'uuid'
    ) then
        create unique index customer_uuid_is_unique on customer (uuid);
    end if;
end $$;

create schema if not exists sync;

-- Every fence and every mark's generation comes from here and is never used twice.
create sequence if not exists sync.number;

-- customer uuid <-> contact id. Outlives its customer: a hard DELETE must not make the contact unknown.
create table if not exists sync.link (
    uuid        uuid primary key,
    contact     bigint,
    base        jsonb not null default '{}',  -- column -> value both sides last agreed on; absent = empty
    base_at     jsonb not null default '{}',  -- pushed column -> HubSpot's time (ms) of the answer that set its base
    alive       boolean,                      -- the base of existence; null: never agreed
    seen        timestamptz,                  -- highest lastmodifieddate in any answer
    read        timestamptz,                  -- lastmodifieddate of the last full read merged and committed
    looks       smallint not null default 0,  -- reads in a row that were older than `seen`
    edited      jsonb not null default '{}',  -- column -> time of the last SQL edit
    trouble     jsonb not null default '{}',  -- column or * -> {code, fingerprint}
    unseen      jsonb not null default '{}',  -- column -> {since, base, sent}: pushed without a read, history not yet checked
    detached    boolean not null default false,
    privacy     boolean not null default false,  -- a privacy deletion was announced: the next 404 erases
    fence       bigint not null default 0,
    lease_until timestamptz
);
alter table sync.link alter column base set storage main;
create unique index if not exists link_contact_is_unique on sync.link (contact);
create index if not exists link_base_email on sync.link ((base ->> 'email'));
create index if not exists link_in_trouble on sync.link (uuid) where trouble <> '{}';

-- Ids that are no link's contact: merged away (they lead to the survivor's link), ignored (an erased person's), or
-- former (archived, its customer has another contact now; restored, it is looked at like any unknown contact).
create table if not exists sync.alias (
    contact bigint primary key,
    uuid    uuid,
    kind    text not null check (kind in ('merged', 'former', 'ignored'))
);
create index if not exists alias_uuid on sync.alias (uuid);

-- Mapped columns that HubSpot does not have, or does not let us write, at the moment: they wait, everything else goes on.
create table if not exists sync.mapping (
    name text primary key,
    code text not null,
    at   timestamptz not null default now()
);

-- What is about to be sent to HubSpot; gone when its answer is committed.
create table if not exists sync.intent (
    id       bigint primary key default nextval('sync.number'),
    uuid     uuid not null,
    kind     text not null check (kind in ('create', 'update', 'archive')),
    vals     jsonb not null default '{}',
    at       timestamptz not null default clock_timestamp(),
    deadline timestamptz not null,
    overdue  boolean not null default false,  -- its call has ended without an answer; `deadline` is when to look again
    ahead    boolean not null default false,  -- the row does not hold it yet: an API write, HubSpot first
    reserved text  -- the address an API create holds while its customer does not exist yet
);
create index if not exists intent_uuid on sync.intent (uuid);
create index if not exists intent_deadline on sync.intent (deadline);
create index if not exists intent_creates_address on sync.intent ((vals ->> 'email')) where kind = 'create';
-- Two API creates of one address must not both reach HubSpot.
create unique index if not exists intent_reserves_address_once on sync.intent (reserved) where reserved is not null;

create table if not exists sync.mark (
    subject    text primary key,  -- c:<contact id>, u:<customer uuid> or e:<address>
    generation bigint not null default nextval('sync.number'),
    due        timestamptz not null default now(),
    lane       smallint not null default 1,
    attempts   smallint not null default 0,  -- looks that failed for a reason of the record's own
    crashes    smallint not null default 0,  -- claims whose worker did not come back
    delays     smallint not null default 0,  -- looks in a row that ended with a failed call, whosever fault that was
    privacy    boolean not null default false
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index if not exists mark_due on sync.mark (lane, due);
create index if not exists mark_addresses on sync.mark (due) where subject like 'e:%';

-- What the trigger appends: no unique key, so no writer ever waits for another here.
create table if not exists sync.dirty (
    uuid   uuid not null,
    edited text[] not null default '{}',
    at     timestamptz not null default clock_timestamp()
);
-- So that its rows can be deleted where somebody publishes all tables.
alter table sync.dirty replica identity full;

create table if not exists sync.cursor (
    name  text primary key,
    value jsonb not null,
    at    timestamptz not null default now()
);

create table if not exists sync.history (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    uuid    uuid not null,
    side    text not null check (side in ('postgres', 'hubspot')),
    action  text not null,
    changes jsonb not null default '{}'
);
create index if not exists history_uuid on sync.history (uuid);
create index if not exists history_at on sync.history (at);

-- The losers of conflicts, stored before they are overwritten. A conflict seen again is the same row.
create table if not exists sync.conflict (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    uuid     uuid not null,
    property text not null,
    winner   text check (winner in ('postgres', 'hubspot')),
    kept     text,
    lost     text,
    resolved timestamptz
);
create unique index if not exists conflict_is_logged_once on sync.conflict
    (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, ''))) where resolved is null;

-- Erased stays erased: salted hashes of addresses, and contact ids.
create table if not exists sync.tombstone (
    hash    text primary key,
    at      timestamptz not null default now()
);
create table if not exists sync.secret (
    name  text primary key,
    value text not null
);
insert into sync.secret values ('salt', md5(random()::text || clock_timestamp()::text || gen_random_uuid()::text)) on conflict do nothing;

-- One row per call that may be made in a window: a call takes the row unused for longest, if that is a window ago.
create table if not exists sync.slot (
    kind text not null,
    n    integer not null,
    at   timestamptz not null default '-infinity',
    primary key (kind, n)
) with (fillfactor = 50);
create index if not exists slot_at on sync.slot (kind, at);

-- Calls of a day: ours, or more, where HubSpot says so (other apps of the account call, too); and its quota, as known.
create table if not exists sync.day (
    day   date primary key,
    calls bigint not null default 0,
    quota bigint not null
);
create table if not exists sync.hour (
    at    timestamptz primary key,
    calls bigint not null default 0
);
create table if not exists sync.lane (
    lane   smallint primary key,
    wanted timestamptz not null default '-infinity'
);
insert into sync.lane select generate_series(0, 3) on conflict do nothing;

-- HubSpot's failures in a row; while it counts as down (`since`) nobody calls it but one probe at a time.
create table if not exists sync.outage (
    one      boolean primary key default true check (one),
    failures integer not null default 0,
    since    timestamptz,
    probe    timestamptz not null default '-infinity'  -- when the next call may look
);
insert into sync.outage default values on conflict do nothing;

-- The brake: what was granted, and what an operator allows beyond it.
create table if not exists sync.danger (
    kind  text not null,
    at    timestamptz not null default clock_timestamp(),
    count integer not null
);
create index if not exists danger_at on sync.danger (kind, at);
create table if not exists sync.allowance (
    kind  text primary key,
    count integer not null,
    until timestamptz not null
);

create table if not exists sync.idempotency (
    key         text not null,
    caller      text not null,
    request     text not null,
    uuid        uuid,
    status      smallint,
    body        json,  -- as it was sent, to the byte
    at          timestamptz not null default now(),
    lease_until timestamptz not null,
    primary key (caller, key)
);

create table if not exists sync.heartbeat (
    job   text primary key,
    at    timestamptz not null default '-infinity',  -- last success
    taken timestamptz not null default '-infinity',  -- some process is at it
    note  jsonb not null default '{}'
);

-- Events by kind, the unknown and foreign ones too.
create table if not exists sync.event (
    kind  text primary key,
    count bigint not null
);

-- Signed bodies that could not be read, for a person: size and hash; the body itself may be personal.
create table if not exists sync.quarantine (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default now(),
    reason text not null,
    size   integer not null,
    hash   text not null
);

-- Indexes on customer --------------------------------------------------------------------------------------------

create unique index if not exists customer_email_is_unique_among_live on customer (lower(btrim(email)))
    where deletedat is null;
create index if not exists customer_mergedinto on customer (mergedinto) where mergedinto is not null;
create index if not exists customer_contactid on customer (contactid) where contactid is not null;

-- Functions ------------------------------------------------------------------------------------------------------

create or replace function sync.is_own() returns boolean language sql stable parallel safe
    return coalesce(current_setting('sync.own', true), '') = 'on';

create or replace function sync.hash_of(address text) returns text language sql stable
    return (select encode(sha256(convert_to(value || ':' || lower(btrim(address)), 'UTF8')), 'hex') from sync.secret where name = 'salt');

-- Mark subjects due now. A mark made while its subject is worked on gets a new generation and so survives.
create or replace function sync.mark(subjects text[], lane integer, is_private boolean default false) returns void language sql as $$
    insert into sync.mark (subject, lane, privacy)
    select distinct subject, lane, is_private from unnest(subjects) as subject order by subject
    on conflict (subject) do update set
        generation = nextval('sync.number'),
        due = least(sync.mark.due, now()),
        lane = least(sync.mark.lane, excluded.lane),
        privacy = sync.mark.privacy or excluded.privacy;
$$;

-- Refuse what only the sync may write, and erased addresses; note who changed. Waits for nobody but an erase
-- that is just committing (the shared lock).
create or replace function sync.on_insert() returns trigger language plpgsql as $$
begin
    if sync.is_own() then return null; end if;
    if exists (select from new_rows where num_nonnulls(contactid, hubspotcreatedat, hubspotupdatedat, erasedat, mergedinto) > 0) then
        raise exception 'contactid, hubspotcreatedat, hubspotupdatedat, erasedat and mergedinto are written by the sync only' using errcode = 'check_violation';
    end if;
    perform sync.refuse_erased(array(select email from new_rows where email is not null));
    insert into sync.dirty (uuid, edited)
    select uuid, array_remove(array[
        case when email is not null then 'email' end, case when firstname is not null then 'firstname' end,
        case when lastname is not null then 'lastname' end, case when phone is not null then 'phone' end,
        case when company is not null then 'company' end, case when website is not null then 'website' end,
        case when lifecyclestage is not null then 'lifecyclestage' end], null)
    from new_rows;
    notify sync_dirty;
    return null;
end $$;

create or replace function sync.refuse_erased(addresses text[]) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('sync.erase'));
    if exists (select from sync.tombstone) and exists (
        select from sync.tombstone where hash = any(array(select sync.hash_of(address) from unnest(addresses) address))) then
        raise exception 'this address was erased' using errcode = 'check_violation', constraint = 'erased_subject';
    end if;
end $$;

-- No nested loops: a plan made for the first statement of a session, of one row, would be kept for one of a million.
create or replace function sync.on_update() returns trigger language plpgsql set enable_nestloop = off as $$
declare
    forbidden   bigint;
    moved       text[];
    is_captured boolean;
begin
    if sync.is_own() then return null; end if;
    with changed as materialized (
        select n.uuid, n.email,
            o.uuid is null or (n.contactid, n.hubspotcreatedat, n.hubspotupdatedat, n.erasedat, n.mergedinto)
                is distinct from (o.contactid, o.hubspotcreatedat, o.hubspotupdatedat, o.erasedat, o.mergedinto) as is_forbidden,
            (n.deletedat is null) <> (o.deletedat is null) as is_moved, array_remove(array[
            case when n.email is distinct from o.email then 'email' end, case when n.firstname is distinct from o.firstname then 'firstname' end,
            case when n.lastname is distinct from o.lastname then 'lastname' end, case when n.phone is distinct from o.phone then 'phone' end,
            case when n.company is distinct from o.company then 'company' end, case when n.website is distinct from o.website then 'website' end,
            case when n.lifecyclestage is distinct from o.lifecyclestage then 'lifecyclestage' end], null) as edited
        from new_rows n left join old_rows o using (uuid)
    ), captured as (
        insert into sync.dirty (uuid, edited) select uuid, edited from changed where is_moved or edited <> '{}' returning uuid
    )
    select count(*) filter (where is_forbidden), array_agg(email) filter (where email is not null and 'email' = any(edited)), exists (select from captured)
    into forbidden, moved, is_captured from changed;
    if forbidden > 0 then
        raise exception 'uuid, contactid, hubspotcreatedat, hubspotupdatedat, erasedat and mergedinto are written by the sync only' using errcode = 'check_violation';
    end if;
    if moved is not null then perform sync.refuse_erased(moved); end if;
    if is_captured then notify sync_dirty; end if;
    return null;
end $$;

create or replace function sync.on_delete() returns trigger language plpgsql as $$
begin
    if sync.is_own() then return null; end if;
    insert into sync.dirty (uuid) select uuid from old_rows;
    notify sync_dirty;
    return null;
end $$;

create or replace function sync.on_truncate() returns trigger language plpgsql as $$
begin
    raise exception 'TRUNCATE customer is refused: the sync could not tell it from a deletion of every contact' using errcode = 'feature_not_supported';
end $$;

create or replace function sync.touch() returns trigger language plpgsql as $$
begin
    new.updatedat := clock_timestamp();
    return new;
end $$;

-- Triggers -------------------------------------------------------------------------------------------------------

create or replace trigger sync_insert after insert on customer referencing new table as new_rows for each statement execute function sync.on_insert();
create or replace trigger sync_update after update on customer referencing old table as old_rows new table as new_rows for each statement execute function sync.on_update();
create or replace trigger sync_delete after delete on customer referencing old table as old_rows for each statement execute function sync.on_delete();
create or replace trigger sync_truncate before truncate on customer for each statement execute function sync.on_truncate();
create or replace trigger sync_touch before update on customer for each row
    when ((new.email, new.firstname, new.lastname, new.phone, new.company, new.website, new.lifecyclestage, new.deletedat is null)
        is distinct from (old.email, old.firstname, old.lastname, old.phone, old.company, old.website, old.lifecyclestage, old.deletedat is null)
        and new.updatedat is not distinct from old.updatedat)
    execute function sync.touch();

-- Claiming -------------------------------------------------------------------------------------------------------

-- Turn what the trigger appended, and intents whose answer never came, into marks. Works on the rows it sees.
create or replace function sync.fold() returns void language plpgsql as $$
begin
    with gone as (
        delete from sync.dirty where ctid = any(array(select ctid from sync.dirty limit 10000 for update skip locked))
        returning uuid, edited, at
    ), customers as (
        select uuid, coalesce(jsonb_object_agg(name, at) filter (where name is not null), '{}') as edited
        from (select uuid, name, max(at) as at from gone left join lateral unnest(edited) as name on true group by uuid, name) each
        group by uuid order by uuid
    ), linked as (
        insert into sync.link (uuid, edited) select uuid, edited from customers
        on conflict (uuid) do update set edited = sync.link.edited || excluded.edited,
            trouble = case when excluded.edited <> '{}' and sync.link.trouble -> '*' ->> 'code' = 'attempts_exhausted' then sync.link.trouble - '*' else sync.link.trouble end
        returning uuid
    )
    -- A mass change is bulk work; a person's edit is not to wait behind it.
    insert into sync.mark (subject, lane) select 'u:' || uuid, case when (select count(*) from linked) > 500 then 2 else 1 end from linked order by 1
    on conflict (subject) do update set generation = nextval('sync.number'), due = least(sync.mark.due, now()), lane = least(sync.mark.lane, 1);
    delete from sync.intent i where deadline < now()
        and (not exists (select from sync.link l where l.uuid = i.uuid) or exists (select from customer c where c.uuid = i.uuid and c.mergedinto is not null));
    with late as (
        update sync.intent set overdue = true, deadline = now() + interval '1 minute' where deadline < now() returning uuid
    )
    insert into sync.mark (subject) select distinct 'u:' || uuid from late order by 1
    on conflict (subject) do update set due = least(sync.mark.due, now());
end $$;

-- Lease up to `most` pairs. A mark leads to its pair first (an unknown contact gets a link of its own), so two
-- marks of one pair are one claim. Marks that already cost a worker its life, or whose calls keep failing, are claimed
-- one at a time.
create or replace function sync.claim(lanes integer[], most integer, lease interval, wanted text[] default null)
returns table (uuid uuid, fence bigint, marks jsonb, attempts integer, delays integer, privacy boolean) language plpgsql as $$
#variable_conflict use_column
declare
    picked      text[] := '{}';
    subjects    text[];
    pairs       uuid[];
    won         uuid[];
    wanted_lane integer;
begin
    if wanted is not null then
        picked := array(select subject from sync.mark where subject = any(wanted) order by subject for update skip locked);
    else
        -- Lane by lane: over several lanes at once the index could not give the order.
        foreach wanted_lane in array lanes loop
            picked := picked || array(
                select m.subject from sync.mark m
                where m.lane = wanted_lane and m.due <= now() and m.crashes < 2 and m.delays < 3 and m.subject not like 'e:%'
                order by m.due limit most - cardinality(picked) for update skip locked);
        end loop;
        if picked = '{}' then
            picked := array(
                select m.subject from sync.mark m where m.lane = any(lanes) and m.due <= now() and (m.crashes >= 2 or m.delays >= 3) and m.subject not like 'e:%'
                limit 1 for update skip locked);
        end if;
    end if;
    if picked = '{}' then return; end if;

    insert into sync.link (uuid, contact)
    select gen_random_uuid(), id from (select substr(s, 3)::bigint as id from unnest(picked) s where s like 'c:%') contacts
    where not exists (select from sync.alias a where a.contact = id and a.kind <> 'former') order by id
    on conflict (contact) do nothing;
    insert into sync.link (uuid)
    select c.uuid from customer c where c.uuid in (select substr(s, 3)::uuid from unnest(picked) s where s like 'u:%') order by 1
    on conflict (uuid) do nothing;

    select array_agg(r.subject), array_agg(r.uuid) into subjects, pairs from sync.resolved(picked) r;
    won := array(
        select l.uuid from sync.link l
        where l.uuid = any(pairs) and (l.lease_until is null or l.lease_until < now())
        order by l.uuid for update skip locked);
    -- Again: until they were locked, a merge may have led some elsewhere.
    select array_agg(r.subject), array_agg(r.uuid) into subjects, pairs from sync.resolved(picked) r;
    update sync.link set lease_until = now() + lease, fence = nextval('sync.number') where uuid = any(won);
    if array_position(pairs, null) is not null then
        delete from sync.mark where subject = any(array(select r.subject from unnest(subjects, pairs) r(subject, uuid) where r.uuid is null));
    end if;
    if not pairs <@ won then
        update sync.mark set due = now() + interval '1 second'
        where subject = any(array(select r.subject from unnest(subjects, pairs) r(subject, uuid) where r.uuid <> all(won)));
    end if;
    return query
        with taken as (
            update sync.mark m set due = now() + lease, crashes = crashes + 1
            from unnest(subjects, pairs) r(subject, uuid) where m.subject = r.subject and r.uuid = any(won)
            returning r.uuid, m.subject, m.generation, greatest(m.attempts, m.crashes - 1) as attempts, m.delays, m.privacy
        )
        select l.uuid, l.fence, jsonb_agg(jsonb_build_array(t.subject, t.generation)), max(t.attempts)::integer, max(t.delays)::integer, bool_or(t.privacy)
        from taken t join sync.link l using (uuid) group by l.uuid, l.fence;
end $$;

-- The pair each subject leads to; null where it leads nowhere (an ignored or former contact, a vanished uuid).
create or replace function sync.resolved(subjects text[]) returns table (subject text, uuid uuid) language sql stable as $$
    select s, coalesce(l.uuid, survivor.uuid)
    from unnest(subjects) s
    left join sync.link l on l.contact = substr(s, 3)::bigint
    left join sync.alias a on a.contact = substr(s, 3)::bigint and a.kind = 'merged'
    left join sync.link survivor on survivor.uuid = a.uuid
    where s like 'c:%'
    union all
    select s, case when c.mergedinto is null then l.uuid else winner.uuid end
    from unnest(subjects) s
    left join sync.link l on l.uuid = substr(s, 3)::uuid
    left join customer c on c.uuid = l.uuid
    left join sync.link winner on winner.uuid = c.mergedinto
    where s like 'u:%';
$$;

-- Views and functions for people ----------------------------------------------------------------------------------

create or replace view sync.pending as
    select subject, lane, due, attempts, crashes, privacy, due <= now() as is_due from sync.mark;

create or replace view sync.conflicts as
    select id, at, uuid, property, winner, kept, lost from sync.conflict where resolved is null;

create or replace view sync.parked as
    select l.uuid, l.contact, t.key as property, t.value ->> 'code' as code
    from sync.link l cross join lateral jsonb_each(l.trouble) t where l.trouble <> '{}'
    union all
    select null, null, name, code from sync.mapping;

-- The day's calls (UTC), and when they end at the pace of the last hour; null: not today.
create or replace view sync.today as
    with hour as (
        select coalesce(sum(calls * case when at = date_trunc('hour', now()) then 1 else 1 - extract(epoch from now() - date_trunc('hour', now())) / 3600 end), 0) as pace
        from sync.hour where at >= date_trunc('hour', now()) - interval '1 hour'
    ), forecast as (
        select calls, quota, now() + interval '1 hour' * (greatest(quota - calls, 0) / nullif(hour.pace, 0))::float8 as ends, (day + 1)::timestamp at time zone 'UTC' as midnight
        from sync.day, hour where day = (now() at time zone 'UTC')::date
    )
    select calls, quota, case when ends < midnight then ends end as ends_at from forecast;

create or replace view sync.budget as
    select s.kind, count(*) as calls, count(*) filter (where s.at > clock_timestamp() - case when s.kind = 'search' then interval '1 second' else interval '10 seconds' end) as used,
        coalesce(t.calls, 0) as today, t.quota, t.ends_at
    from sync.slot s left join sync.today t on true group by s.kind, t.calls, t.quota, t.ends_at;

create or replace view sync.status as
    select
        (select count(*) from sync.link where alive and not detached) as linked,
        (select count(*) from customer where deletedat is null and contactid is null) as unlinked,
        (select count(*) from sync.mark where due <= now()) as due,
        (select count(*) from sync.mark) as marks,
        (select count(*) from sync.intent) as intents,
        (select count(*) from sync.parked where code not like 'held%') as parked,
        (select count(*) from sync.parked where code like 'held%') as held,
        (select count(*) from sync.conflicts) as conflicts,
        (select count(*) from sync.alias where kind = 'ignored') as ignored,
        (select count(*) from sync.tombstone) as erased,
        (select max(at) from sync.heartbeat where job in ('drain', 'poll')) as last_success,
        (select since from sync.outage) as hubspot_down_since,
        (select ends_at from sync.today) as quota_ends_at;

-- Look again at one record (contact id, customer uuid or address), whatever parked it.
create or replace function sync.retry(subject text) returns void language plpgsql as $$
declare
    key text := case when subject ~ '^[0-9]+$' then 'c:' || subject
                     when subject ~ '^[0-9a-fA-F-]{36}$' then 'u:' || lower(subject)
                     else coalesce((select 'u:' || uuid from customer where lower(btrim(email)) = lower(btrim(subject)) and deletedat is null),
                                   'e:' || lower(btrim(subject))) end;
begin
    update sync.link l set trouble = '{}' from sync.resolved(array[key]) r where r.uuid = l.uuid and l.trouble <> '{}';
    perform sync.mark(array[key], 0);
    notify sync_dirty;
end $$;

-- End a conflict by writing `choice` ('kept' or 'lost', as the log has them) to the customer; it is then pushed as any SQL write.
create or replace function sync.resolve(conflict bigint, choice text) returns void language plpgsql as $$
declare
    c sync.conflict;
    l sync.link;
begin
    if choice not in ('kept', 'lost') then raise exception 'choice is kept or lost'; end if;
    select * into strict c from sync.conflict where id = resolve.conflict for update;
    select * into strict l from sync.link where uuid = c.uuid for update;
    -- HubSpot's value becomes the base, so that the chosen one reads as a local change (or as agreed).
    if c.winner is null then
        update sync.link set base = base || jsonb_build_object(c.property, c.lost) where uuid = c.uuid;
    end if;
    update sync.conflict set resolved = now() where id = resolve.conflict;
    execute format('update customer set %I = $1 where uuid = $2', c.property) using case choice when 'kept' then c.kept else c.lost end, c.uuid;
    perform sync.mark(array['u:' || c.uuid], 0);
    notify sync_dirty;
end $$;

-- Let an erased address be used again (new consent). Logged without the address.
create or replace function sync.forget_tombstone(address text) returns boolean language plpgsql as $$
begin
    delete from sync.tombstone where hash = sync.hash_of(address);
    if found then insert into sync.cursor (name, value) values ('forgotten:' || clock_timestamp(), '{}'); end if;
    return found;
end $$;

-- Erasing --------------------------------------------------------------------------------------------------------

-- Erase a person: every row, link, alias, log and mark that carries one of the addresses or ids, by closure.
-- Leaves salted hashes and ignored contact ids. Goes before inserts that begin later, and gives way to those under way
-- before Postgres looks for a deadlock (after a second): a busy lock is an error, and the caller comes again.
create or replace function sync.erase(subject uuid) returns table (hash text, contact bigint) language plpgsql set lock_timeout = '500ms' as $$
#variable_conflict use_column
declare
    people    uuid[] := array[subject];
    addresses text[];
    ids       bigint[];
    known     integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('sync.erase'));
    while cardinality(people) > known loop
        known := cardinality(people);
        addresses := array(
            select lower(btrim(email)) from customer where uuid = any(people) and email is not null
            union select base ->> 'email' from sync.link where uuid = any(people) and base ->> 'email' is not null
            union select vals ->> 'email' from sync.intent where uuid = any(people) and vals ->> 'email' is not null
            union select lower(btrim(v)) from sync.conflict, unnest(array[kept, lost]) v where uuid = any(people) and property = 'email' and v is not null);
        people := array(
            select unnest(people)
            union select uuid from customer where lower(btrim(email)) = any(addresses) or mergedinto = any(people)
            union select mergedinto from customer where uuid = any(people) and mergedinto is not null
            union select uuid from sync.link where base ->> 'email' = any(addresses)
            union select uuid from sync.intent where vals ->> 'email' = any(addresses));
    end loop;
    ids := array(select contact from sync.link where uuid = any(people) and contact is not null
                 union select contact from sync.alias where uuid = any(people));
    update customer set email = null, firstname = null, lastname = null, phone = null, company = null, website = null, lifecyclestage = null,
        contactid = null, deletedat = coalesce(deletedat, clock_timestamp()), erasedat = coalesce(erasedat, clock_timestamp()) where uuid = any(people);
    delete from sync.link where uuid = any(people);
    delete from sync.intent where uuid = any(people);
    -- Others' logs and remembered answers may name the addresses too.
    delete from sync.conflict c where uuid = any(people) or lower(btrim(lost)) = any(addresses)
        or lower(btrim(kept)) = any(addresses) and exists (
            select from sync.conflict o where o.uuid = c.uuid and o.property = c.property and o.lost is not distinct from c.lost and o.id <> c.id);
    update sync.conflict set kept = null where lower(btrim(kept)) = any(addresses);
    delete from sync.history where uuid = any(people) or exists (select from unnest(addresses) a where position(a in lower(changes::text)) > 0);
    -- Remembered answers may hold any of it, under former addresses too; they live for a day, and repeating is safe without.
    delete from sync.idempotency;
    delete from sync.dirty where uuid = any(people);
    delete from sync.mark where subject in (select 'u:' || p from unnest(people) p union select 'e:' || a from unnest(addresses) a union select 'c:' || i from unnest(ids) i);
    insert into sync.alias (contact, kind) select i, 'ignored' from unnest(ids) i on conflict (contact) do update set uuid = null, kind = 'ignored';
    insert into sync.tombstone (hash) select sync.hash_of(a) from unnest(addresses) a on conflict do nothing;
    return query select sync.hash_of(a), null::bigint from unnest(addresses) a union all select null, i from unnest(ids) i;
end $$;
