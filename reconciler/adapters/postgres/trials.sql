-- trial_on: begin a transaction that is always taken back: SQL is tried in it on a table of our own
begin;
set local lock_timeout = '5s';
set local statement_timeout = '20s';
set local timezone = 'UTC'

-- trial_table: a table like the owner's, without its rows
create temporary table mapping_trial (like {table}) on commit drop

-- trial_where: the predicate of an index, its last word: Postgres takes none that is not immutable
--   or no single expression, that names another row or table, or a system column
create index on mapping_trial ((1)) where {sql}

-- trial_alone: whether SQL over the row is one expression, with no bracket of what stands around it
select {sql} from mapping_trial limit 0

-- trial_constant: the same of SQL that names no column of the row
select {sql}

-- trial_read: what type an expression over the row has
select ({sql}) as value from mapping_trial limit 0

-- trial_insert: whether SQL that names no column of the row gives a column a value
explain insert into mapping_trial ({column}) select ({sql})

-- trial_write: whether SQL over the row gives a column a value
explain update mapping_trial set {column} = ({sql})

-- trial_type: what a type is called, and what it is made of
select
    format_type(shown.oid, null) as type,
    base.typname as base,
    shown.typcategory = 'A' as is_array,
    array(select enumlabel from pg_enum where enumtypid = base.oid order by enumsortorder) as labels
from pg_type shown
join pg_type base on base.oid = case when shown.typcategory = 'A' then shown.typelem else shown.oid end
where shown.oid = %(oid)s
