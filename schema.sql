-- The customer table, what the sync remembers about it, and the views operators read.
-- Idempotent. In one transaction it makes a new database; `python -m reconciler db init` applies it
-- to a live one section by section, and builds the indexes on customer before, without locking it.

set local client_min_messages = warning;

-- The table ---------------------------------------------------------------------------------------

-- (`db init` runs this again at the beginning of each other section's transaction.)
do $$
declare
    place regnamespace;
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception
            'the encoding of this database is %, not UTF8: it cannot hold every name and address',
            current_setting('server_encoding');
    end if;
    if to_regclass('customer') is null then
        create table customer (uuid uuid primary key default gen_random_uuid());
    end if;
    -- Neither a view nor a foreign table will do.
    select relnamespace
    into place
    from pg_class
    where oid = 'customer'::regclass
    and relkind in ('r', 'p');
    if place is null then
        raise exception 'customer is not a table';
    end if;
    if exists (
        select from pg_attribute
        where attrelid = 'customer'::regclass
        and attname = 'uuid'
        and atttypid <> 'uuid'::regtype
    ) then
        raise exception
            'customer.uuid is not of type uuid: rename that column, and another one is added';
    end if;
    -- From here on customer is this one, whatever else the search_path has.
    perform set_config('search_path', format('pg_catalog, %s, pg_temp', place), true);
end $$;

-- Columns -----------------------------------------------------------------------------------------

-- A table that was there before gets those it lacks, without a rewrite. When its rows were last
-- edited is not known: an edit in HubSpot is newer than that. Where no column is lacking, nothing
-- is locked.
do $$
declare
    names text[] := (
        select array_agg(attname)
        from pg_attribute
        where attrelid = 'customer'::regclass
        and attnum > 0
        and not attisdropped
    );
begin
    if not names @> array[
        'uuid', 'email', 'firstname', 'lastname', 'phone', 'company', 'website', 'lifecyclestage',
        'createdat', 'updatedat', 'contactid', 'hubspotcreatedat', 'hubspotupdatedat', 'deletedat',
        'erasedat', 'mergedinto'
    ] then
        alter table customer
            add column if not exists uuid uuid,
            -- The mapped columns: they go over to HubSpot and come from there.
            add column if not exists email text,
            add column if not exists firstname text,
            add column if not exists lastname text,
            add column if not exists phone text,
            add column if not exists company text,
            add column if not exists website text,
            add column if not exists lifecyclestage text,
            add column if not exists createdat timestamptz not null default now(),
            -- The last edit here, of a mapped column or of being alive.
            add column if not exists updatedat timestamptz not null default 'epoch',
            -- The linked contact and its times in HubSpot: written by the sync only, for reading.
            -- What counts is the link.
            add column if not exists contactid bigint,
            add column if not exists hubspotcreatedat timestamptz,
            add column if not exists hubspotupdatedat timestamptz,
            -- Not null: dead. SQL may set and clear it.
            add column if not exists deletedat timestamptz,
            -- Written by the sync only; the second is the winner, since HubSpot merged the two.
            add column if not exists erasedat timestamptz,
            add column if not exists mergedinto uuid;
        if not 'uuid' = any(names) then
            alter table customer alter column uuid set default gen_random_uuid();
        end if;
        -- 'epoch' was for the rows that were there; new ones are edited when they are made.
        if not 'updatedat' = any(names) then
            alter table customer alter column updatedat set default now();
        end if;
    end if;
    -- Contacts come without an address or a name, too.
    if exists (
        select from pg_attribute
        where attrelid = 'customer'::regclass
        and attname in ('email', 'firstname', 'lastname')
        and attnotnull
    ) then
        alter table customer
            alter column email drop not null,
            alter column firstname drop not null,
            alter column lastname drop not null;
    end if;
end $$;

-- Keys --------------------------------------------------------------------------------------------

-- (Before this, `db init` gives the rows of a large table their keys in portions.)
do $$
begin
    if exists (
        select from pg_attribute
        where attrelid = 'customer'::regclass
        and attname = 'uuid'
        and not attnotnull
    ) then
        update customer set uuid = gen_random_uuid() where uuid is null;
        alter table customer alter column uuid set not null;
    end if;
    -- Any unique index on uuid alone will do that is whole and covers every row.
    if not exists (
        select
        from pg_index i
        join pg_attribute a
            on a.attrelid = i.indrelid
            and a.attnum = i.indkey[0]
        where i.indrelid = 'customer'::regclass
        and a.attname = 'uuid'
        and i.indisunique
        and i.indisvalid
        and i.indnkeyatts = 1
        and i.indpred is null
    ) then
        create unique index if not exists customer_uuid_is_unique on customer (uuid);
    end if;
end $$;

-- Tables ------------------------------------------------------------------------------------------

create schema if not exists sync;

-- What 0.1.0 called otherwise takes its name of today; views and functions in use follow.
do $$
begin
    if to_regclass('sync.mapping') is not null then
        alter table sync.mapping rename to suspended;
        alter table sync.suspended rename column code to reason;
    end if;
    if to_regclass('sync.link_in_trouble') is not null then
        alter table sync.link rename column trouble to blocks;
        alter index sync.link_in_trouble rename to link_blocked;
        update sync.link set blocks = (
            select jsonb_object_agg(
                key,
                value - 'code' || jsonb_build_object('reason', value -> 'code')
            )
            from jsonb_each(blocks)
        )
        where blocks <> '{}';
        alter table sync.link rename column seen to newest_seen;
        alter table sync.link rename column read to merged_through;
        alter table sync.link rename column looks to stale_reads;
        alter table sync.link rename column unseen to blind_pushes;
        alter table sync.intent rename column ahead to hubspot_first;
    end if;
end $$;

-- Every fence and every mark's generation comes from here and is never used twice.
create sequence if not exists sync.number;

-- customer uuid <-> contact id. Outlives its customer: a hard DELETE must not make the contact
-- unknown.
create table if not exists sync.link (
    -- The customer's; where there is none (yet), the one that a customer of the contact would get.
    uuid        uuid primary key,
    contact     bigint,                       -- null: no contact is linked (yet, or any more)
    base        jsonb not null default '{}',  -- column -> value both sides last agreed on;
                                              -- absent: empty
    base_at     jsonb not null default '{}',  -- pushed column -> HubSpot's time (ms) of the answer
                                              -- that set its base
    alive       boolean,                      -- the base of existence; null: never agreed
    newest_seen timestamptz,                  -- highest lastmodifieddate in any answer
    merged_through timestamptz,               -- lastmodifieddate of the last full read that was
                                              -- merged and committed
    stale_reads smallint not null default 0,  -- reads in a row that were older than `newest_seen`
    edited      jsonb not null default '{}',  -- column -> time of the last SQL edit
    blocks      jsonb not null default '{}',  -- column, or * for the record -> {reason,
                                              -- fingerprint, detail}: why it does not move
    blind_pushes jsonb not null default '{}', -- column -> {since, base, sent}: pushed without a
                                              -- read, history not checked yet
    detached    boolean not null default false,  -- both directions stop: one side died, and its
                                                 -- deletion is not to go over
    privacy     boolean not null default false,  -- a privacy deletion was announced: the next 404
                                                 -- erases
    deleted     boolean not null default false,  -- the trigger saw the row's DELETE: that it is
                                                 -- absent is no riddle
    erase_due   boolean not null default false,  -- to be erased on both sides; stays so until
                                                 -- HubSpot has confirmed
    fence       bigint not null default 0,  -- of the last claim; a new one voids it
    lease_until timestamptz  -- of the claim; null: no worker holds one
);
alter table sync.link
    add column if not exists deleted boolean not null default false,
    add column if not exists erase_due boolean not null default false;
create index if not exists link_erase_due on sync.link (uuid) where erase_due;
-- The base stays in the row if it fits at all.
alter table sync.link alter column base set storage main;
create unique index if not exists link_contact_is_unique on sync.link (contact);
create index if not exists link_base_email on sync.link ((base ->> 'email'));
create index if not exists link_blocked on sync.link (uuid) where blocks <> '{}';

-- Ids that are no link's contact: merged away (they lead to the survivor's link), ignored (an
-- erased person's), or former (archived, its customer has another contact now; restored, it is
-- looked at like any unknown contact).
create table if not exists sync.alias (
    contact bigint primary key,
    uuid    uuid,  -- the link that a merged id leads to, or whose contact a former one was
    kind    text not null check (kind in ('merged', 'former', 'ignored'))
);
create index if not exists alias_uuid on sync.alias (uuid);

-- Mapped columns that HubSpot does not have, or does not let us write, at the moment: they wait,
-- everything else goes on.
create table if not exists sync.suspended (
    name   text primary key,
    reason text not null,  -- unknown_property or forbidden_property
    at     timestamptz not null default now()
);
-- Not null: it is back, and of the pairs that waited for it those up to this one are marked.
alter table sync.suspended add column if not exists woken uuid;

-- What is about to be sent to HubSpot; gone when its answer is committed.
create table if not exists sync.intent (
    id       bigint primary key default nextval('sync.number'),
    uuid     uuid not null,  -- the link's
    kind     text not null check (kind in ('create', 'update', 'archive')),
    vals     jsonb not null default '{}',  -- column -> value
    at       timestamptz not null default clock_timestamp(),
    deadline timestamptz not null,  -- by then its call has ended: still open, it is due work
    overdue  boolean not null default false,  -- its call has ended without an answer; `deadline` is
                                              -- when to look again
    hubspot_first boolean not null default false,  -- an API write: the row does not hold it yet
    reserved text  -- the address an API create holds while its customer does not exist yet
);
alter table sync.intent
    -- updated column -> [base, base_at] when it was sent: what differs since was overtaken
    add column if not exists before jsonb not null default '{}';
-- Values of calls that got no answer and may still land: [{column, value, before, until}].
alter table sync.link add column if not exists late jsonb not null default '[]';
-- Addresses beside the present one: secondary ones, and former ones that the log has no more.
-- Erased with the person.
alter table sync.link add column if not exists former text[] not null default '{}';
create index if not exists link_former on sync.link using gin (former) where former <> '{}';
create index if not exists intent_uuid on sync.intent (uuid);
create index if not exists intent_deadline on sync.intent (deadline);
create index if not exists intent_creates_address on sync.intent ((vals ->> 'email'))
    where kind = 'create';
-- Two API creates of one address must not both reach HubSpot.
create unique index if not exists intent_reserves_address_once on sync.intent (reserved)
    where reserved is not null;

