-- read_home: whether this is the database that was linked with the HubSpot account (and no copy),
--   and with which
select sync.is_home(home.value) as is_here, portal.value as portal
from sync.setting as home
left join sync.setting as portal on portal.name = 'portal'
where home.name = 'home'

-- claim_account: the first account this database meets is its own; when its day ends is for HubSpot
--   to say
with portal as (
    -- The account, where this database has none yet.
    insert into sync.setting (name, value) values ('portal', %(portal)s)
    on conflict (name) do nothing
)
insert into sync.setting (name, value)
select
    'time_zone',
    -- A name that Postgres does not know would be an error wherever the day is asked for.
    coalesce((select name from pg_timezone_names where name = %(time_zone)s), 'UTC')
    -- Of another account than the database's own nothing is learnt.
where not exists (select from sync.setting where name = 'portal' and value <> %(portal)s)
on conflict (name) do update set value = excluded.value
where sync.setting.value <> excluded.value

-- read_portal: the HubSpot account this database is linked with
select value from sync.setting where name = 'portal'

-- claim_home: the place at which this database is first linked with its account is its home
insert into sync.setting (name, value) values ('home', sync.place())
on conflict (name) do nothing

-- adopt_database: this database is the one from now on, wherever its home was before
insert into sync.setting (name, value) values ('home', sync.place())
on conflict (name) do update set value = excluded.value

-- read_mapping: which mapping this database was made for; none: the one that ships
select value as digest from sync.setting where name = 'mapping'

-- read_version: the version of the database
select sync.version() as version
