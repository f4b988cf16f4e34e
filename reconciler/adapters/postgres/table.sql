-- table_rules: whether rules of the owner's may refuse a row, whether one may change it, and a
--   digest of them all
with rules as (
    -- Triggers, constraints, policies, unique keys and types of the owner's, each as a text.
    select
        'trigger ' || pg_get_triggerdef(oid) as rule,
        -- Only a trigger that fires before each row can write another value, or swallow the row.
        tgtype & 2 = 2 and tgtype & 1 = 1 as changes
    from pg_trigger
    where tgrelid = sync.customer_table()
    and not tgisinternal
    and tgname not like 'sync\_%%'
    and tgenabled <> 'D'
    union all
    -- Constraints but the primary key; a NOT NULL is seen at its column.
    select 'constraint ' || pg_get_constraintdef(oid), false
    from pg_constraint
    where conrelid = sync.customer_table()
    and contype <> 'p'
    and contype <> 'n'
    union all
    -- Policies, where they bind this role.
    select
        format(
            'policy %%s %%s %%s',
            polname,
            pg_get_expr(polqual, polrelid),
            pg_get_expr(polwithcheck, polrelid)
        ),
        false
    from pg_policy
    where polrelid = sync.customer_table()
    and sync.hides_rows()
    union all
    -- Unique indexes beside the sync's own.
    select 'index ' || pg_get_indexdef(i.indexrelid), false
    from pg_index i
    join pg_class k on k.oid = i.indexrelid
    where i.indrelid = sync.customer_table()
    and i.indisunique
    and not i.indisprimary
    and k.relname <> all(%(ours)s::text[])
    union all
    -- Mapped columns of another type, or NOT NULL; and others that must be given a value.
    select
        format('column %%s %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull),
        false
    from pg_attribute
    where attrelid = sync.customer_table()
    and attnum > 0
    and not attisdropped
    and attgenerated = ''
    and (
        attname in (select col from sync.columns())
            and (atttypid <> 'text'::regtype or attnotnull)
        or attnotnull
            and not atthasdef
            and attidentity = ''
            and attname not in ('uuid')
    )
)
select
    count(*) > 0 as any,
    coalesce(bool_or(changes), false) as changes,
    md5(coalesce(string_agg(rule, ' ' order by rule), '')) as digest
from rules

-- rule_fields: the fields that these columns, or a constraint or unique index of the owner's, are
--   about
with named as (
    -- The columns that the rule names.
    select a.attname as col
    from pg_constraint c
    cross join lateral unnest(c.conkey) as k(attnum)
    join pg_attribute a on a.attrelid = c.conrelid
        and a.attnum = k.attnum
    where c.conrelid = sync.customer_table()
    and c.conname = %(rule)s
    union
    select a.attname
    from pg_index i
    cross join lateral unnest(i.indkey) as k(attnum)
    join pg_attribute a on a.attrelid = i.indrelid
        and a.attnum = k.attnum
    where i.indrelid = sync.customer_table()
    and i.indexrelid = to_regclass(quote_ident(%(rule)s))
    union
    select unnest(%(columns)s::text[])
)
select f.field
from sync.columns() f
join named using (col)

-- column_limits: the columns of fields, each with the type that limits it
select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) as limit
from sync.columns() f
join pg_attribute a on a.attrelid = sync.customer_table()
    and a.attname = f.col
where f.field = any(%(fields)s::text[])
order by a.attnum

-- fits: make the values the columns' own, to see whether they can be: an error says that they
--   cannot
select sync.fits(%(vals)s::jsonb) as fits

-- note_rules: remember the digest of the owner's rules; says whether it was another one before
insert into sync.cursor (name, value) values ('table rules', to_jsonb(%(digest)s::text))
on conflict (name) do update set value = excluded.value, at = now()
where sync.cursor.value <> excluded.value
returning
    -- 0 in a row that was inserted: there was no digest before.
    xmax <> 0 as changed

-- lift_refused: look again at what a rule of the owner's refused
with refused as (
    -- Links with columns, or as a whole, blocked because a rule of the owner's refused the row.
    select uuid, sync.ended_by(blocks, 'rules') as keys
    from sync.link
    where blocks <> '{}' and sync.ended_by(blocks, 'rules') <> '{}'
), lifted as (
    -- The same links, no longer blocked for that.
    update sync.link l set blocks = l.blocks - r.keys
    from refused r
    where l.uuid = r.uuid
    returning l.uuid
), marked as (
    -- One mark for each of them; the condition below, always true, makes this run.
    select sync.mark(array_agg(sync.of_customer(uuid)), 2) from lifted
    having count(*) > 0
)
select count(*) as count from lifted
where (select count(*) from marked) >= 0

-- fields_with_column: the fields whose column the table has
select field from sync.columns()
