-- For roles that read and nothing else, and a word on every function.

-- What searches read, and nothing else: no texts as submitted, no files, no log of queries, no secrets.
create function millrace.grant_reading(reader name) returns void
language plpgsql as $$
declare
  maker name := (select pg_get_userbyid(relowner) from pg_class where oid = 'millrace.domains'::regclass);
  vectors name := (
    select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'
  );
  made text;
begin
  if not exists (select 1 from pg_roles where rolname = reader) then
    raise exception 'there is no role "%"', reader
      using errcode = '42704', hint = format('create role %I login password …', reader);
  end if;
  execute format('grant usage on schema millrace, millrace_domains, %I to %I', vectors, reader);
  execute format('grant select on millrace.domains, millrace.generations, millrace.chunks, millrace.published,
    millrace.parents, millrace.bands, millrace.term_counts to %I', reader);
  execute format('grant select (id, domain_id, external_id, title, created_at, updated_at)
    on millrace.documents to %I', reader);
  for made in
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'millrace' and c.relkind = 'r' and c.relname ~ '^(vectors|terms)_[0-9]+$'
      or n.nspname = 'millrace_domains' and c.relkind = 'v'
  loop
    execute format('grant select on %s to %I', made, reader);
  end loop;
  -- Domains that come later have tables of their own, which only whoever runs Millrace makes.
  execute format('alter default privileges for role %I in schema millrace_domains grant select on tables to %I',
    maker, reader);
  execute format('alter default privileges for role %I in schema millrace grant select on tables to %I', maker, reader);
end $$;
comment on function millrace.grant_reading(name) is
  'Lets a role search and read the views of domains, those made later too, and do nothing else.';

create function millrace.revoke_reading(reader name) returns void
language plpgsql as $$
declare
  maker name := (select pg_get_userbyid(relowner) from pg_class where oid = 'millrace.domains'::regclass);
begin
  execute format('alter default privileges for role %I in schema millrace_domains revoke select on tables from %I',
    maker, reader);
  execute format('alter default privileges for role %I in schema millrace revoke select on tables from %I', maker, reader);
  execute format('revoke all on all tables in schema millrace, millrace_domains from %I', reader);
  execute format('revoke select (id, domain_id, external_id, title, created_at, updated_at)
    on millrace.documents from %I', reader);
  execute format('revoke usage on schema millrace, millrace_domains from %I', reader);
end $$;
comment on function millrace.revoke_reading(name) is 'Takes back what millrace.grant_reading gave.';

-- Replaced by millrace.compile_filter.
drop function millrace.check_filter(jsonb);

comment on function millrace.move_counts(bigint[], text[], integer[]) is
  'Adds to the counters of ingestions: so many documents more, or less, in a state.';
comment on function millrace.is_done(millrace.ingestions, bigint) is
  'Whether an ingestion has nothing open any more, once so many documents are added.';
comment on function millrace.documents_inserted() is 'Counts documents that came in at their ingestion.';
comment on function millrace.documents_updated() is 'Counts documents that changed state or ingestion, and their errors.';
comment on function millrace.documents_deleted() is 'Counts documents that were deleted while they were open.';
