-- backend: which backend answers: behind a pooler it is another one than greeted the connection
select pg_backend_pid() as backend

-- configure: let no statement of this session wait for ever
select
    set_config('lock_timeout', '1500ms', false),
    set_config('statement_timeout', '60s', false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('timezone', 'UTC', false),
    -- Values and keys are compared as texts.
    set_config('datestyle', 'ISO', false),
    set_config('extra_float_digits', '1', false)

-- keep_plans: keep one plan for each statement, by key: it must be right when the tables have
--   grown, too
select
    -- A plan that does what is switched off here counts as dear, and would be compiled each time.
    set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('enable_seqscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false)

-- begin_bounded: begin a transaction in which no statement waits for ever, behind a pooler: there
--   the session is not ours alone, and `configure` would reach other processes
begin;
set local lock_timeout = '1500ms';
set local statement_timeout = '60s';
set local idle_in_transaction_session_timeout = '60s';
set local timezone = 'UTC';
set local datestyle = 'ISO';
set local extra_float_digits = 1

-- begin_own: begin a transaction of the sync's own: not captured by the trigger, durable, and
--   patient for 5 s at most where a lock is in the way
begin;
set local sync.own = on;
set local synchronous_commit = on;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local idle_in_transaction_session_timeout = '60s';
set local timezone = 'UTC';
set local datestyle = 'ISO';
set local extra_float_digits = 1

-- begin_own_briefly: the same, but for a caller that waits: patient for 1.5 s at most
begin;
set local sync.own = on;
set local synchronous_commit = on;
set local lock_timeout = '1500ms';
set local statement_timeout = '60s';
set local idle_in_transaction_session_timeout = '60s';
set local timezone = 'UTC';
set local datestyle = 'ISO';
set local extra_float_digits = 1

-- clock: the database's time
select clock_timestamp() as now
