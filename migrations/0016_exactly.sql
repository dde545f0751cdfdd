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
-- As before, and whole numbers that no metadata can have are refused.
create or replace function millrace.check_comparison(field text, operator text, operand jsonb) returns void
language plpgsql immutable as $$
declare
  known constant text[] := '{eq,ne,in,gt,gte,lt,lte,exists,prefix,contains}';
  values_max constant integer := 1000;
  kind constant text := jsonb_typeof(operand);
  takes text[];  -- kinds of value
  way_out text;
  wrong text;
  whole_max constant numeric := 9007199254740991; -- metadata have no whole number beyond: HTTP would change it
begin
  if not operator = any (known) then
    perform millrace.refuse_filter(
      format('the filter on "%s" has no operator "%s"', left(field, 100), left(operator, 100)),
      'known: ' || array_to_string(known, ', '));
  end if;
  if starts_with(field, 'document.') and field not in ('document.id', 'document.title', 'document.createdAt') then
    perform millrace.refuse_filter(format('a document has no field "%s"', left(field, 100)),
      'known: document.id, document.title, document.createdAt; fields of the metadata go by their own name');
  end if;
  if field = 'document.createdAt' and operator in ('prefix', 'contains') then
    perform millrace.refuse_filter(format('the filter on "document.createdAt": a date has no "%s"', operator),
      'compare it: {"gte": "2026-01-01", "lt": "2026-02-01"}');
  end if;

  case operator
    when 'in' then takes := '{array}'; way_out := 'write {"in": ["a", "b"]}';
    when 'exists' then takes := '{boolean}'; way_out := 'write {"exists": true}';
    when 'prefix' then takes := '{string}'; way_out := 'write {"prefix": "text"}';
    when 'eq', 'ne' then
      takes := '{string,number,boolean,"null"}';
      way_out := '"in" compares with several values, "contains" looks into a list';
    when 'contains' then
      takes := '{string,number,boolean,"null"}';
      way_out := 'one value each: {"and": [{"field": {"contains": "a"}}, {"field": {"contains": "b"}}]}';
    else
      takes := '{string,number}';
      way_out := format('write {"%s": 5} or {"%1$s": "text"}; dates are texts: "2026-01-31"', operator);
  end case;
  if starts_with(field, 'document.') and operator not in ('in', 'exists') then
    takes := case
      when operator in ('eq', 'ne') and field <> 'document.id' then '{string,"null"}'::text[]
      else '{string}'
    end;
    way_out := format('write {"%s": {"%s": "text"}}', field, operator);
  end if;
  if not kind = any (takes) then
    perform millrace.refuse_filter(
      format('the filter on "%s": "%s" takes %s, it is: %s', left(field, 100), operator,
        millrace.kind_names(takes), millrace.kind_names(array[kind])),
      way_out);
  end if;

  if kind in ('number', 'array') then
    select n.value into wrong
    from jsonb_array_elements(case kind when 'array' then operand else jsonb_build_array(operand) end) n (value)
    where jsonb_typeof(n.value) = 'number' and abs(n.value::numeric) > whole_max and n.value::numeric = trunc(n.value::numeric)
    limit 1;
    if found then
      perform millrace.refuse_filter(
        format('the filter on "%s" holds a number that cannot be kept exactly, %s', left(field, 100), left(wrong, 40)),
        'no document has that in its metadata: such numbers are sent as texts');
    end if;
  end if;

  if operator = 'in' then
    if jsonb_array_length(operand) > values_max then
      perform millrace.refuse_filter(
        format('the filter on "%s": "in" has %s values, at most %s are taken', left(field, 100),
          jsonb_array_length(operand), values_max),
        'mark those documents in their metadata, or search several times');
    end if;
    takes := case
      when field = 'document.id' then '{string}'
      when starts_with(field, 'document.') then '{string,"null"}'
      else '{string,number,boolean,"null"}'::text[]
    end;
    select jsonb_typeof(e) into wrong
    from jsonb_array_elements(operand) e where not jsonb_typeof(e) = any (takes) limit 1;
    if found then
      perform millrace.refuse_filter(
        format('the filter on "%s": "in" takes values of type %s, one is: %s', left(field, 100),
          millrace.kind_names(takes), millrace.kind_names(array[wrong])),
        way_out);
    end if;
  end if;
end $$;
