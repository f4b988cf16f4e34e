-- faults: what stands in the way of `db init`, each with what to do about it
with place as (
    -- The customer table as the search_path finds it, if there is one.
    select c.oid, c.relowner, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass('customer')
), lacking as (
    -- The privileges that the sync's role needs on the table and does not have.
    select p.*, string_agg(lower(privilege), ', ' order by n) as privileges
    from place p,
        unnest('{SELECT,INSERT,UPDATE,DELETE,TRIGGER}'::text[]) with ordinality wanted(privilege, n)
    where not has_table_privilege(p.oid, privilege)
    group by p.oid, p.relowner, p.name
), covering as (
    -- Unique indexes on the address alone that leave deleted customers in.
    select p.name, i.indexrelid::regclass::text as index, con.conname
    from place p
    join pg_index i on i.indrelid = p.oid
    left join pg_constraint con on con.conindid = i.indexrelid
        and con.conrelid = p.oid
    where i.indisunique
    and i.indnkeyatts = 1
    and pg_get_indexdef(i.indexrelid, 1, true) ~* '\memail\M'
    and coalesce(pg_get_expr(i.indpred, i.indrelid) !~* '\mdeletedat\M', true)
)
select format(
    'the encoding of this database is %s, not UTF8: it cannot hold every name and address',
    current_setting('server_encoding')
) as fault
where current_setting('server_encoding') <> 'UTF8'
union all
select format(
    '%s may not make a schema in this database: grant create on database %I to %I',
    current_user, current_database(), current_user
)
where to_regnamespace('sync') is null
and not has_database_privilege(current_database(), 'create')
union all
select format(
    'schema sync belongs to %s: grant %I to %I',
    nspowner::regrole, nspowner::regrole::text, current_user
)
from pg_namespace
where nspname = 'sync'
and not pg_has_role(nspowner, 'usage')
union all
select format(
    '%s may not make a table in schema %I: grant create on schema %I to %I',
    current_user, current_schema(), current_schema(), current_user
)
where not exists (select from place)
and not has_schema_privilege(current_schema(), 'create')
union all
select format(
    '%s has no %s on %s: grant %s on %s to %I',
    current_user, privileges, name, privileges, name, current_user
)
from lacking
union all
select format(
    '%s may not alter %s, which belongs to %s: grant %I to %I',
    current_user, name, relowner::regrole, relowner::regrole::text, current_user
)
from place
where not pg_has_role(relowner, 'usage')
union all
select format(
    '%s on %s also covers deleted customers, whose addresses could never be used again: '
    '%s (live ones get a unique index of their own)',
    index,
    name,
    case
        when conname is null then format('drop index %s', index)
        else format('alter table %s drop constraint %I', name, conname)
    end
)
from covering
union all
select format(
    '%s is a parent, child or partition of another table, through which rows change '
    'unseen by its triggers',
    name
)
from place
where exists (select from pg_inherits where oid in (inhrelid, inhparent))

-- is_installed: whether the sync has its tables here
select to_regclass('sync.link') is not null as found

-- lost: mapped columns that the table had when its customers were linked; a new one would be empty,
--   and so would HubSpot's property
select format(
    '%s lacks %s, which the sync has linked: it was renamed or dropped; '
    'put it back before HubSpot''s values are emptied by a new one',
    c.oid::regclass,
    string_agg(m.name, ', ')
) as fault
from pg_class c, unnest(
    '{email,firstname,lastname,phone,company,website,lifecyclestage}'::text[]
) m(name)
where c.oid = to_regclass('customer')
and exists (select from sync.link where contact is not null)
and not exists (
    select from pg_attribute a
    where a.attrelid = c.oid
    and a.attname = m.name
    and not a.attisdropped
)
group by c.oid

-- place: the customer table as the search_path finds it
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass('customer')

-- at_leisure: what keeps no reader and no writer waiting may itself wait, and run, as long as it
--   takes
select
    set_config('lock_timeout', '0', false),
    set_config('statement_timeout', '0', false)

-- in_a_while: a step of the schema waits 60 ms at most for a lock that others hold, and runs as
--   long as it takes
set local lock_timeout = '60ms';
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = '60s'

-- blocks: how many blocks the table has; returns no row where no customer can lack a key
select pg_relation_size(to_regclass('customer')) / current_setting('block_size')::integer as blocks
from pg_attribute
where attrelid = to_regclass('customer')
and attname = 'uuid'
and not attnotnull

-- quietly: the owner's triggers do not fire while keys are filled in, where this role may have it
--   so: no person has edited the rows
select set_config('session_replication_role', 'replica', true)
where has_parameter_privilege('session_replication_role', 'set')

-- fill_keys: give the rows of these blocks a key
update customer set uuid = gen_random_uuid()
where ctid >= %(first)s::text::tid
and ctid < %(last)s::text::tid
and uuid is null

