-- What is seen of an ingestion while it runs; cancelling and resuming one.

alter table millrace.ingestions
  add column resume_after     bigint,         -- a resume is under way: documents up to this id were put back; null: none is
  -- The rate of late is what came in since rate_from. When rate_next is 20 seconds old it takes the
  -- place of rate_from.
  add column rate_from        timestamptz(3), -- null: nothing was taken to be embedded since it began or was resumed
  add column rate_from_tokens bigint not null default 0,
  add column rate_last        timestamptz(3), -- when vectors were last stored
  add column rate_next        timestamptz(3),
  add column rate_next_tokens bigint not null default 0;

drop index millrace.ingestions_domain;
create index ingestions_newest on millrace.ingestions (domain_id, id);
create index ingestions_running on millrace.ingestions (id) where state = 'running';
-- What a process that died left half-way: the sweep goes on with it.
create index ingestions_to_cancel on millrace.ingestions (id)
  where state = 'cancelled' and received + preparing + embedding > 0;
create index ingestions_to_resume on millrace.ingestions (id) where resume_after is not null;
-- What a resume puts back.
create index documents_broken on millrace.documents (ingestion_id, id) where state in ('failed', 'cancelled');

alter table millrace.pending
  add column error_code    text,              -- why the last attempt at it broke off
  add column error_message text;

alter table millrace.workers add column tokens_per_second real; -- between its last two signs of life

-- An ingestion that is being resumed has not finished before all of it was put back.
create or replace function millrace.is_done(i millrace.ingestions, change bigint) returns boolean
language sql immutable as $$
  select i.state = 'running' and i.sealed and i.resume_after is null
    and i.received + i.preparing + i.embedding + change = 0
    and (i.sync is null or i.synced_at is not null)
$$;

-- As in 0001, but a failed document that is tried again within its ingestion is no longer among the errors.
create or replace function millrace.documents_updated() returns trigger language plpgsql as $$
declare ids bigint[]; states text[]; amounts integer[];
begin
  with moved as (
    select o.ingestion_id as was_in, o.state as was, n.ingestion_id as is_in, n.state as now,
      o.state in ('received', 'preparing', 'embedding') as was_open
    from old_rows o join new_rows n using (id)
    where o.ingestion_id <> n.ingestion_id or o.state <> n.state
  ), deltas as (
    select was_in as id, was as state, -1 as amount from moved where was_in = is_in or was_open
    union all
    select was_in, 'cancelled', 1 from moved where was_in <> is_in and was_open
    union all
    select is_in, now, 1 from moved
  )
  select array_agg(id), array_agg(state), array_agg(n) into ids, states, amounts
  from (select id, state, sum(amount)::int as n from deltas group by 1, 2) as counted;
  if ids is not null then perform millrace.move_counts(ids, states, amounts); end if;

  insert into millrace.ingestion_errors as e (ingestion_id, code, count, example)
  select n.ingestion_id, n.error_code, count(*),
    (array_agg(jsonb_build_object('document', n.external_id, 'message', n.error_message) order by n.id))[1]
  from old_rows o join new_rows n using (id)
  where n.state = 'failed' and o.state <> 'failed'
  group by 1, 2
  on conflict (ingestion_id, code) do update set count = e.count + excluded.count;

  if exists (
    select 1 from old_rows o join new_rows n using (id)
    where o.state = 'failed' and n.state <> 'failed' and o.ingestion_id = n.ingestion_id
  ) then
    update millrace.ingestion_errors e set count = e.count - again.count
    from (
      select o.ingestion_id, o.error_code as code, count(*)::int as count
      from old_rows o join new_rows n using (id)
      where o.state = 'failed' and n.state <> 'failed' and o.ingestion_id = n.ingestion_id
      group by 1, 2
    ) again
    where e.ingestion_id = again.ingestion_id and e.code = again.code;
    delete from millrace.ingestion_errors e
    where e.count <= 0 and e.ingestion_id in (select ingestion_id from new_rows);
  end if;
  return null;
end $$;