-- The work list: "look at this one".
create table if not exists sync.mark (
    subject    text primary key,  -- c:<contact id>, u:<customer uuid> or e:<address>
    generation bigint not null default nextval('sync.number'),  -- a new one each time it is made
    due        timestamptz not null default now(),
    lane       smallint not null default 1,  -- 0 interactive, 1 fresh, 2 bulk, 3 audit
    attempts   smallint not null default 0,  -- looks that failed for a reason of the record's own
    crashes    smallint not null default 0,  -- claims whose worker did not come back
    delays     smallint not null default 0,  -- looks in a row that were put off for a reason that
                                             -- was not the record's own: a failed call, a held row
    privacy    boolean not null default false  -- a privacy deletion of the contact was announced
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index if not exists mark_due on sync.mark (lane, due);
create index if not exists mark_addresses on sync.mark (due) where subject like 'e:%';

-- Where a walk or a poll stands, and other things that are remembered by name.
create table if not exists sync.cursor (
    name  text primary key,
    value jsonb not null,
    at    timestamptz not null default now()
);

-- What the sync wrote. It also says which addresses a person had.
create table if not exists sync.history (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    uuid    uuid not null,
    side    text not null check (side in ('postgres', 'hubspot')),  -- the one that was written
    action  text not null,
    changes jsonb not null default '{}'  -- column -> [before, after]
);
create index if not exists history_uuid on sync.history (uuid);
create index if not exists history_at on sync.history (at);

-- The losers of conflicts, stored before they are overwritten. A conflict seen again is the same
-- row.
create table if not exists sync.conflict (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    uuid     uuid not null,
    property text not null,  -- the column
    winner   text check (winner in ('postgres', 'hubspot')),  -- null: to be decided by hand
    kept     text,  -- the winner's value; without one, the customer's
    lost     text,  -- the loser's value; without one, HubSpot's
    resolved timestamptz
);
create index if not exists conflict_uuid on sync.conflict (uuid);
create unique index if not exists conflict_is_logged_once
    on sync.conflict (uuid, property, md5(coalesce(kept, '')), md5(coalesce(lost, '')))
    where resolved is null;

-- One row per call that may be made in a window: a call takes the row unused for longest, if that
-- is a window ago.
create table if not exists sync.slot (
    kind text not null,  -- every call takes one of `all`; a search takes one of `search`, too
    n    integer not null,  -- if n modulo 20 is a lane: of that lane's floor
    at   timestamptz not null default '-infinity',  -- of its last call; a 429 moves it ahead
    primary key (kind, n)
) with (fillfactor = 50);
create index if not exists slot_at on sync.slot (kind, at);

-- Calls of a day of HubSpot's account: HubSpot's count where it gave one (other apps of the account
-- call, too), else ours; and its quota, as known.
create table if not exists sync.day (
    day   date primary key,
    calls bigint not null default 0,
    quota bigint not null
);
-- Whether HubSpot itself says that no call is left.
alter table sync.day add column if not exists spent boolean not null default false;
-- Our own calls by the hour, for the forecast.
create table if not exists sync.hour (
    at    timestamptz primary key,
    calls bigint not null default 0
);
-- When each lane last waited for slots: the lanes below leave them to it.
create table if not exists sync.lane (
    lane   smallint primary key,
    wanted timestamptz not null default '-infinity'
);

-- HubSpot's failures in a row, in one row; while it counts as down (`since`) no call is made to it
-- but one probe at a time.
create table if not exists sync.outage (
    one      boolean primary key default true check (one),
    failures integer not null default 0,
    since    timestamptz,
    probe    timestamptz not null default '-infinity'  -- when the next call may look
);
alter table sync.outage
    -- one word for what the last failure was
    add column if not exists cause text not null default 'unavailable',
    -- and a sentence
    add column if not exists reason text not null default 'HubSpot did not answer';

-- Kinds of HubSpot call that are refused (a scope, a path that is gone) while others go on.
create table if not exists sync.shut (
    door   text primary key,  -- the kind of call
    since  timestamptz not null default clock_timestamp(),
    cause  text not null,
    reason text not null
);

-- The brake: what passed of a kind (of a column, for rewrites) in a minute, and what an operator
-- allows beyond it.
create table if not exists sync.danger (
    kind  text not null,  -- delete, blank, create, missing, or rewrite with the column behind it
    at    timestamptz not null default clock_timestamp(),
    count integer not null
);
-- Older tables have no key, and several rows for a minute: they are added up.
do $$
begin
    if not exists (
        select from pg_constraint
        where conrelid = 'sync.danger'::regclass
        and contype = 'p'
    ) then
        create temporary table minutes on commit drop as
            select kind, date_trunc('minute', at) as at, sum(count)::integer as count
            from sync.danger
            group by 1, 2;
        delete from sync.danger;
        insert into sync.danger select kind, at, count from minutes;
        alter table sync.danger add primary key (kind, at);
        drop index if exists sync.danger_at;
    end if;
end $$;
create table if not exists sync.allowance (
    kind  text primary key,  -- without a column; with `:all` behind it: any number may pass
    count integer not null,  -- how many more may pass
    until timestamptz not null
);

-- Requests with an idempotency key, and their answers.
create table if not exists sync.idempotency (
    key         text not null,
    caller      text not null,  -- a hash of the token's subject, as the key is one: either may name
                                -- a person
    request     text not null,  -- a digest of what was asked: a key is for one request
    uuid        uuid,  -- for the customer that it may make: the same when it is repeated
    status      smallint,  -- null: no final answer yet
    body        json,  -- as it was sent, to the byte
    at          timestamptz not null default now(),
    lease_until timestamptz not null,  -- without a final answer it may be repeated from then on
    primary key (caller, key)
);
alter table sync.idempotency
    -- of the request that has the key: an answer from any other one is not kept
    add column if not exists fence bigint not null default 0;

create table if not exists sync.heartbeat (
    job   text primary key,
    at    timestamptz not null default '-infinity',  -- last success
    taken timestamptz not null default '-infinity'  -- when a process last said it is at it
);
alter table sync.heartbeat drop column if exists note;

-- Events by kind, the unknown and foreign ones too; `refused:<reason>`: deliveries of HubSpot's
-- that were not taken, `stray:<reason>`: requests that were no deliveries, `unreadable`: bodies in
-- quarantine.
create table if not exists sync.event (
    kind  text primary key,
    count bigint not null
);
-- When the last one came.
alter table sync.event add column if not exists at timestamptz not null default clock_timestamp();

-- Signed bodies that could not be read, for a person: size and hash; the body itself may be
-- personal.
create table if not exists sync.quarantine (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default now(),
    reason text not null,
    size   integer not null,
    hash   text not null
);

-- What the triggers touch comes last, in the order in which they touch it: an insert that has one
-- of these and this section that has another would wait for each other.

-- Erased stays erased: salted hashes of addresses. (The contact ids are aliases of kind 'ignored'.)
create table if not exists sync.tombstone (
    hash    text primary key,
    at      timestamptz not null default now()
);
-- Inserts of transactions that noted this era or an earlier one (`sync.note_era`) may not know of
-- the tombstone; null: not known yet, and any that are open may not.
alter table sync.tombstone add column if not exists era bigint;
create sequence if not exists sync.era;
-- Only a sequence that was asked says by last_value what it gave.
select setval('sync.era', last_value) from sync.era where not is_called;

do $$
begin
    -- What 0.1.0 called otherwise.
    if to_regclass('sync.secret') is not null then
        alter table sync.secret rename to setting;
    end if;
end $$;
-- By name: the `salt` of the hashes, the HubSpot account (`portal`, `time_zone`) that this database
-- is linked with, and the place (`home`) where it was linked.
-- The salt is made with the first hash: a dump of another database finds no other one here.
create table if not exists sync.setting (
    name  text primary key,
    value text not null
);

-- What the trigger appends: no unique key, so no writer ever waits for another here.
create table if not exists sync.dirty (
    uuid   uuid not null,
    edited text[] not null default '{}',  -- the mapped columns that changed
    at     timestamptz not null default clock_timestamp()
);
-- Whether the row was deleted.
alter table sync.dirty add column if not exists deleted boolean not null default false;
-- Whether the row left the scope of the mapping: its contact stays, and nothing goes over any more.
alter table sync.dirty add column if not exists leaves boolean not null default false;
-- Of a table of the owner's that was changed in many rows at once: the row's key instead of its uuid.
alter table sync.dirty add column if not exists key text;
alter table sync.dirty alter column uuid drop not null;
-- So that its rows can be deleted where a publication has all tables.
alter table sync.dirty replica identity full;

-- Which version of this schema it is: 1 is that of 0.1.0. A program takes a database of its own
-- version, and brings earlier ones to it.
create or replace function sync.version() returns integer language sql immutable parallel safe
    return 2;

-- Where a link stands, in a word for people.
create or replace function sync.state_of(l sync.link) returns text language sql immutable as $$
    select case
        when l.blocks <> '{}' then 'blocked'
        when l.detached then 'detached'
        when l.contact is null then 'waiting'
        when not l.alive then 'ended'
        else 'linked'
    end
$$;

-- A time as the sync's programs can hold it: what lies beyond their calendar ('infinity', the year
-- 20,000) says nothing of when a row was made or edited, and counts as long ago.
create or replace function sync.readable(at timestamptz) returns timestamptz
language sql immutable parallel safe
    return case
        when at is null then null
        when at >= timestamptz '0001-01-02 00:00+00' and at < timestamptz '9999-12-31 00:00+00' then at
        else timestamptz 'epoch'
    end;

-- Addresses ---------------------------------------------------------------------------------------

-- The one canonical form of an address: blanks of every kind trimmed, lower case, character by
-- character and whatever the database's locale; null when nothing is left. `normalise_email` in
-- reconciler/core/fields.py gives the same, by the same runs of letters (first:last:step:distance)
-- as in reconciler/core/letters.py.
--
-- Null for null, but not declared strict: its body could not take the place of the call then.
do $$
declare
    runs text := '
        192:214:1:32 216:222:1:32 256:302:2:1 306:310:2:1 313:327:2:1 330:374:2:1 376:376:1:-121
        377:381:2:1 385:385:1:210 386:388:2:1 390:390:1:206 391:391:1:1 393:394:1:205
        395:395:1:1 398:398:1:79 399:399:1:202 400:400:1:203 401:401:1:1 403:403:1:205
        404:404:1:207 406:406:1:211 407:407:1:209 408:408:1:1 412:412:1:211 413:413:1:213
        415:415:1:214 416:420:2:1 422:422:1:218 423:423:1:1 425:425:1:218 428:428:1:1
        430:430:1:218 431:431:1:1 433:434:1:217 435:437:2:1 439:439:1:219 440:440:1:1
        444:444:1:1 452:452:1:2 453:453:1:1 455:455:1:2 456:456:1:1 458:458:1:2 459:475:2:1
        478:494:2:1 497:497:1:2 498:500:2:1 502:502:1:-97 503:503:1:-56 504:542:2:1
        544:544:1:-130 546:562:2:1 570:570:1:10795 571:571:1:1 573:573:1:-163 574:574:1:10792
        577:577:1:1 579:579:1:-195 580:580:1:69 581:581:1:71 582:590:2:1 880:882:2:1 886:886:1:1
        895:895:1:116 902:902:1:38 904:906:1:37 908:908:1:64 910:911:1:63 913:929:1:32
        931:939:1:32 975:975:1:8 984:1006:2:1 1012:1012:1:-60 1015:1015:1:1 1017:1017:1:-7
        1018:1018:1:1 1021:1023:1:-130 1024:1039:1:80 1040:1071:1:32 1120:1152:2:1 1162:1214:2:1
        1216:1216:1:15 1217:1229:2:1 1232:1326:2:1 1329:1366:1:48 4256:4293:1:7264
        4295:4295:1:7264 4301:4301:1:7264 5024:5103:1:38864 5104:5109:1:8 7312:7354:1:-3008
        7357:7359:1:-3008 7680:7828:2:1 7838:7838:1:-7615 7840:7934:2:1 7944:7951:1:-8
        7960:7965:1:-8 7976:7983:1:-8 7992:7999:1:-8 8008:8013:1:-8 8025:8031:2:-8
        8040:8047:1:-8 8072:8079:1:-8 8088:8095:1:-8 8104:8111:1:-8 8120:8121:1:-8
        8122:8123:1:-74 8124:8124:1:-9 8136:8139:1:-86 8140:8140:1:-9 8152:8153:1:-8
        8154:8155:1:-100 8168:8169:1:-8 8170:8171:1:-112 8172:8172:1:-7 8184:8185:1:-128
        8186:8187:1:-126 8188:8188:1:-9 8486:8486:1:-7517 8490:8490:1:-8383 8491:8491:1:-8262
        8498:8498:1:28 8544:8559:1:16 8579:8579:1:1 9398:9423:1:26 11264:11311:1:48
        11360:11360:1:1 11362:11362:1:-10743 11363:11363:1:-3814 11364:11364:1:-10727
        11367:11371:2:1 11373:11373:1:-10780 11374:11374:1:-10749 11375:11375:1:-10783
        11376:11376:1:-10782 11378:11378:1:1 11381:11381:1:1 11390:11391:1:-10815
        11392:11490:2:1 11499:11501:2:1 11506:11506:1:1 42560:42604:2:1 42624:42650:2:1
        42786:42798:2:1 42802:42862:2:1 42873:42875:2:1 42877:42877:1:-35332 42878:42886:2:1
        42891:42891:1:1 42893:42893:1:-42280 42896:42898:2:1 42902:42920:2:1
        42922:42922:1:-42308 42923:42923:1:-42319 42924:42924:1:-42315 42925:42925:1:-42305
        42926:42926:1:-42308 42928:42928:1:-42258 42929:42929:1:-42282 42930:42930:1:-42261
        42931:42931:1:928 42932:42946:2:1 42948:42948:1:-48 42949:42949:1:-42307
        42950:42950:1:-35384 42951:42953:2:1 42960:42960:1:1 42966:42968:2:1 42997:42997:1:1
        65313:65338:1:32 66560:66599:1:40 66736:66771:1:40 66928:66964:2:39 66929:66937:2:39
        66941:66953:2:39 66957:66961:2:39 66965:66965:1:39 68736:68786:1:64 71840:71871:1:32
        93760:93791:1:32 125184:125217:1:34
    ';
    capitals text;
    small    text;
    blanks   text;
    dotted   text := chr(304);
