-- Searches that measure themselves as they are, candidates of the forms with bits, and what is refused.

drop function millrace.probe_search(text, vector[], integer, boolean, integer);

-- Times searches one by one, in the server: the trip to it, and the next query's wait, are not in it.
create function millrace.probe_search(
  domain text, queries vector[], k integer, exact boolean, ef_search integer, candidates integer default null,
  out n integer, out ms double precision, out similarities double precision[]
) returns setof record
language plpgsql volatile
as $$
declare
  options jsonb := jsonb_strip_nulls(jsonb_build_object('exact', exact, 'efSearch', ef_search, 'candidates', candidates))
    || '{"mode": "dense", "thresholds": {"dense": null}}';
  started timestamptz;
begin
  for i in 1 .. coalesce(cardinality(queries), 0) loop
    started := clock_timestamp();
    select array_agg(h.dense_score order by h.dense_score desc) into similarities
    from millrace.find_hits(domain, queries[i], null, k, options) h;
    ms := 1000 * extract(epoch from clock_timestamp() - started);
    n := i;
    similarities := coalesce(similarities, '{}');
    return next;
  end loop;
end $$;
comment on function millrace.probe_search(text, vector[], integer, boolean, integer, integer) is
  'Times searches of a domain one by one, through its index or exactly, and returns their similarities, best first.';

-- A search for k in a form with bits reads that many candidates and scores them by their decoded vectors; other forms
-- need no more than k. Measured with questions that are not about the texts (docs/storage.md): with 100 + 10 * k recall@10
-- was .82 at 4,690 texts; with this it is .98, for a third more time.
create or replace function millrace.candidates_of(storage text, k integer, texts bigint) returns integer
language sql immutable parallel safe as $$
  select case when storage in ('sq8', 'sq4', 'binary')
    then 800 + 12 * k
    else k end::integer
$$;

create or replace function millrace.level_of(levels jsonb, similarity double precision) returns jsonb
language sql immutable strict parallel safe as $$
  select l.level
  from jsonb_array_elements(levels) with ordinality as l (level, place)
  where similarity <> 'NaN' -- which sorts above every number
    and (l.level ->> 'above' is null or similarity > (l.level ->> 'above')::double precision)
  order by l.place
  limit 1
$$;
comment on function millrace.level_of(jsonb, double precision) is
  'The level of a similarity, as {key, above, name: {zh, en}}; levels as in millrace.domains.levels. Null of NaN.';
comment on function millrace.level(text, double precision) is
  'The name of a similarity''s level in a domain, in the language of the setting millrace.language (zh when not set). '
  'Null of NaN, which is the similarity to a vector of zeros.';

-- So that a role that is null is said to be missing, and not found out where a statement is made of it.
create function millrace.known_role(role name) returns name
language plpgsql stable as $$
begin
  if role is null then
    raise exception 'the name of the role is null'
      using errcode = '22023', hint = 'select millrace.grant_reading(''reader'')';
  end if;
  if not exists (select 1 from pg_roles where rolname = role) then
    raise exception 'there is no role "%"', role
      using errcode = '42704', hint = format('create role %I login password …', role);
  end if;
  return role;
end $$;
comment on function millrace.known_role(name) is 'The name of a role; 22023 of null, 42704 of one that is not there.';

create or replace function millrace.grant_reading(reader name) returns void
language plpgsql as $$
declare
  vectors name := (
    select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'
  );
  made regclass;
begin
  perform millrace.known_role(reader);
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
create or replace function millrace.revoke_reading(reader name) returns void
language plpgsql as $$
begin
  perform millrace.known_role(reader);
  execute format('revoke all on all tables in schema millrace, millrace_domains from %I', reader);
  execute format('revoke select (id, domain_id, external_id, title, created_at, updated_at)
    on millrace.documents from %I', reader);
  execute format('revoke usage on schema millrace, millrace_domains from %I', reader);
end $$;
