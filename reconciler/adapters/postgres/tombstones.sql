-- request_erasure: note that the people are to be erased who have this address, or had it as far as
--   customers, links and intents still say so; a merged customer's person is the winner
with people as (
    -- People with the address: by customer (living and deleted have an index each), link, intent.
    select coalesce(mergedinto, uuid) as uuid from sync.customers()
    where address = %(address)s
    and erasedat is null
    and deletedat is null
    union
    select coalesce(mergedinto, uuid) from sync.customers()
    where address = %(address)s
    and erasedat is null
    and deletedat is not null
    union
    select uuid from sync.link where base ->> 'email' = %(address)s
    union
    select uuid from sync.intent where vals ->> 'email' = %(address)s
)
insert into sync.link (uuid, erase_due)
select uuid, true from people
order by uuid
on conflict (uuid) do update set erase_due = true
returning uuid

-- announce_erase: leave the tombstones of a person who is about to be erased
select from sync.erase(%(uuid)s, true)

-- begin_era: begin a new era, in which inserts see the tombstones that are there; these keep the
--   number of the era before
update sync.tombstone set era = nextval('sync.era') - 1 where era is null

-- erase: erase a person by closure; returns what stays: hashes of addresses, and ids of contacts
select hash, contact from sync.erase(%(uuid)s)

-- read_salt: the salt of the tombstones' hashes
select value from sync.setting where name = 'salt'

-- erasures_due: which of these people are still to be erased
select uuid from sync.link
where uuid = any(%(uuids)s::uuid[]) and erase_due

-- tombstoned: which of these addresses were erased
select address from unnest(%(addresses)s::text[]) as address
-- Where nothing was ever erased no hash is made.
where exists (select from sync.tombstone)
and exists (select from sync.tombstone where hash = sync.hash_of(address))

-- keep_erases_out: let no erase end before this transaction whose tombstones it may not see
select sync.note_era()

-- refuse_erased: fail if one of these addresses was erased, and keep erases out until this
--   transaction ends
select sync.refuse_erased(%(addresses)s::text[])

-- restore_salt: the salt that the hashes of the file were made with, if the file has one
insert into sync.setting (name, value)
select 'salt', %(salt)s::text where %(salt)s::text is not null
on conflict (name) do update set value = excluded.value

-- restore_tombstones: what was erased, as the file has it: also what was erased after the backup
--   was made
with stone as (
    -- The lines of the file: the hash of an address, or the id of an erased person's contact.
    select * from jsonb_to_recordset(%(stones)s::jsonb) as s(hash text, contact bigint)
), hashes as (
    -- Tombstones that the backup does not have.
    insert into sync.tombstone (hash) select hash from stone where hash is not null
    on conflict do nothing
)
insert into sync.alias (contact, kind)
select distinct contact, 'ignored' from stone where contact is not null
on conflict (contact) do update set uuid = null, kind = 'ignored'

-- bump_numbers: old workers' fences must fail: the numbers go on far beyond those given since the
--   backup
select setval('sync.number', nextval('sync.number') + 1000000000)

-- erased_again: customers that the backup brought back although they were erased, by address or
--   contact
select uuid from sync.customers()
where address is not null
and sync.hash_of(address) in (select hash from sync.tombstone)
union
select l.uuid from sync.link l
join sync.alias a on a.contact = l.contact
where a.kind = 'ignored'