begin
    -- A run stands for the capitals from first to last; their small letters are `distance` further.
    select string_agg(chr(first + n * step), '' order by first + n * step),
        string_agg(chr(first + n * step + distance), '' order by first + n * step)
    into capitals, small
    from (
        select part[1] as first, part[2] as last, part[3] as step, part[4] as distance
        from (
            select string_to_array(run, ':')::integer[] as part
            from regexp_split_to_table(btrim(runs, E' \n'), '\s+') run
        ) parts
    ) each, generate_series(0, (last - first) / step) n;
    blanks := (
        select string_agg(chr(code), '')
        from unnest(array[32, 9, 10, 11, 12, 13, 28, 29, 30, 31]) code
    );
    -- No SQL function, for its body would take the place of the call, and be copied with all
    -- letters into every plan. (The I with a dot becomes two letters, which `translate` cannot do.)
    execute format(
    'create or replace function sync.lower_letters(letters text) returns text language plpgsql '
    'immutable strict parallel safe set search_path = pg_catalog, pg_temp as $f$ begin '
    'if letters collate "C" ~ %L then return translate(replace(letters, %L, %L), %L, %L); end if; '
    'return letters; end $f$',
    '[' || capitals || dotted || ']', dotted, 'i' || chr(775), capitals, small
    );
    -- What is ASCII alone has none of these letters, and none of the blanks beyond it.
    execute format(
        'create or replace function sync.address(address text) returns text language sql '
        'immutable parallel safe return nullif(case when octet_length(address) = length(address) '
        'then btrim(lower(address collate "C"), %L) '
        'else sync.lower_letters(btrim(lower(address collate "C"), %L)) end, %L)',
        blanks,
        blanks || (
            select string_agg(chr(code), '')
            from (
                select unnest(array[133, 160, 5760, 8232, 8233, 8239, 8287, 12288])
                union all
                select generate_series(8192, 8202)
            ) codes(code)
        ),
        ''
    );
end $$;

-- Indexes on customer -----------------------------------------------------------------------------

create unique index if not exists customer_address_is_unique_among_live on customer
    (sync.address(email)) where deletedat is null;
-- (By hash: an address that no living customer has may be longer than what fits into a btree.)
create index if not exists customer_address_of_the_dead on customer
    using hash (sync.address(email)) where deletedat is not null;
create index if not exists customer_mergedinto on customer (mergedinto)
    where mergedinto is not null;
create index if not exists customer_contactid on customer (contactid)
    where contactid is not null;

-- From 0.1.0 --------------------------------------------------------------------------------------

-- There addresses had another form, which followed the database's locale: what is stored in it
-- follows.
do $$
begin
    -- The index over the old form goes last: while it is there, this was not done.
    if to_regclass('customer_email_is_unique_among_live') is null then return; end if;
    update sync.link
    set base = jsonb_set(base, '{email}', to_jsonb(sync.address(base ->> 'email')))
    where base ->> 'email' <> sync.address(base ->> 'email');
    update sync.intent
    set vals = jsonb_set(vals, '{email}', to_jsonb(sync.address(vals ->> 'email')))
    where vals ->> 'email' <> sync.address(vals ->> 'email');
    update sync.intent
    set reserved = sync.address(reserved)
    where reserved <> sync.address(reserved);
    with old as (
        -- Marks about addresses in the old form; they are made again in the new one.
        delete from sync.mark
        where subject like 'e:%'
        and subject <> 'e:' || sync.address(substr(subject, 3))
        returning sync.address(substr(subject, 3)) as address
    )
    insert into sync.mark (subject)
    select distinct 'e:' || address from old
    on conflict do nothing;
    drop index customer_email_is_unique_among_live;
end $$;

-- The border --------------------------------------------------------------------------------------

-- All that is read of the owner's table and written to it goes through these functions; nothing else
-- below names one of its columns but the triggers. In values an empty one is null.

-- What a customer holds in canonical form, as a base has it: empty values are left out.
create or replace function sync.values_of(c customer) returns jsonb language sql stable as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'email', sync.address(c.email),
        'firstname', nullif(c.firstname, ''),
        'lastname', nullif(c.lastname, ''),
        'phone', nullif(c.phone, ''),
        'company', nullif(c.company, ''),
        'website', nullif(c.website, ''),
        'lifecyclestage', nullif(c.lifecyclestage, '')
    ));
$$;

-- The table itself; whether a policy of it may hide rows from this role; and the customers, living
-- and dead: each with its key, where that is not its uuid, with what its row holds (`raw`: field -> text or null, or {"unfit": why} where no
-- property can hold it) and the same in canonical form (`canonical`). Their bodies take the place of a
-- call, so that indexes serve. (In quotes: other bodies would keep the owner from altering columns.)
do $$
begin
    execute format($f$
        create or replace function sync.customer_table() returns regclass
        language sql stable as $body$ select %1$L::regclass $body$;

        create or replace function sync.hides_rows() returns boolean
        language sql stable as $body$ select row_security_active(%1$L::regclass) $body$;

        create or replace function sync.customers() returns table (
            uuid uuid, key jsonb, raw jsonb, canonical jsonb, address text,
            createdat timestamptz, updatedat timestamptz,
            contactid bigint, hubspotcreatedat timestamptz, hubspotupdatedat timestamptz,
            deletedat timestamptz, erasedat timestamptz, mergedinto uuid
        ) language sql stable as $body$
            select
                c.uuid,
                null::jsonb,
                jsonb_build_object(
                    'email', c.email,
                    'firstname', c.firstname,
                    'lastname', c.lastname,
                    'phone', c.phone,
                    'company', c.company,
                    'website', c.website,
                    'lifecyclestage', c.lifecyclestage
                ),
                sync.values_of(c.*),
                sync.address(c.email),
                sync.readable(c.createdat),
                sync.readable(c.updatedat),
                c.contactid, c.hubspotcreatedat, c.hubspotupdatedat,
                c.deletedat, c.erasedat, c.mergedinto
            from %1$s c
        $body$
        $f$,
        (
            select format('%I.%I', n.nspname, t.relname)
            from pg_class t
            join pg_namespace n on n.oid = t.relnamespace
            where t.oid = 'customer'::regclass
        )
    );
end $$;

-- Whether a customer is not as was agreed.
create or replace function sync.differs(canonical jsonb, base jsonb) returns boolean
language sql immutable as $$
    select canonical is distinct from base
$$;

-- How many of the columns that are read or written the table lacks.
create or replace function sync.count_lacking() returns bigint language sql stable as $$
    select count(*)
    from unnest('{
        uuid,email,firstname,lastname,phone,company,website,lifecyclestage,createdat,updatedat,
        contactid,hubspotcreatedat,hubspotupdatedat,deletedat,erasedat,mergedinto
    }'::text[]) name
    where not exists (
        select from pg_attribute
        where attrelid = sync.customer_table()
        and attname = name
        and not attisdropped
    )
$$;

-- The columns that hold a field each.
create or replace function sync.columns() returns table (field text, col text)
language sql stable as $$
    select name, name
    from unnest(
        '{email,firstname,lastname,phone,company,website,lifecyclestage}'::text[]
    ) name
$$;

-- Whether an address may be taken off a row for a moment.
create or replace function sync.releases() returns boolean language sql immutable as $$
    select true
$$;

-- The identity of a key that the capture noted: here it notes uuids.
create or replace function sync.uuid_of(key text) returns uuid language sql immutable as $$
    select null::uuid
$$;

-- Rows with these addresses that are not in scope: here all are.
create or replace function sync.outside(addresses text[]) returns table (address text, uuid uuid)
language sql stable as $$
    select null::text, null::uuid where false
$$;

-- Rows that no trigger saw come: here the table itself knows all of them.
create or replace function sync.find_rows(after text, most integer) returns text
language sql immutable as $$
    select null::text
$$;

-- For people: who is linked with which contact.
create or replace view sync.links as
    select l.uuid::text as key, l.uuid, l.contact as contactid, l.alive, sync.state_of(l) as state
    from sync.link l;

-- Lock the rows of customers; returns those that no other transaction has locked.
create or replace function sync.loose_customers(uuids uuid[]) returns setof uuid
language plpgsql as $$
begin
    return query
        select c.uuid
        from customer c
        where c.uuid = any(loose_customers.uuids)
        order by c.uuid
        for no key update skip locked;
end $$;

-- Insert customers; says, if they are `watched`, what the rows hold after the owner's triggers.
create or replace function sync.insert_customers(rows jsonb, watched boolean default false)
returns table (uuid uuid, holds jsonb) language plpgsql as $$
#variable_conflict use_column
begin
    return query
        insert into customer as c (
            uuid, email, firstname, lastname, phone, company, website, lifecyclestage,
            contactid, hubspotcreatedat, hubspotupdatedat
        )
        select
            w.uuid, r.email, r.firstname, r.lastname, r.phone, r.company, r.website,
            r.lifecyclestage, w.contact, w.created, w.updated
        from jsonb_to_recordset(insert_customers.rows) as w(
            uuid uuid, vals jsonb, contact bigint, created timestamptz, updated timestamptz
        )
        cross join lateral jsonb_populate_record(null::customer, w.vals) r
        returning
            c.uuid,
            case when insert_customers.watched then sync.values_of(c.*) end;
end $$;

