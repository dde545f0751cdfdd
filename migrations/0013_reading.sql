-- For roles that read and nothing else, and a word on every function.

-- The tables and the view of a domain are made when it is: whoever may read the chunks may read those.
create function millrace.show_to_readers(made regclass) returns void
language plpgsql as $$
declare
  reader name;
begin
  for reader in
    select distinct r.rolname
    from pg_class c cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
    where c.oid = 'millrace.chunks'::regclass and a.privilege_type = 'SELECT' and a.grantee <> c.relowner
  loop
    execute format('grant select on %s to %I', made, reader);
  end loop;
end $$;
comment on function millrace.show_to_readers(regclass) is
  'Lets the roles of millrace.grant_reading read a table or a view that was made just now.';

-- The tables of vectors and terms, and the views of domains.
create function millrace.shown_to_readers() returns setof regclass
language sql stable as $$
  select c.oid::regclass
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'millrace' and c.relkind = 'r' and c.relname ~ '^(vectors|terms)_[0-9]+$'
    or n.nspname = 'millrace_domains' and c.relkind = 'v'
$$;
comment on function millrace.shown_to_readers() is 'The tables and views of domains that a role that reads may read.';

-- What searches read, and nothing else: no texts as submitted, no files, no log of queries, no secrets.
create function millrace.grant_reading(reader name) returns void
language plpgsql as $$
declare
  vectors name := (
    select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'
  );
  made regclass;
begin
  if not exists (select 1 from pg_roles where rolname = reader) then
    raise exception 'there is no role "%"', reader
      using errcode = '42704', hint = format('create role %I login password …', reader);
  end if;
  if not has_schema_privilege(reader, vectors, 'usage') then
    execute format('grant usage on schema %I to %I', vectors, reader);
  end if;
  execute format('grant usage on schema millrace, millrace_domains to %I', reader);
  execute format('grant select on millrace.domains, millrace.generations, millrace.chunks, millrace.published,
    millrace.parents, millrace.bands, millrace.term_counts to %I', reader);
  execute format('grant select (id, domain_id, external_id, title, created_at, updated_at)
    on millrace.documents to %I', reader);
  for made in select millrace.shown_to_readers() loop
    execute format('grant select on %s to %I', made, reader);
  end loop;
end $$;
comment on function millrace.grant_reading(name) is
  'Lets a role search and read the views of domains, those made later too, and do nothing else.';

create function millrace.revoke_reading(reader name) returns void
language plpgsql as $$
begin
  if not exists (select 1 from pg_roles where rolname = reader) then
    raise exception 'there is no role "%"', reader using errcode = '42704', hint = 'select rolname from pg_roles';
  end if;
  execute format('revoke all on all tables in schema millrace, millrace_domains from %I', reader);
  execute format('revoke select (id, domain_id, external_id, title, created_at, updated_at)
    on millrace.documents from %I', reader);
  execute format('revoke usage on schema millrace, millrace_domains from %I', reader);
end $$;
comment on function millrace.revoke_reading(name) is
  'Takes back what millrace.grant_reading gave, but for usage of the schema of pgvector, if it gave that.';

-- Replaced by millrace.compile_filter.
drop function millrace.check_filter(jsonb);

comment on function millrace.move_counts(bigint[], text[], integer[]) is
  'Adds to the counters of ingestions: so many documents more, or less, in a state.';
comment on function millrace.is_done(millrace.ingestions, bigint) is
  'Whether an ingestion has nothing open any more, once so many documents are added.';
comment on function millrace.documents_inserted() is 'Counts documents that came in at their ingestion.';
comment on function millrace.documents_updated() is 'Counts documents that changed state or ingestion, and their errors.';
comment on function millrace.documents_deleted() is 'Counts documents that were deleted while they were open.';
