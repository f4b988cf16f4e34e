-- look_on: begin the one transaction in which an owner's tables are looked at: it writes nothing,
--   sees one moment, and waits for nobody for long
begin isolation level repeatable read, read only;
set local lock_timeout = '5s';
set local statement_timeout = '20s';
set local timezone = 'UTC'

-- measure_rows: how many rows there are, how many are in scope, and how many of these alive
select
    count(*) as rows,
    count(*) filter (where ({where})) as inside,
    count(*) filter (where ({where}) and {alive}) as alive
from {table}

-- measure_filled: in how many living rows in scope a column holds something
select count(*) as filled
from {table}
where ({where}) and {alive} and nullif(btrim({column}::text), '') is not null

-- measure_doubles: how many addresses several living rows in scope have, with keys of some
select count(*) over () as addresses, min({key}) as one, max({key}) as another
from {table}
where ({where}) and {alive} and nullif(btrim({address}::text), '') is not null
group by lower(btrim({address}::text))
having count(*) > 1
order by count(*) desc, 2
limit 3

-- measure_doubles_joined: the same, where the address stands in a joined table
with
    -- The living rows in scope.
    person as (
        select {key} as key
        from {table}
        where ({where}) and {alive}
    ),
    -- The addresses of the joined table's rows in scope.
    holding as (
        select {on} as key, lower(btrim({address}::text)) as address
        from {joined}
        where ({joined_where}) and nullif(btrim({address}::text), '') is not null
    )
select count(*) over () as addresses, min(key) as one, max(key) as another
from person
join holding using (key)
group by address
having count(*) > 1
order by count(*) desc, 2
limit 3

-- measure_several: how many keys several rows of a joined table's scope have
select count(*) as keys
from (select from {joined} where ({joined_where}) and ({on}) is not null group by {on} having count(*) > 1) several

-- measure_read: whether an expression holds for every row in scope
select count(({read})) as held
from {table}
where ({where})

-- measure_values: which values a column of few has in living rows in scope
select distinct {column}::text as value
from {table}
where ({where}) and {alive} and nullif({column}::text, '') is not null
limit 1000

-- measure_sample: of some rows, in how many a column holds something, or an empty text
select
    count(*) as rows,
    count(*) filter (where btrim(value) <> '') as filled,
    count(*) filter (where value = '') as emptied
from (select {column}::text as value from {table} limit 1000) sampled

-- alive_always: no row is marked dead
true

-- alive_by_time: a row without a time of death is alive
{column} is null

-- alive_by_value: a row with this mark is alive
{column}::text is not distinct from {alive}

-- key_as_text: the columns of a key as one text
concat_ws(', ', {key})