-- Write customers: of each the values in `vals`, whether it lives (null: as before), and what is
-- shown of its contact. Where something is `expected`, only a living one that holds it.
create or replace function sync.write_customers(rows jsonb, watched boolean default false)
returns table (uuid uuid, alive boolean, holds jsonb) language plpgsql as $$
#variable_conflict use_column
begin
    return query
        update customer c set
            (email, firstname, lastname, phone, company, website, lifecyclestage) = (
                select
                    r.email, r.firstname, r.lastname, r.phone, r.company, r.website,
                    r.lifecyclestage
                from jsonb_populate_record(c.*, w.vals) r
            ),
            -- A customer that is revived has no branch: it gets null.
            deletedat = case
                when w.alive is null then c.deletedat
                when not w.alive then coalesce(c.deletedat, clock_timestamp())
            end,
            updatedat = coalesce(w.edited, c.updatedat),
            contactid = coalesce(w.contact, c.contactid),
            hubspotcreatedat = coalesce(w.created, c.hubspotcreatedat),
            hubspotupdatedat = greatest(c.hubspotupdatedat, w.updated)
        from jsonb_to_recordset(write_customers.rows) as w(
            uuid uuid, vals jsonb, alive boolean, edited timestamptz, expected jsonb,
            contact bigint, created timestamptz, updated timestamptz
        )
        where c.uuid = w.uuid
        and (
            w.expected is null
            or c.deletedat is null
                and to_jsonb(c.*) @> w.expected
        )
        returning
            c.uuid,
            c.deletedat is null,
            case when write_customers.watched then sync.values_of(c.*) end;
end $$;

-- Whether the columns can hold the values: an error says that they cannot.
create or replace function sync.fits(vals jsonb) returns boolean language plpgsql as $$
begin
    return jsonb_populate_record(null::customer, fits.vals) is not null;
end $$;

-- Show the contact ids of the links in the customers' rows.
create or replace function sync.show_contacts(uuids uuid[]) returns void language plpgsql as $$
begin
    update customer c
    set contactid = l.contact
    from sync.link l
    where l.uuid = c.uuid
    and c.uuid = any(show_contacts.uuids)
    and c.contactid is distinct from l.contact;
end $$;

-- Keep the loser's customer, soft-deleted, and let it point to the winner, and with it the customers
-- that were merged into it before.
create or replace function sync.merge_customers(winner uuid, loser uuid) returns void
language plpgsql as $$
#variable_conflict use_column
begin
    update customer
    set mergedinto = merge_customers.winner,
        deletedat = coalesce(deletedat, clock_timestamp()),
        contactid = null
    where uuid = merge_customers.loser
    or mergedinto = merge_customers.loser;
end $$;

-- Take all that is personal out of these rows, which stay. (A column of the owner's may have the
-- name of the variable.)
create or replace function sync.empty_customers(people uuid[]) returns void language plpgsql as $$
#variable_conflict use_column
begin
    with erased as (
        -- The person's customers.
        select unnest(empty_customers.people) as uuid
    )
    update customer c
    set email = null,
        firstname = null,
        lastname = null,
        phone = null,
        company = null,
        website = null,
        lifecyclestage = null,
        contactid = null,
        deletedat = coalesce(deletedat, clock_timestamp()),
        erasedat = coalesce(erasedat, clock_timestamp())
    from erased
    where c.uuid = erased.uuid;
end $$;

-- Functions ---------------------------------------------------------------------------------------

-- Whether the sync itself writes. The setting alone says nothing, for any role can make it: it
-- counts for a session whose role could write the sync's own tables, too.
create or replace function sync.is_own() returns boolean language sql stable parallel safe
    return coalesce(current_setting('sync.own', true), '') = 'on'
        and has_table_privilege(session_user, 'sync.link', 'update');

-- The hash of an address in tombstones; null for null, and while there is no salt.
create or replace function sync.hash_of(address text) returns text language sql stable
    return (
        select encode(sha256(convert_to(value || ':' || sync.address(address), 'UTF8')), 'hex')
        from sync.setting
        where name = 'salt'
    );

-- Which database this is: the cluster it was made in, and its number there. A dump and a template
-- give a copy another one; a new name, a restart and a promoted replica do not. Some hosts do not
-- say which cluster it is: `?`.
create or replace function sync.place() returns text language plpgsql stable as $$
declare
    cluster text;
begin
    begin
        select system_identifier into cluster from pg_control_system();
    exception when others then
        cluster := '?';
    end;
    return cluster || ':' || (select oid from pg_database where datname = current_database());
end $$;

-- Whether this is the database of that place. A cluster that is not known is taken for the same.
create or replace function sync.is_home(home text) returns boolean language sql stable as $$
    select split_part(home, ':', 2) = split_part(here, ':', 2)
        and (
            split_part(home, ':', 1) = split_part(here, ':', 1)
            or '?' in (split_part(home, ':', 1), split_part(here, ':', 1))
        )
    from sync.place() as here
$$;

-- Make the salt of the tombstones, unless there is one.
create or replace function sync.make_salt() returns void language sql as $$
    insert into sync.setting (name, value)
    values ('salt', md5(random()::text || clock_timestamp()::text || gen_random_uuid()::text))
    on conflict do nothing;
$$;

-- Why a property or a record may not move: at whose side the cause lies, and what ends the block.
-- The same as `Reason` in reconciler/core/reasons.py.
create or replace view sync.reason (code, fault, wake, sentence) as values
    ('invalid_value', 'record', 'value',
        'HubSpot refuses the value'),
    ('property_required', 'record', 'value',
        'HubSpot requires another property beside it'),
    ('address_blocked', 'record', 'value',
        'HubSpot blocks the address'),
    ('refused', 'record', 'value',
        'HubSpot refuses the record and does not say why'),
    ('unknown_property', 'hubspot', 'schema',
        'HubSpot does not have the property'),
    ('forbidden_property', 'hubspot', 'schema',
        'HubSpot lets no caller write the property'),
    ('address_taken', 'record', 'address_freed',
        'another record has the address'),
    ('duplicate', 'record', 'address_freed',
        'a linked customer has the contact''s address'),
    ('contact_gone', 'hubspot', 'person',
        'HubSpot does not have the contact any more'),
    ('erased_subject', 'record', 'value',
        'the address belongs to an erased person'),
    ('former_restored', 'hubspot', 'person',
        'the contact was archived and replaced, and is back beside its successor'),
    ('create_outcome_unknown', 'hubspot', 'person',
        'a create without an address was not answered: another might be a second contact'),
    ('row_refused', 'table', 'rules',
        'a rule of the table''s owner refuses the row'),
    ('unfit_value', 'record', 'value',
        'one side holds what the other cannot'),
    ('coerced', 'table', 'value',
        'a trigger of the table''s owner undoes the value as HubSpot has it'),
    ('attempts_exhausted', 'sync', 'edit',
        'it failed too often'),
    ('held_delete', 'sync', 'allowance',
        'more was deleted than may pass in an hour: python -m reconciler allow delete N'),
    ('held_blank', 'sync', 'allowance',
        'more values were emptied than may pass in an hour: python -m reconciler allow blank N'),
    ('held_create', 'sync', 'allowance',
        'more records were made than may pass in an hour: python -m reconciler allow create N'),
    ('held_rewrite', 'sync', 'allowance',
        'more values were replaced than may pass in an hour: python -m reconciler allow rewrite N'),
    ('held_missing', 'sync', 'allowance',
        'one side is absent, and nothing saw it go: python -m reconciler allow missing N');

-- The keys of those blocks that end so (`wake` in sync.reason).
create or replace function sync.ended_by(blocks jsonb, wake text) returns text[]
language sql stable return (
    select coalesce(array_agg(b.key), '{}')
    from jsonb_each(blocks) b
    join sync.reason r on r.code = b.value ->> 'reason'
    where r.wake = ended_by.wake
);

-- What a mark is about: a customer, a contact or an address. The kind stands first.
create or replace function sync.of_customer(customer uuid) returns text
language sql stable parallel safe
    return 'u:' || customer;
create or replace function sync.of_contact(contact bigint) returns text
language sql stable parallel safe
    return 'c:' || contact;
create or replace function sync.of_address(address text) returns text
language sql stable parallel safe
    return 'e:' || sync.address(address);

-- Mark subjects due now. A mark made while its subject is worked on gets a new generation and so
-- survives.
create or replace function sync.mark(
    subjects text[], lane integer, is_private boolean default false
) returns void language sql as $$
    insert into sync.mark (subject, lane, privacy)
    select distinct subject, lane, is_private
    from unnest(subjects) as subject
    order by subject
    on conflict (subject) do update set
        generation = nextval('sync.number'),
        due = least(sync.mark.due, now()),
        lane = least(sync.mark.lane, excluded.lane),
        privacy = sync.mark.privacy or excluded.privacy;
$$;

-- Show, until this transaction ends, in which era it asked for tombstones. A lock that is only
-- looked at: an erase does not go on beside transactions of its own era and earlier ones, and no
-- insert ever waits for an erase.
create or replace function sync.note_era() returns void language sql as $$
    select pg_advisory_xact_lock_shared(hashtext('sync.erase'), last_value::integer) from sync.era;
$$;

-- Fail if one of these addresses was erased. The era is noted before the look: an erase that the
-- look does not see finds this transaction.
create or replace function sync.refuse_erased(addresses text[]) returns void language plpgsql as $$
begin
    perform sync.note_era();
    if exists (select from sync.tombstone) and exists (
        select from sync.tombstone
        where hash = any(array(select sync.hash_of(address) from unnest(addresses) address))
    ) then
        raise exception 'this address was erased'
            using errcode = 'check_violation', constraint = 'erased_subject';
    end if;
end $$;

-- Capture -----------------------------------------------------------------------------------------

-- The triggers that note changes run as the owner of this schema, for any role that may write
-- customers, whatever its search_path. They send no NOTIFY: that would keep transactions from being
-- prepared and make commits wait for each other.

-- The names of the columns that differ.
create or replace function sync.edited(
    was_email text, email text,
    was_firstname text, firstname text,
    was_lastname text, lastname text,
    was_phone text, phone text,
    was_company text, company text,
    was_website text, website text,
    was_lifecyclestage text, lifecyclestage text
) returns text[] language sql immutable parallel safe
    return array_remove(array[
        case when email is distinct from was_email then 'email' end,
        case when firstname is distinct from was_firstname then 'firstname' end,
        case when lastname is distinct from was_lastname then 'lastname' end,
        case when phone is distinct from was_phone then 'phone' end,
        case when company is distinct from was_company then 'company' end,
        case when website is distinct from was_website then 'website' end,
        case when lifecyclestage is distinct from was_lifecyclestage then 'lifecyclestage' end],
        null
    );

-- Refuse what only the sync may write, and erased addresses; note what changed. Waits for no lock.
create or replace function sync.on_insert() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    if sync.is_own() then return null; end if;
    if exists (
        select from new_rows
        where num_nonnulls(contactid, hubspotcreatedat, hubspotupdatedat, erasedat, mergedinto) > 0
    ) then
        raise exception
            'contactid, hubspotcreatedat, hubspotupdatedat, erasedat and mergedinto '
            'are written by the sync only'
            using errcode = 'check_violation',
            hint =
                'A dump is restored by the owner of schema sync with PGOPTIONS="-c sync.own=on".';
    end if;
    perform sync.refuse_erased(array(select email from new_rows where email is not null));
    insert into sync.dirty (uuid, edited)
    select uuid,
        sync.edited(
            null, email,
            null, firstname,
            null, lastname,
            null, phone,
            null, company,
            null, website,
            null, lifecyclestage
        )
    from new_rows;
    return null;
end $$;

