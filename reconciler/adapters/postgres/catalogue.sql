-- catalogue_place: which database, as which role, and how it keeps texts
select
    current_database() as database,
    current_user as role,
    current_setting('server_encoding') as encoding,
    has_database_privilege(current_database(), 'TEMPORARY') as may_try

-- catalogue_names: every table and view of all schemas but the system's; their rows as far as
--   Postgres keeps count of them
select
    pg_class.oid as id,
    nspname || '.' || relname as name,
    relkind::text as relation,
    relispartition as is_partition,
    greatest(reltuples::bigint, pg_stat_get_live_tuples(pg_class.oid), 0) as rows,
    row_security_active(pg_class.oid) as hides_rows,
    array_remove(array[
        case when has_schema_privilege(pg_namespace.oid, 'USAGE') then 'usage' end,
        case when has_table_privilege(pg_class.oid, 'DELETE') then 'delete' end,
        case when has_table_privilege(pg_class.oid, 'TRIGGER') then 'trigger' end], null) as may
from pg_class
join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'p', 'v', 'm', 'f')
    and nspname <> 'information_schema' and nspname <> 'sync' and nspname !~ '^pg_'
order by name

-- catalogue_columns: the columns of these tables, in their order
with recursive
    -- Every type, and what a domain stands for, step by step.
    step as (
        select oid as type, oid as base, -1 as modifier, false as is_required, false as is_filled
        from pg_type
        union all
        select
            step.type, pg_type.typbasetype, greatest(step.modifier, pg_type.typtypmod),
            step.is_required or pg_type.typnotnull, step.is_filled or pg_type.typdefault is not null
        from step
        join pg_type on pg_type.oid = step.base
        where pg_type.typtype = 'd'
    ),
    -- The last step of each type, which is no domain; of an array its element.
    plain as (
        select
            step.type, step.type <> step.base as is_domain, step.modifier, step.is_required, step.is_filled,
            pg_type.typcategory = 'A' as is_array,
            case when pg_type.typcategory = 'A' then pg_type.typelem else pg_type.oid end as base
        from step
        join pg_type on pg_type.oid = step.base
        where pg_type.typtype <> 'd'
    )
select
    attrelid as id,
    attname as name,
    quote_ident(attname) as quoted,
    format_type(atttypid, atttypmod) as type,
    base.typname as base,
    plain.is_array,
    plain.is_domain,
    case when base.typname in ('varchar', 'bpchar') and greatest(atttypmod, modifier) > 4
        then greatest(atttypmod, modifier) - 4 end as limit,
    attnotnull or plain.is_required as is_required,
    atthasdef or attidentity <> '' or plain.is_filled as is_filled,
    attgenerated <> '' or attidentity = 'a' as is_computed,
    array(select enumlabel from pg_enum where enumtypid = base.oid order by enumsortorder) as labels,
    (select nspname || '.' || relname
        from pg_constraint
        join pg_class on pg_class.oid = confrelid
        join pg_namespace on pg_namespace.oid = relnamespace
        where contype = 'f' and conrelid = attrelid and attnum = any (conkey)
        limit 1) as references,
    array_remove(array[
        case when has_column_privilege(attrelid, attnum, 'SELECT') then 'select' end,
        case when has_column_privilege(attrelid, attnum, 'INSERT') then 'insert' end,
        case when has_column_privilege(attrelid, attnum, 'UPDATE') then 'update' end], null) as may
from pg_attribute
join plain on plain.type = atttypid
join pg_type base on base.oid = plain.base
where attrelid = any (%(ids)s::oid[]) and attnum > 0 and not attisdropped
order by attrelid, attnum

-- catalogue_uniques: the unique indexes of these tables, and every column that each speaks of
select
    indrelid as id,
    relname as name,
    array(
        select attname
        from pg_attribute
        where attrelid = indrelid and attnum > 0 and (
            attnum = any ((indkey::int2[])[0:indnkeyatts - 1])
            or exists (
                select from pg_depend
                where classid = 'pg_class'::regclass and objid = indexrelid
                    and refclassid = 'pg_class'::regclass and refobjid = indrelid and refobjsubid = attnum))
        order by attnum) as columns,
    indpred is null and indexprs is null and indimmediate as is_plain,
    indisprimary as is_primary
from pg_index
join pg_class on pg_class.oid = indexrelid
where indrelid = any (%(ids)s::oid[]) and indisunique and indisvalid
order by indrelid, indisprimary desc, relname

-- catalogue_rules: the CHECK constraints of these tables
select
    conrelid as id,
    conname as name,
    array(select attname from pg_attribute where attrelid = conrelid and attnum = any (conkey)) as columns,
    pg_get_constraintdef(oid) as text
from pg_constraint
where conrelid = any (%(ids)s::oid[]) and contype = 'c'
order by conrelid, conname

-- catalogue_triggers: the triggers of these tables that may change a row before it is written
select
    tgrelid as id,
    tgname as name,
    proname as function,
    case when lanname = 'plpgsql' then prosrc end as source
from pg_trigger
join pg_proc on pg_proc.oid = tgfoid
join pg_language on pg_language.oid = prolang
where tgrelid = any (%(ids)s::oid[]) and not tgisinternal and tgenabled <> 'D'
    -- Of each row, before it, on insert or update.
    and tgtype & 1 <> 0 and tgtype & 2 <> 0 and tgtype & 20 <> 0
order by tgrelid, tgname