-- fill_rest: and the rows that moved while portions were done; one statement follows a row wherever
--   it moves
update customer set uuid = gen_random_uuid() where uuid is null

-- promise_keys: no row without a key from here on
alter table customer
    drop constraint if exists customer_has_uuid,
    add constraint customer_has_uuid check (uuid is not null) not valid

-- check_keys: no row without a key before, either; keeps no reader and no writer waiting
alter table customer validate constraint customer_has_uuid

-- require_keys: the column itself says so; what was checked is not read again (in one ALTER the
--   check would go first)
alter table customer alter column uuid set not null;
alter table customer drop constraint customer_has_uuid

-- has_unique_key: whether a unique index on the key is there
select exists (
    select from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid
        and a.attnum = i.indkey[0]
    where i.indrelid = to_regclass('customer')
    and a.attname = 'uuid'
    and i.indisunique
    and i.indisvalid
    and i.indnkeyatts = 1
    and i.indpred is null
) as found

-- index_state: whether an index of this name on the table is there, and whole
select i.indisvalid as valid
from pg_index i
join pg_class c on c.oid = i.indexrelid
where i.indrelid = to_regclass('customer')
and c.relname = %(name)s

-- columns: the columns of a table of the owner's
select
    a.attname as name,
    format_type(a.atttypid, a.atttypmod) as type,
    -- A domain's own.
    coalesce(b.typname, t.typname) as base,
    a.attnotnull as required,
    pg_get_expr(d.adbin, d.adrelid) as filled,
    a.attgenerated <> '' or a.attidentity = 'a' as generated
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid
join pg_type t on t.oid = a.atttypid
left join pg_type b on b.oid = t.typbasetype
left join pg_attrdef d on d.adrelid = a.attrelid
    and d.adnum = a.attnum
    and a.attgenerated = ''
where n.nspname = %(schema)s
and c.relname = %(name)s
and c.relkind in ('r', 'p')
and a.attnum > 0
and not a.attisdropped

-- find_rows: take in what is not known yet of the next rows after a key; returns the last one
select sync.find_rows(%(after)s, %(most)s) as last

-- count_rows: the rows that have an identity
select count(*) from sync.identity

-- has_version: whether the database says of which version it is; that of 0.1.0 does not
select to_regprocedure('sync.version()') is not null as found

-- version: the version of the database
select sync.version() as version

-- made_for: which schema, mapping, fields and columns of the table this database was made for
select name, value from sync.setting where name in ('schema', 'mapping', 'fields', 'columns')

-- note_made_for: remember what it was made for
insert into sync.setting (name, value)
select key, value from jsonb_each_text(%(state)s::jsonb)
on conflict (name) do update set value = excluded.value

-- rename_field: what is remembered of a field goes by its new name
update sync.link set
    base = sync.renamed(base, %(old)s, %(new)s),
    base_at = sync.renamed(base_at, %(old)s, %(new)s),
    edited = sync.renamed(edited, %(old)s, %(new)s),
    blocks = sync.renamed(blocks, %(old)s, %(new)s),
    blind_pushes = sync.renamed(blind_pushes, %(old)s, %(new)s)
where base ? %(old)s
or edited ? %(old)s
or blocks ? %(old)s
or blind_pushes ? %(old)s

-- forget_fields: nothing is remembered of fields that are mapped no more
update sync.link set
    base = base - %(names)s::text[],
    base_at = base_at - %(names)s::text[],
    edited = edited - %(names)s::text[],
    blocks = blocks - %(names)s::text[],
    blind_pushes = blind_pushes - %(names)s::text[]
where base ?| %(names)s::text[]
or edited ?| %(names)s::text[]
or blocks ?| %(names)s::text[]
or blind_pushes ?| %(names)s::text[]

-- mark_all: look at every linked pair, at bulk pace
select sync.mark(array(select sync.of_contact(contact) from sync.link where contact is not null), 2)

-- mark_unfit: look again at those with a value that did not fit, at bulk pace
select sync.mark(
    array(
        select sync.of_customer(uuid)
        from sync.link
        where blocks @? '$.*.reason ? (@ == "unfit_value")'
    ),
    2
)

-- triggers_lacking: those of these tables that have not the three triggers of the sync
select t.name
from unnest(%(tables)s::text[]) t(name)
where (
    select count(*)
    from pg_trigger g
    join pg_proc f on f.oid = g.tgfoid
    where g.tgrelid = to_regclass(t.name)
    and not g.tgisinternal
    and f.pronamespace = to_regnamespace('sync')
) < 3

-- sweep_soon: let the next sweep come at once
update sync.heartbeat set at = '-infinity' where job = 'sweep'

-- triggers: how each of the sync's triggers is dropped
select format('drop trigger if exists %I on %s', tgname, tgrelid::regclass) as drop
from pg_trigger
join pg_proc f on f.oid = tgfoid
where not tgisinternal
and f.pronamespace = to_regnamespace('sync')