-- One row is what most statements change: it is compared without a join. Many are joined by a full
-- join, which is never a nested loop: a plan made for few rows would be kept for a million.
create or replace function sync.on_update() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_many      boolean;
    is_forbidden boolean;
    is_moved     boolean;
    subject      uuid;
    edited       text[];
    addresses    text[];
begin
    if sync.is_own() then return null; end if;
    -- Of many rows this pairs any two, and only `is_many` counts; of none it leaves all null.
    select exists (select from new_rows offset 1),
        n.uuid,
        array[n.email],
        (n.uuid, n.contactid, n.hubspotcreatedat, n.hubspotupdatedat, n.erasedat, n.mergedinto)
            is distinct from (
                o.uuid, o.contactid, o.hubspotcreatedat, o.hubspotupdatedat,
                o.erasedat, o.mergedinto
            ),
        (n.deletedat is null) <> (o.deletedat is null),
        sync.edited(
            o.email, n.email,
            o.firstname, n.firstname,
            o.lastname, n.lastname,
            o.phone, n.phone,
            o.company, n.company,
            o.website, n.website,
            o.lifecyclestage, n.lifecyclestage
        )
    into is_many, subject, addresses, is_forbidden, is_moved, edited
    from new_rows n, old_rows o
    limit 1;
    if is_many is null then
        return null;
    elsif is_many then
        with changed as materialized (
            -- Each row as it was and as it is; one whose uuid changed lacks a half, and is odd.
            select n.uuid,
                n.email,
                (
                    n.uuid, n.contactid, n.hubspotcreatedat, n.hubspotupdatedat,
                    n.erasedat, n.mergedinto
                ) is distinct from (
                    o.uuid, o.contactid, o.hubspotcreatedat, o.hubspotupdatedat,
                    o.erasedat, o.mergedinto
                ) as odd,
                (n.deletedat is null) <> (o.deletedat is null) as moved,
                sync.edited(
                    o.email, n.email,
                    o.firstname, n.firstname,
                    o.lastname, n.lastname,
                    o.phone, n.phone,
                    o.company, n.company,
                    o.website, n.website,
                    o.lifecyclestage, n.lifecyclestage
                ) as names
            from new_rows n
            full join old_rows o on o.uuid = n.uuid
        ), captured as (
            -- The edits, and the rows that died or came back. With an odd one all is refused below.
            insert into sync.dirty (uuid, edited)
            select c.uuid, c.names
            from changed c
            where not c.odd
            and (c.moved or c.names <> '{}')
        )
        select bool_or(c.odd),
            array_agg(c.email) filter (where c.email is not null and 'email' = any(c.names))
        into is_forbidden, addresses
        from changed c;
    elsif not is_forbidden and (is_moved or edited <> '{}') then
        insert into sync.dirty (uuid, edited) values (subject, edited);
    end if;
    if is_forbidden then
        raise exception
            'uuid, contactid, hubspotcreatedat, hubspotupdatedat, erasedat and mergedinto '
            'are written by the sync only'
            using errcode = 'check_violation';
    end if;
    if is_many and addresses is not null
        or not is_many and 'email' = any(edited)
    then
        perform sync.refuse_erased(addresses);
    end if;
    return null;
end $$;

create or replace function sync.on_delete() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    if sync.is_own() then return null; end if;
    insert into sync.dirty (uuid, deleted) select uuid, true from old_rows;
    return null;
end $$;

create or replace function sync.on_truncate() returns trigger language plpgsql as $$
begin
    raise exception
        'TRUNCATE customer is refused: the sync could not tell it from a deletion of every contact'
        using errcode = 'feature_not_supported';
end $$;

-- Compared here and not in the trigger's condition, which is read anew for every statement.
create or replace function sync.touch() returns trigger language plpgsql as $$
begin
    if (
        new.email, new.firstname, new.lastname, new.phone, new.company, new.website,
        new.lifecyclestage, new.deletedat is null
    ) is distinct from (
        old.email, old.firstname, old.lastname, old.phone, old.company, old.website,
        old.lifecyclestage, old.deletedat is null
    ) then
        new.updatedat := pg_catalog.clock_timestamp();
    end if;
    return new;
end $$;

create or replace trigger sync_insert
    after insert on customer
    referencing new table as new_rows
    for each statement execute function sync.on_insert();
create or replace trigger sync_update
    after update on customer
    referencing old table as old_rows new table as new_rows
    for each statement execute function sync.on_update();
create or replace trigger sync_delete
    after delete on customer
    referencing old table as old_rows
    for each statement execute function sync.on_delete();
create or replace trigger sync_truncate
    before truncate on customer
    for each statement execute function sync.on_truncate();
-- (Where a statement sets another time itself, that stands.)
create or replace trigger sync_touch
    before update on customer
    for each row when (new.updatedat is not distinct from old.updatedat)
    execute function sync.touch();

-- Links -------------------------------------------------------------------------------------------

-- The object with one key by another name.
create or replace function sync.renamed(object jsonb, old text, new text) returns jsonb
language sql immutable parallel safe as $$
    select case when object ? old then object - old || jsonb_build_object(new, object -> old) else object end
$$;

-- Of what HubSpot answered at a time, in ms, the columns of which the link knows no later answer.
create or replace function sync.not_outdated(l sync.link, pushed jsonb, ms bigint) returns jsonb
language sql immutable as $$
    select coalesce(jsonb_object_agg(key, value), '{}')
    from jsonb_each(pushed)
    where coalesce((l.base_at ->> key)::bigint, 0) <= ms;
$$;

-- The blind pushes of a link with one more: since when the history counts of each of these columns,
-- its base then, and what is ours in it: what was sent before, is sent now, or is open. Where it is
-- not blind, only of columns that were pushed so before: all that is sent until the history was
-- looked at is ours.
create or replace function sync.with_push(l sync.link, vals jsonb, is_blind boolean) returns jsonb
language sql stable as $$
    select l.blind_pushes || coalesce(
        jsonb_object_agg(
            v.key,
            coalesce(
                l.blind_pushes -> v.key,
                jsonb_build_object(
                    -- From the last read or answer on. Of what is blocked no read counts: it was
                    -- read, and never agreed nor logged.
                    'since', greatest(
                        case when not l.blocks ?| array[v.key, '*'] then l.merged_through end,
                        to_timestamp((l.base_at ->> v.key)::float8 / 1000)
                    ),
                    'base', l.base ->> v.key
                )
            ) || jsonb_build_object(
                'sent', coalesce(l.blind_pushes -> v.key -> 'sent', '[]')
                    || jsonb_build_array(v.value)
                    || coalesce(
                        (
                            select jsonb_agg(i.vals -> v.key)
                            from sync.intent i
                            where i.uuid = l.uuid and i.vals ? v.key
                        ),
                        '[]'
                    )
            )
        ),
        '{}'
    )
    from jsonb_each(vals) v
    where is_blind or l.blind_pushes ? v.key;
$$;

-- The blind pushes of a link with what HubSpot answered to them: in a form of its own a value is
-- ours, too.
create or replace function sync.with_answer(l sync.link, pushed jsonb) returns jsonb
language sql immutable as $$
    select l.blind_pushes || coalesce(
        jsonb_object_agg(
            key,
            u.value || jsonb_build_object(
                'sent', (u.value -> 'sent') || jsonb_build_array(p.value)
            )
        ),
        '{}'
    )
    from jsonb_each(pushed) p
    join jsonb_each(l.blind_pushes) u using (key)
    where not u.value -> 'sent' @> jsonb_build_array(p.value);
$$;

-- The blind pushes of two links that become one. Of what both have pushed the earlier time counts;
-- null (never agreed) is first.
create or replace function sync.pushes_of_both(one jsonb, other jsonb) returns jsonb
language sql stable as $$
    select coalesce(
        jsonb_object_agg(
            key,
            case
                when a.value is null or b.value is null then coalesce(a.value, b.value)
                else a.value || jsonb_build_object(
                    'since', case
                        when a.value ->> 'since' is not null
                            and b.value ->> 'since' is not null
                            then least(
                                (a.value ->> 'since')::timestamptz,
                                (b.value ->> 'since')::timestamptz
                            )
                    end,
                    'sent', (a.value -> 'sent') || (b.value -> 'sent')
                )
            end
        ),
        '{}'
    )
    from jsonb_each(one) a
    full join jsonb_each(other) b using (key);
$$;

-- Claiming ----------------------------------------------------------------------------------------

-- The later time of each column in either.
create or replace function sync.latest(known jsonb, noted jsonb) returns jsonb
language sql immutable as $$
    select case
        when known = '{}' then noted
        else (
            select jsonb_object_agg(name, at)
            from (
                select key as name, max(value::timestamptz) as at
                from (
                    select * from jsonb_each_text(known)
                    union all
                    select * from jsonb_each_text(noted)
                ) each
                group by key
            ) latest
        )
    end;
$$;

-- Turn what the trigger appended, and intents whose answer never came, into marks. Works on the
-- rows it sees.
create or replace function sync.fold() returns void language plpgsql as $$
begin
    with gone as (
        -- What the trigger noted: some of it at a time, and not what another fold is at.
        delete from sync.dirty
        where ctid = any(array(select ctid from sync.dirty limit 10000 for update skip locked))
        returning coalesce(uuid, sync.uuid_of(key)) as uuid, edited, at, deleted, leaves
    ), customers as (
        -- The same by customer: when each column was last edited, and whether a row was deleted.
        select uuid,
            coalesce(jsonb_object_agg(name, at) filter (where name is not null), '{}') as edited,
            bool_or(deleted) as deleted,
            bool_or(leaves) as leaves
        from (
            select uuid, name, max(at) as at, bool_or(deleted) as deleted, bool_or(leaves) as leaves
            from gone
            left join lateral unnest(edited) as name on true
            where uuid is not null
            group by uuid, name
        ) each
        group by uuid
        order by uuid
    ), linked as (
        -- Their links, which remember it; a customer without a link gets one.
        insert into sync.link (uuid, edited, deleted, detached)
        -- A row that is there again was not deleted for good.
        select
            uuid,
            edited,
            deleted and not exists (select from sync.customers() c where c.uuid = m.uuid),
            leaves and not exists (select from sync.customers() c where c.uuid = m.uuid)
        from customers m
        on conflict (uuid) do update set
            edited = sync.latest(sync.link.edited, excluded.edited),
            deleted = (sync.link.deleted or excluded.deleted)
                and not exists (select from sync.customers() c where c.uuid = excluded.uuid),
            detached = sync.link.detached or excluded.detached,
            -- An edited record that had used up its attempts is tried anew.
            blocks = case
                when excluded.edited <> '{}' and sync.link.blocks <> '{}'
                then sync.link.blocks - sync.ended_by(sync.link.blocks, 'edit')
                else sync.link.blocks
            end
        returning uuid
    )
    -- A mass change is bulk work; a person's edit is not to wait behind it.
    insert into sync.mark (subject, lane)
    select sync.of_customer(uuid), case when (select count(*) from linked) > 500 then 2 else 1 end
    from linked
    order by 1
    on conflict (subject) do update set
        generation = nextval('sync.number'),
        due = least(sync.mark.due, now()),
        lane = least(sync.mark.lane, excluded.lane);
    -- Open intents that no look would settle: without a link, or of the loser of a merge.
    delete from sync.intent i where deadline < now()
        and (
            not exists (select from sync.link l where l.uuid = i.uuid)
            or exists (
                select from sync.customers() c
                where c.uuid = i.uuid
                and c.mergedinto is not null
            )
        );
    with late as (
        -- Intents whose call has ended without an answer: due now, and again each minute.
        update sync.intent
        set overdue = true, deadline = now() + interval '1 minute'
        where deadline < now()
        returning uuid
    )
    insert into sync.mark (subject)
    select distinct sync.of_customer(uuid) from late
    order by 1
    on conflict (subject) do update set due = least(sync.mark.due, now());
