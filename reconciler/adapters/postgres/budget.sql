-- shape_budget: one slot per call that fits a window
insert into sync.slot (kind, n)
select kind, n
from jsonb_to_recordset(%(rates)s::jsonb) as r(kind text, rate integer),
    generate_series(1, r.rate) n
on conflict do nothing

-- trim_budget: slots beyond the rate go
delete from sync.slot s using jsonb_to_recordset(%(rates)s::jsonb) as r(kind text, rate integer)
where s.kind = r.kind and s.n > r.rate

-- take_slots: take calls whose slots were not used for a window; a lower lane leaves them to a
--   higher one that waits, but for its floor, and takes no more than `pace` in a tenth of the
--   window. The disk is not waited for: a crash of Postgres forgets a call or two
with unwaited as (
    -- The commit of this transaction does not wait for the disk.
    select set_config('synchronous_commit', 'off', true)
), paced as (
    -- What the pace leaves after the calls of the last tenth of a window; null: it has no limit.
    select %(pace)s::integer - count(*) as rest from sync.slot
    where kind = %(kind)s
    and at > (select clock_timestamp()) - %(window)s / 10 * interval '1 second'
), free as materialized (
    -- Slots that may be taken, the one unused for longest first; none while HubSpot is down.
    select kind, n from sync.slot s
    where kind = %(kind)s
    -- The clock as it stands cannot be looked up in the index: the sub-select reads it once.
    and at <= (select clock_timestamp()) - %(window)s * interval '1 second'
    and not exists (select from sync.outage where since is not null)
    and (
        -- The floor: one slot in twenty is the lane's own.
        n %% 20 = %(lane)s
        or not exists (
            select from sync.lane w
            where w.lane < %(lane)s
            and w.wanted > clock_timestamp() - interval '0.5 seconds'
        )
    )
    order by at
    limit (select least(%(calls)s, case when paced.rest < 0 then 0 else paced.rest end) from paced)
    for update skip locked
)
update sync.slot s set at = clock_timestamp()
from free, unwaited
where s.kind = free.kind and s.n = free.n
returning s.n

-- want_slots: a lane waits for a call
insert into sync.lane (lane, wanted) values (%(lane)s, clock_timestamp())
on conflict (lane) do update set wanted = excluded.wanted

-- next_slot: seconds until the next slot comes free
select
    greatest(
        extract(epoch from min(at)) + %(window)s::float8 - extract(epoch from clock_timestamp()),
        0
    )::float8 as wait
from sync.slot
where kind = %(kind)s

-- stamp_slot: a call is made now that was reserved before
update sync.slot set at = greatest(at, clock_timestamp())
where kind = 'all' and n = %(slot)s

-- give_slots: give back calls that were taken and not made; a slot ahead of now is blocked, not
--   taken
update sync.slot set at = '-infinity'
where kind = %(kind)s
and n = any(%(slots)s::integer[])
and at <= clock_timestamp()

-- block_slots: HubSpot said 429: no slot comes free before the delay is over
update sync.slot set at = clock_timestamp() + (%(delay)s - %(window)s) * interval '1 second'
where kind = %(kind)s
and at < clock_timestamp() + (%(delay)s - %(window)s) * interval '1 second'

-- count_day: count calls made today, and in this hour; returns those of today. The disk is not
--   waited for
with unwaited as (
    -- The commit of this transaction does not wait for the disk.
    select set_config('synchronous_commit', 'off', true)
), hour as (
    -- The calls of this hour: at their pace the status forecasts when the day's will be spent.
    insert into sync.hour (at, calls) values (date_trunc('hour', now()), %(calls)s)
    on conflict (at) do update set calls = sync.hour.calls + excluded.calls
)
insert into sync.day (day, calls, quota)
select sync.account_day(), %(calls)s, %(quota)s from unwaited
on conflict (day) do update set calls = sync.day.calls + excluded.calls, quota = excluded.quota
returning calls

-- hear_day: what HubSpot has counted today takes the place of our count, as other apps of the
--   account call, too; and whether it leaves any call, for only HubSpot knows when its day begins
update sync.day set calls = %(calls)s, spent = %(left)s <= 0
where day = sync.account_day()

-- day_spent: whether HubSpot has left no call of today
select spent from sync.day where day = sync.account_day()

-- fail_hubspot: HubSpot failed for a cause of its own; after so many failures in a row it counts as
--   down, and the next probe is a pause ahead
insert into sync.outage as o (failures, since, probe, cause, reason)
select
    1,
    case when is_down then clock_timestamp() end,
    case
        when is_down then clock_timestamp() + %(pause)s * interval '1 second'
        else '-infinity'
    end,
    %(cause)s,
    %(reason)s
from (select %(after)s <= 1 as is_down) first
on conflict (one) do update set
    failures = o.failures + 1,
    cause = excluded.cause,
    reason = excluded.reason,
    since = case
        when o.failures + 1 >= %(after)s then coalesce(o.since, clock_timestamp())
        else o.since
    end,
    probe = case
        when o.failures + 1 >= %(after)s or o.since is not null
            then clock_timestamp() + %(pause)s * interval '1 second'
        else o.probe
    end

-- probe_hubspot: while HubSpot is down: 0 if this call is to look whether it is back, else the
--   seconds until the next look
with looking as (
    -- It is time to look: this call does, and the next one may a pause from now.
    update sync.outage set probe = clock_timestamp() + %(pause)s * interval '1 second'
    where since is not null and probe <= clock_timestamp()
    returning 0::float8 as wait, reason
)
select wait, reason from looking
union all
select
    -- Never 0, also where another call has taken the look at this very moment.
    greatest(extract(epoch from probe - clock_timestamp()), 0.001)::float8,
    reason
from sync.outage
where since is not null and not exists (select from looking)

-- leave_probe: the call that was to look whether HubSpot is back was not made: another one may look
--   at once, unless the next look was put further ahead than a pause
update sync.outage set probe = clock_timestamp()
where since is not null
and probe <= clock_timestamp() + %(pause)s * interval '1 second'

-- recover_hubspot: HubSpot answers, and so is up; after an unknown path or a missing scope only a
--   read says so
update sync.outage set failures = 0, since = null
where (failures > 0 or since is not null)
and (
    cause not in ('path_unknown', 'scope_missing')
    or %(door)s = 'read contacts'
)

-- shut_door: HubSpot refuses one kind of call
insert into sync.shut (door, cause, reason) values (%(door)s, %(cause)s, %(reason)s)
on conflict (door) do update set cause = excluded.cause, reason = excluded.reason

-- open_door: HubSpot takes this kind of call again
delete from sync.shut where door = %(door)s