end $$;

-- Mark the next pairs that waited for a column that is back: all at once could be too many for one
-- statement. What is left is for the next call, of any process; one process at a time.
create or replace function sync.wake(most integer default 5000) returns void language plpgsql as $$
declare
    back    sync.suspended;
    last    uuid;
    is_over boolean;
begin
    select *
    into back
    from sync.suspended
    where woken is not null
    order by name
    limit 1
    for update skip locked;
    if not found then return; end if;
    with page as materialized (
        -- The next links, whether they wait or not.
        select uuid, contact, base
        from sync.link
        where uuid > back.woken
        order by uuid
        limit most
    ), waiting as (
        -- Those whose living customer holds something else in the column than the base.
        select l.uuid
        from page l
        join sync.customers() c using (uuid)
        where l.contact is not null
        and c.deletedat is null
        and c.canonical -> back.name is distinct from l.base -> back.name
    ), marked as (
        -- One row once they are marked, as bulk work. It has to be read: else nothing is marked.
        select sync.mark(array_agg(sync.of_customer(uuid)), 2)
        from waiting
        having count(*) > 0
    )
    select (select uuid from page order by uuid desc limit 1),
        (select count(*) from page) < most
    into last, is_over
    where (select count(*) from marked) >= 0;
    if is_over then
        delete from sync.suspended where name = back.name;
    else
        update sync.suspended set woken = last where name = back.name;
    end if;
end $$;

-- Of a page of contacts, each with HubSpot's time of its last change, those worth a look: not ids
-- that were merged away, or are erased people's.
create or replace function sync.news(page jsonb) returns setof bigint language sql stable as $$
    select p.contact
    from jsonb_to_recordset(page) as p(contact bigint, updated timestamptz)
    left join sync.link l on l.contact = p.contact
    left join sync.alias a on a.contact = p.contact
        and a.kind <> 'former'
    where a.contact is null
    and (
        l.contact is null
        or l.merged_through is null
        or l.merged_through < p.updated
        or l.alive is distinct from true
        -- It was held because HubSpot did not show it, and is here again.
        or l.blocks -> '*' ->> 'reason' = 'held_missing'
    );
$$;

-- Lease the pairs of a page's news that the page counts for: nothing told of them, no worker has
-- had them since the number at which it was read, and none died over them. The other news are
-- marked, and read anew. A page needs no marks: its cursor moves when it is worked off.
create or replace function sync.claim_page(
    page jsonb,
    lane integer,
    lease interval,
    read_at bigint
) returns table (uuid uuid, fence bigint) language plpgsql as $$
#variable_conflict use_column
declare
    news   bigint[] := array(select sync.news(page));
    untold bigint[];
begin
    if news = '{}' then return; end if;
    untold := array(
        select contact
        from unnest(news) contact
        where not exists (select from sync.mark m where m.subject = sync.of_contact(contact))
    );
    insert into sync.link (uuid, contact)
    select gen_random_uuid(), c.id
    from unnest(untold) c(id)
    where not exists (select from sync.link l where l.contact = c.id)
    order by c.id
    on conflict (contact) do nothing;
    return query
        with free as (
            -- A lease that was not given back is a worker's that died: its pair is looked at alone.
            select l.uuid
            from sync.link l
            where l.contact = any(untold)
            and l.lease_until is null
            and l.fence < read_at
            order by l.uuid
            for update skip locked
        ), leased as (
            -- The claims.
            update sync.link l
            set lease_until = now() + lease, fence = nextval('sync.number')
            from free
            where l.uuid = free.uuid
            returning l.uuid, l.contact, l.fence
        ), marked as (
            -- The other news; the condition below, always true, makes this run.
            select sync.mark(array_agg(sync.of_contact(other) order by other), lane)
            from unnest(news) other
            where other not in (select contact from leased)
            having count(*) > 0
        )
        select uuid, fence from leased
        where (select count(*) from marked) >= 0;
end $$;

-- The first of these lanes that has due marks, once what happened in SQL is marked.
create or replace function sync.next_lane(lanes integer[]) returns integer language plpgsql as $$
begin
    perform sync.fold();
    perform sync.wake();
    return (
        select lane
        from unnest(lanes) with ordinality as asked(lane, place)
        where exists (select from sync.mark m where m.lane = asked.lane and m.due <= now())
        order by place
        limit 1
    );
end $$;

-- Lease up to `most` pairs. A mark leads to its pair first (an unknown contact gets a link of its
-- own), so two marks of one pair are one claim. Marks that already cost a worker its life, or whose
-- calls keep failing, are claimed one at a time. `wanted` claims these subjects, due or not.
drop function if exists sync.claim(integer[], integer, interval, text[], bigint);
create or replace function sync.claim(
    lanes integer[],
    most integer,
    lease interval,
    wanted text[] default null
) returns table (
    uuid uuid, fence bigint, marks jsonb, attempts integer, delays integer, privacy boolean
) language plpgsql as $$
#variable_conflict use_column
declare
    picked      text[] := '{}';
    subjects    text[];
    pairs       uuid[];
    won         uuid[];
    wanted_lane integer;
begin
    -- First the marks. What another worker is just claiming is passed over, and so are addresses:
    -- they are looked up apart.
    if wanted is not null then
        picked := array(
            select subject
            from sync.mark
            where subject = any(wanted)
            order by subject
            for update skip locked
        );
    else
        -- Lane by lane: over several lanes at once the index could not give the order.
        foreach wanted_lane in array lanes loop
            picked := picked || array(
                select m.subject
                from sync.mark m
                where m.lane = wanted_lane
                and m.due <= now()
                and m.crashes < 2
                and m.delays < 3
                and m.subject not like 'e:%'
                order by m.due
                limit most - cardinality(picked)
                for update skip locked
            );
        end loop;
        -- Nothing else is due: one of those that are looked at alone.
        if picked = '{}' then
            picked := array(
                select m.subject
                from sync.mark m
                where m.lane = any(lanes)
                and m.due <= now()
                and (m.crashes >= 2 or m.delays >= 3)
                and m.subject not like 'e:%'
                limit 1
                for update skip locked
            );
        end if;
    end if;
    if picked = '{}' then return; end if;

    -- Then the pairs. Unknown and former contacts, and customers without a link, get one for the
    -- lease to sit on.
    insert into sync.link (uuid, contact)
    select gen_random_uuid(), id
    from (
        select substr(s, 3)::bigint as id
        from unnest(picked) s
        where s like 'c:%'
    ) contacts
    where not exists (select from sync.link l where l.contact = id)
    and not exists (
        select from sync.alias a
        where a.contact = id
        and a.kind <> 'former'
    )
    order by id
    on conflict (contact) do nothing;
    insert into sync.link (uuid)
    select c.uuid
    from sync.customers() c
    where c.uuid in (select substr(s, 3)::uuid from unnest(picked) s where s like 'u:%')
    order by 1
    on conflict (uuid) do nothing;

    select array_agg(r.subject), array_agg(r.uuid)
    into subjects, pairs
    from sync.resolved(picked) r;
    won := array(
        select l.uuid
        from sync.link l
        where l.uuid = any(pairs)
        and (l.lease_until is null or l.lease_until < now())
        order by l.uuid
        for update skip locked
    );
    -- Again: until they were locked, a merge may have led some elsewhere.
    select array_agg(r.subject), array_agg(r.uuid)
    into subjects, pairs
    from sync.resolved(picked) r;
    update sync.link
    set lease_until = now() + lease, fence = nextval('sync.number')
    where uuid = any(won);
    -- Marks that lead nowhere go; those of pairs that were not won wait a second.
    if array_position(pairs, null) is not null then
        delete from sync.mark
        where subject = any(array(
            select r.subject
            from unnest(subjects, pairs) r(subject, uuid)
            where r.uuid is null
        ));
    end if;
    if not pairs <@ won then
        update sync.mark
        set due = now() + interval '1 second'
        where subject = any(array(
            select r.subject
            from unnest(subjects, pairs) r(subject, uuid)
            where r.uuid <> all(won)
        ));
    end if;
    return query
        with taken as (
            -- The marks of the pairs won. Until its worker is back a claim counts as a crash.
            update sync.mark m
            set due = now() + lease, crashes = crashes + 1
            from unnest(subjects, pairs) r(subject, uuid)
            where m.subject = r.subject
            and r.uuid = any(won)
            returning r.uuid, m.subject, m.generation,
                -- Crashes before this claim count as attempts.
                greatest(m.attempts, m.crashes - 1) as attempts,
                m.delays, m.privacy
        )
        select l.uuid,
            l.fence,
            jsonb_agg(jsonb_build_array(t.subject, t.generation)),
            max(t.attempts)::integer,
            max(t.delays)::integer,
            bool_or(t.privacy)
        from taken t
        join sync.link l using (uuid)
        group by l.uuid, l.fence;
end $$;

-- The pair each subject leads to; null where it leads nowhere (an ignored or former contact, a
-- vanished uuid). The id of a contact merged away leads to the survivor's link, the uuid of the
-- loser of a merge to the winner's.
create or replace function sync.resolved(subjects text[]) returns table (subject text, uuid uuid)
language sql stable
begin atomic
    select s.subject, coalesce(l.uuid, survivor.uuid)
    from unnest(subjects) s(subject)
    left join sync.link l on l.contact = substr(s.subject, 3)::bigint
    left join sync.alias a
        on a.contact = substr(s.subject, 3)::bigint
        and a.kind = 'merged'
    left join sync.link survivor on survivor.uuid = a.uuid
    where s.subject like 'c:%'
    union all
    select s.subject, case when c.mergedinto is null then l.uuid else winner.uuid end
    from unnest(subjects) s(subject)
    left join sync.link l on l.uuid = substr(s.subject, 3)::uuid
    left join sync.customers() c on c.uuid = l.uuid
    left join sync.link winner on winner.uuid = c.mergedinto
    where s.subject like 'u:%';
end;

-- The brake ---------------------------------------------------------------------------------------

-- How many contacts are linked, about: counted while they are few, estimated when they are many (by
-- all links then, also those of the dead).
create or replace function sync.about_linked() returns bigint language plpgsql stable as $$
declare
    about bigint := (
        select reltuples::bigint
        from pg_class
        where oid = 'sync.link'::regclass
    );
begin
    if about > 10000 then return about; end if;
    return (select count(*) from sync.link where alive);
end $$;

-- Take from the rolling hour's allowance what there is, and beyond it from what an operator allows.
-- `needs` are {kind, name, needed, number, share, ceiling, daily}; `name` is what is counted: the
-- kind, for rewrites with the column. One process at a time counts, and none waits for the disk.
create or replace function sync.grant_danger(needs jsonb) returns table (name text, granted integer)
language plpgsql as $$
declare
    need    record;
    hour    bigint;
    day     bigint;
    allowed bigint;
    usual   integer;
    extra   integer;
begin
    -- For the transaction: what a function's own SET says is over before the commit.
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(hashtext('sync.danger'));
    for need in
        select *
        from jsonb_to_recordset(needs) as n(
            kind text,
            name text,
            needed integer,
            number bigint,
            share float8,
            ceiling bigint,
            daily bigint
        )
    loop
        -- A backfill was asked for by a person: what it does is not limited, and not counted.
        if exists (
            select from sync.allowance a
            where a.kind = need.kind || ':all'
            and a.until > now()
        ) then
            name := need.name;
            granted := need.needed;
            return next;
            continue;
        end if;
        select coalesce(sum(count) filter (where at > now() - interval '1 hour'), 0),
            coalesce(sum(count), 0)
        into hour, day
        from sync.danger d
        where d.kind = need.name
        and at > now() - interval '1 day';
        -- The number, or the share of the links if that is more; the links are counted only then.
        allowed := need.number;
        if hour + need.needed > allowed and need.share > 0 then
            allowed := greatest(allowed, floor(need.share * sync.about_linked())::bigint);
        end if;
        allowed := least(allowed, need.ceiling) - hour;
        if need.daily is not null then allowed := least(allowed, need.daily - day); end if;
        usual := least(need.needed, greatest(allowed, 0));
        if usual > 0 then
            insert into sync.danger (kind, at, count)
            values (need.name, date_trunc('minute', now()), usual)
            on conflict (kind, at) do update set count = sync.danger.count + excluded.count;
        end if;
        extra := 0;
        if usual < need.needed then
            -- What an operator allowed is used up by what passes, and by nothing else.
            select least(need.needed - usual, a.count) into extra
            from sync.allowance a
            where a.kind = need.kind
            and a.until > now()
            for update;
            extra := coalesce(extra, 0);
            update sync.allowance a
            set count = a.count - extra
            where a.kind = need.kind
            and extra > 0;
        end if;
        name := need.name;
        granted := usual + extra;
        return next;
    end loop;
end $$;

-- Views and functions for people ------------------------------------------------------------------

-- The work list.
create or replace view sync.pending as
    select subject, lane, due, attempts, crashes, privacy, due <= now() as is_due
    from sync.mark;

-- The conflicts that are not resolved.
create or replace view sync.conflicts as
    select id, at, uuid, property, winner, kept, lost
    from sync.conflict
    where resolved is null;

-- The properties and records that do not move, each with the reason, at whose side its cause lies,
-- and what ends it (`wake`); and the columns that wait for HubSpot.
create or replace view sync.parked as
    select l.uuid,
        l.contact,
        b.key as property,
        b.value ->> 'reason' as code,
        b.value ->> 'detail' as detail,
        r.sentence,
        r.fault,
        r.wake
    from sync.link l
    cross join lateral jsonb_each(l.blocks) b
    left join sync.reason r on r.code = b.value ->> 'reason'
    where l.blocks <> '{}'
    union all
    select null, null, s.name, s.reason, null, r.sentence, r.fault, r.wake
    from sync.suspended s
    left join sync.reason r on r.code = s.reason
    where s.woken is null;

-- The day of HubSpot's account, which begins at midnight of its time zone.
-- (For whoever reads the views: the other settings are not to be read.)
create or replace function sync.account_zone() returns text language sql stable parallel safe
security definer set search_path = pg_catalog, pg_temp
    return coalesce((select value from sync.setting where name = 'time_zone'), 'UTC');
create or replace function sync.account_day() returns date language sql stable parallel safe
    return (now() at time zone sync.account_zone())::date;

-- The day's calls, and when they end at the pace of the last hour; null: not today.
create or replace view sync.today as
    with hour as (
        -- Our calls in the last sixty minutes, about: this hour's, and a share of the one before.
        select
            coalesce(
                sum(
                    calls * case
                        when at = date_trunc('hour', now()) then 1
                        else 1 - extract(epoch from now() - date_trunc('hour', now())) / 3600
                    end
                ),
                0
            ) as pace
        from sync.hour
        where at >= date_trunc('hour', now()) - interval '1 hour'
    ), forecast as (
        -- The account's day: its calls, when they end at this pace, and when the day ends.
        select calls,
            quota,
            now() + interval '1 hour' * (
                greatest(quota - calls, 0) / nullif(hour.pace, 0)
            )::float8 as ends,
            (day + 1)::timestamp at time zone sync.account_zone() as midnight
        from sync.day, hour
        where day = sync.account_day()
    )
    select calls, quota, case when ends < midnight then ends end as ends_at
    from forecast;

-- The calls of the present windows, and of the day.
create or replace view sync.budget as
    select s.kind,
        count(*) as calls,
        count(*) filter (
            where s.at > clock_timestamp() - case
                when s.kind = 'search' then interval '1 second'
                else interval '10 seconds'
            end
        ) as used,
        coalesce(t.calls, 0) as today,
        t.quota,
        t.ends_at
    from sync.slot s
    left join sync.today t on true
    group by s.kind, t.calls, t.quota, t.ends_at;

-- How many living customers have no contact (also for a role that may not read them).
create or replace function sync.count_unlinked() returns bigint language sql stable
security definer set search_path = pg_catalog, pg_temp as $$
    select count(*)
    from sync.customers()
    where deletedat is null
    and contactid is null
$$;

-- The state of the sync in numbers.
create or replace view sync.status as
    select
        (select count(*) from sync.link where alive and not detached) as linked,
        sync.count_unlinked() as unlinked,
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
        (select ends_at from sync.today) as quota_ends_at,
        (
            select coalesce(sum(count), 0)::bigint
            from sync.event
            where kind like 'refused:%'
        ) as refused,
        -- Why deliveries were refused since the last one that was good.
        (
            select string_agg(split_part(kind, ':', 2), ', ' order by kind)
            from sync.event
            where kind like 'refused:%'
            and at > coalesce(
                (select max(at) from sync.event where kind not like '%:%'),
                '-infinity'
            )
        ) as refusing;

-- What keeps the sync as a whole from working, or a part of it: one word, since when, and a
-- sentence.
create or replace view sync.causes as
    select cause, since, reason
    from sync.outage
    where since is not null
    union all
    select cause, since, reason
    from sync.shut
    union all
    select
        'rows_hidden',
        null,
        'the table hides rows from this role: row level security is on, and it is not the owner'
    -- Of another role that reads this, it would say nothing of the sync's.
    where sync.hides_rows()
    and has_table_privilege('sync.link', 'update')
    union all
    select 'privilege', null, 'the sync''s role lacks a privilege on the table'
    from (
        -- The role that reads this, if it could be the sync's; else the owner of schema sync.
        select case
            when has_table_privilege('sync.link', 'update') then current_user::regrole::oid
            else relowner
        end as role
        from pg_class
        where oid = to_regclass('sync.link')
    ) syncs
    where not has_table_privilege(role, sync.customer_table(), 'select')
    or not has_table_privilege(role, sync.customer_table(), 'insert')
    or not has_table_privilege(role, sync.customer_table(), 'update')
    union all
    select
        'schema',
        null,
        'the table lacks a column: one that was renamed or dropped is to be put back'
    where sync.count_lacking() > 0
    union all
    select 'read_only', null, 'the database takes no writes'
    where current_setting('transaction_read_only') = 'on';

-- (The functions for people run as the owner of this schema: EXECUTE is all that a role needs.)

-- Look again at one record (contact id, customer uuid or address), whatever blocks it. An address
-- that no living customer has becomes a mark of its own: HubSpot is asked for its contact.
create or replace function sync.retry(subject text) returns void language plpgsql
security definer set search_path from current as $$
declare
    key text := case
        when subject ~ '^[0-9]+$' then sync.of_contact(subject::bigint)
        when subject ~ '^[0-9a-fA-F-]{36}$' then sync.of_customer(subject::uuid)
        else coalesce(
            (
                select sync.of_customer(c.uuid)
                from sync.customers() c
                where c.address = sync.address(subject)
                and c.deletedat is null
            ),
            sync.of_address(subject)
        )
    end;
begin
    update sync.link l
    set blocks = '{}'
    from sync.resolved(array[key]) r
    where r.uuid = l.uuid
    and l.blocks <> '{}';
    perform sync.mark(array[key], 0);
    notify sync_dirty;
end $$;

-- End a conflict by writing `choice` ('kept' or 'lost', as the log has them) to the customer; it is
-- then pushed as any SQL write.
create or replace function sync.resolve(conflict bigint, choice text) returns void
language plpgsql security definer set search_path from current as $$
declare
    c sync.conflict;
    l sync.link;
begin
    if choice not in ('kept', 'lost') then raise exception 'choice is kept or lost'; end if;
    select * into strict c from sync.conflict where id = resolve.conflict for update;
    if c.resolved is not null then raise exception 'this conflict is resolved already'; end if;
    select * into strict l from sync.link where uuid = c.uuid for update;
    -- HubSpot's value becomes the base, so that the chosen one reads as a local change (or as
    -- agreed).
    if c.winner is null then
        update sync.link
        set base = jsonb_strip_nulls(base || jsonb_build_object(c.property, c.lost))
        where uuid = c.uuid;
    end if;
    update sync.conflict set resolved = now() where id = resolve.conflict;
    perform sync.write_customers(jsonb_build_array(jsonb_build_object(
        'uuid', c.uuid,
        'vals', jsonb_build_object(
            c.property,
            case choice when 'kept' then c.kept else c.lost end
        )
    )));
    perform sync.mark(array[sync.of_customer(c.uuid)], 0);
    notify sync_dirty;
end $$;

-- Let an erased address be used again (new consent). Logged without the address.
create or replace function sync.forget_tombstone(address text) returns boolean
language plpgsql security definer set search_path from current as $$
begin
    delete from sync.tombstone where hash = sync.hash_of(address);
    if found then
        insert into sync.cursor (name, value) values ('forgotten:' || clock_timestamp(), '{}');
    end if;
    return found;
end $$;

-- Erasing -----------------------------------------------------------------------------------------

-- Whether transactions are open that asked for tombstones before these addresses had theirs. A
-- tombstone whose era is not known yet was not announced: then all that are open count.
create or replace function sync.has_unknowing_inserts(addresses text[]) returns boolean
language sql as $$
    with last as (
        -- The last era that may not know of one of the addresses.
        select max(coalesce(t.era, (select last_value from sync.era))) as era
        from unnest(addresses) a
        left join sync.tombstone t on t.hash = sync.hash_of(a)
    )
    select exists (
        -- The locks of sync.note_era, in this database and not our own.
        select
        from pg_locks l, last
        where l.locktype = 'advisory'
        and l.objsubid = 2
        and l.classid = hashtext('sync.erase')::oid
        and l.objid::bigint <= last.era
        and l.pid is distinct from pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
    );
$$;

-- What a JSON value says: its texts, and the words in them, as addresses are compared.
create or replace function sync.words(said jsonb) returns setof text language sql immutable as $$
    select sync.address(part)
    from jsonb_path_query(said, 'strict $.**') each,
        lateral (
            select each #>> '{}' as whole
            where jsonb_typeof(each) = 'string'
        ) text,
        lateral (
            select whole
            union all
            select btrim(word, '.!?')
            from regexp_split_to_table(whole, '[][\s"''<>(),:;]+') word
        ) parts(part);
$$;

-- Whether a JSON text names one of these. What does not contain a name at all, as JSON writes it,
-- costs little.
create or replace function sync.says(said text, names text[]) returns boolean
language sql immutable as $$
    select case
        when exists (
            -- A name as JSON writes it, without the quotes, anywhere in the text.
            select
            from (select sync.address(said) as whole offset 0) small,
                unnest(names) name
            where position(
                substr(to_json(name)::text, 2, length(to_json(name)::text) - 2) in whole
            ) > 0
        )
        then exists (select from sync.words(said::jsonb) word where word = any(names))
        else false
    end;
$$;

-- The patterns (small, as addresses are) that every JSON text matches that says one of these. A
-- function called for each row of a log costs more than what it does: a search tries these before.
-- (Names are no patterns: % and _ in them match more.)
create or replace function sync.likes(names text[]) returns text[] language sql immutable as $$
    select array(
        select '%' || replace(substr(whole, 2, length(whole) - 2), '\', '\\') || '%'
        from (select to_json(name)::text as whole from unnest(names) name) each
    );
$$;

-- The outcomes of a batch without those that name one of these people: they end as the erased do,
-- and so never run again.
create or replace function sync.without(outcomes json, names text[]) returns json
language sql immutable as $$
    select json_agg(
        case
            when sync.says(outcome::text, names) then json_build_object(
                'status', 409,
                'message', 'This address belongs to an erased person',
                'code', 'erased_subject'
            )
            else outcome
        end
        order by n
    )
    from json_array_elements(outcomes) with ordinality each(outcome, n);
$$;

-- Keep the answer of a request that has its key still, without what it says of people who were
-- erased meanwhile.
drop function if exists sync.remember(text, text, smallint, json, timestamptz);
create or replace function sync.remember(
    its_caller text,
    its_key text,
    its_fence bigint,
    its_status smallint,
    answer json,
    until timestamptz default null
) returns void language plpgsql as $$
declare
    gone text[];
begin
    -- An erase whose tombstones are not seen below does not go on beside this transaction, and
    -- takes what it leaves.
    perform sync.refuse_erased('{}');
    if exists (select from sync.tombstone) then
        gone := array(
            select word
            from sync.words(answer::jsonb) word
            where position('@' in word) > 0
            and exists (select from sync.tombstone where hash = sync.hash_of(word))
        );
        -- One answer goes as a whole; of a batch only the outcomes that name an erased person.
        if cardinality(gone) > 0 and json_typeof(answer) = 'object' then
            delete from sync.idempotency i
            where i.caller = its_caller
            and i.key = its_key
            and i.fence = its_fence;
        elsif cardinality(gone) > 0 then
            answer := sync.without(answer, gone);
        end if;
    end if;
    update sync.idempotency i
    set status = its_status, body = answer, lease_until = coalesce(until, i.lease_until)
    where i.caller = its_caller
    and i.key = its_key
    and i.fence = its_fence;
end $$;

-- The addresses that these people ever had, as far as that is known.
create or replace function sync.past_addresses(people uuid[]) returns text[]
language sql stable as $$
    select array(
        select sync.address(each)
        from sync.history h, jsonb_array_elements_text(h.changes -> 'email') each
        where h.uuid = any(people)
        and sync.address(each) is not null
        union
        select unnest(former) from sync.link where uuid = any(people)
    );
$$;

-- Those that they have no more, unless they are somebody else's by now.
create or replace function sync.former_addresses(people uuid[], present text[]) returns text[]
language sql stable as $$
    select array(
        select address
        from unnest(sync.past_addresses(people)) each(address)
        where each.address <> all(present)
        and not exists (
            select
            from sync.customers() c
            where c.address = each.address
            and c.deletedat is null
            and c.uuid <> all(people)
        )
        and not exists (
            select from sync.link l
            where l.base ->> 'email' = each.address
            and l.alive
            and l.uuid <> all(people)
        )
    );
$$;

-- Who is one person with this customer, and the addresses that they have and had: by closure, until
-- no round finds another customer. The living and the dead have an index each.
create or replace function sync.person_of(
    subject uuid, out people uuid[], out addresses text[], out former text[]
) language plpgsql as $$
#variable_conflict use_column
declare
    known integer := 0;
begin
    people := array[subject];
    while cardinality(people) > known loop
        known := cardinality(people);
        addresses := array(
            select address
            from sync.customers()
            where uuid = any(people)
            and address is not null
            union
            select base ->> 'email'
            from sync.link
            where uuid = any(people)
            and base ->> 'email' is not null
            union
            select vals ->> 'email'
            from sync.intent
            where uuid = any(people)
            and vals ->> 'email' is not null
            union
            select sync.address(v)
            from sync.conflict, unnest(array[kept, lost]) v
            where uuid = any(people)
            and property = 'email'
            and sync.address(v) is not null
        );
        -- Under a former address only the dead are left: whoever lives with it by now is somebody
        -- else.
        former := sync.former_addresses(people, addresses);
        people := array(
            select unnest(people)
            union
            select uuid
            from sync.customers()
            where address = any(addresses || person_of.former)
            and deletedat is null
            union
            select uuid
            from sync.customers()
            where address = any(addresses || person_of.former)
            and deletedat is not null
            union
            select uuid
            from sync.customers()
            where mergedinto = any(people)
            union
            select mergedinto
            from sync.customers()
            where uuid = any(people)
            and mergedinto is not null
            union
            select uuid
            from sync.link
            where base ->> 'email' = any(addresses || person_of.former)
            union select uuid from sync.intent where vals ->> 'email' = any(addresses)
        );
    end loop;
end $$;

-- Erase a person: every row, link, alias, log and mark that carries one of the addresses or ids, by
-- closure. Leaves salted hashes and ignored contact ids. Inserts that may not know of the
-- tombstones yet are an error, as a busy row is, and the caller comes again: `announce` only leaves
-- the tombstones, in a transaction of its own before, so that those inserts become fewer and none
-- has to wait. Busy rows give way before Postgres looks for a deadlock (a second).
drop function if exists sync.erase(uuid);
create or replace function sync.erase(subject uuid, announce boolean default false)
returns table (hash text, contact bigint) language plpgsql set lock_timeout = '500ms' as $$
#variable_conflict use_column
declare
    people    uuid[];
    addresses text[];
    former    text[];
    gone      text[];
    known     text[] := '{}';
    ids       bigint[];
    traces    text[];
    likes     text[];
begin
    perform sync.make_salt();
    -- First the tombstones, until no round finds another address of the person.
    loop
        select p.people, p.addresses, p.former
        into people, addresses, former
        from sync.person_of(subject) p;
        insert into sync.tombstone (hash)
        select sync.hash_of(a) from unnest(addresses || former) a
        on conflict do nothing;
        exit when announce or addresses || former <@ known;
        if sync.has_unknowing_inserts(addresses || former) then
            raise exception 'inserts are under way that may not know of the erase'
                using errcode = 'lock_not_available';
        end if;
        -- One that has just ended may have left more of the person: only what is found from here on
        -- is all.
        known := known || addresses || former;
    end loop;
    if announce then return; end if;
    -- An address that was announced and is another's by now keeps no tombstone.
    delete from sync.tombstone
    where hash in (
        select sync.hash_of(address)
        from sync.customers()
        where address = any(sync.past_addresses(people))
        and deletedat is null
        and uuid <> all(people)
    );
    ids := array(
        select contact
        from sync.link
        where uuid = any(people)
        and contact is not null
        union
        select contact from sync.alias where uuid = any(people)
    );
    traces := addresses || former || people::text[] || ids::text[];
    -- Their rows stay, without what is personal.
    perform sync.empty_customers(people);
    delete from sync.link where uuid = any(people);
    delete from sync.intent where uuid = any(people);
    -- Nobody else is known by one of these addresses any more.
    gone := addresses || former;
    update sync.link l
    set former = array(select a from unnest(l.former) a where a <> all(gone))
    where l.former && gone
    and l.former <> '{}';
    -- Others' logs and remembered answers may name the addresses too. Conflicts that lost one of
    -- them go. Where one was kept only that is taken out, and the loser stays: once, where several
    -- rows would become the same.
    delete from sync.conflict c
    where uuid = any(people)
    or sync.address(lost) = any(addresses || former)
    or sync.address(kept) = any(addresses || former)
    and exists (
        select
        from sync.conflict o
        where o.uuid = c.uuid
        and o.property = c.property
        and o.lost is not distinct from c.lost
        and (
            o.kept is null
            or sync.address(o.kept) = any(addresses || former)
                and o.id < c.id
        )
    );
    update sync.conflict set kept = null where sync.address(kept) = any(addresses || former);
    likes := sync.likes(addresses || former);
    delete from sync.history where uuid = any(people);
    -- (The patterns first: `sync.says` for each row of the log would take long.)
    delete from sync.history
    where id = any(array(
        select id
        from (select id, changes::text as said from sync.history offset 0) each
        where case
            when sync.address(said) like any(likes) then sync.says(said, addresses || former)
        end
    ));
    -- A remembered answer that is deleted may be asked for again: what is about others stays. Rows
    -- from before the caller was a hash go as well: they answer no request any more, and their keys
    -- are as they were sent.
    likes := sync.likes(traces);
    delete from sync.idempotency i
    where i.uuid = any(people)
    or i.caller in ('admin', 'user')
    or case
        when json_typeof(i.body) = 'object'
            and sync.address(i.body::text) like any(likes)
        then sync.says(i.body::text, traces)
    end;
    -- Of the answers of batches only the outcomes that name the person.
    update sync.idempotency i
    set body = sync.without(i.body, traces)
    where case
        when json_typeof(i.body) = 'array'
            and sync.address(i.body::text) like any(likes)
        then sync.says(i.body::text, traces)
    end;
    delete from sync.dirty where uuid = any(people);
    delete from sync.mark
    where subject in (
        select sync.of_customer(p) from unnest(people) p
        union
        select sync.of_address(a) from unnest(addresses || former) a
        union
        select sync.of_contact(i) from unnest(ids) i
    );
    insert into sync.alias (contact, kind)
    select i, 'ignored' from unnest(ids) i
    on conflict (contact) do update set uuid = null, kind = 'ignored';
    return query
        select sync.hash_of(a), null::bigint from unnest(addresses || former) a
        union all
        select null, i from unnest(ids) i;
end $$;

-- Every function that names customer finds the same one, whatever the search_path of the session
-- that calls it. (A comment inside its body that names the table counts, too, and then an SQL
-- function cannot be inlined.)
do $$
declare
    function regprocedure;
begin
    for function in
        select oid
        from pg_proc
        where pronamespace = 'sync'::regnamespace
        and prosqlbody is null
        and prosrc ~ '\mcustomer\M'
        -- These have its full name, and would not take the place of their calls.
        and proname not in ('customers', 'customer_table', 'hides_rows')
        and not exists (
            select from unnest(proconfig) setting
            where setting like 'search_path=%'
        )
    loop
        execute format('alter function %s set search_path from current', function);
    end loop;
end $$;

-- Rights ------------------------------------------------------------------------------------------

-- What the owner's roles need is theirs by the triggers; only the unique index calls functions with
-- their own rights.
revoke execute on all functions in schema sync from public;
grant execute on function sync.address(text), sync.lower_letters(text) to public;
-- And the views of the budget, what the time is in HubSpot's account; that of the causes, where the
-- table is; that of the state, how many customers have no contact.
grant execute on function
    sync.account_zone(), sync.account_day(),
    sync.customer_table(), sync.hides_rows(), sync.count_unlinked(), sync.count_lacking()
    to public;

-- No other role reads the salt, also where default privileges gave it away.
do $$
declare
    reader regrole;
begin
    for reader in
        select distinct grantee
        from pg_class, aclexplode(relacl)
        where oid = 'sync.setting'::regclass
        and grantee not in (0, relowner)
    loop
        execute format('revoke all on sync.setting from %s', reader);
    end loop;
    revoke all on sync.setting from public;
end $$;
