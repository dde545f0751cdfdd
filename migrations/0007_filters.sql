-- Filters with operators: docs/filters.md. A filter becomes a condition whose text is only ours: every value and every
-- field's name stands in one jsonb parameter and is read from there by its position.

create function millrace.refuse_filter(message text, hint text) returns void
language plpgsql immutable as $$
begin
  raise exception using errcode = '22023', message = message, hint = hint;
end $$;
comment on function millrace.refuse_filter(text, text) is 'Raises 22023: what is wrong with a filter, and a way out.';

create function millrace.kind_names(kinds text[]) returns text
language sql immutable as $$
  select string_agg(case k when 'string' then 'text' when 'array' then 'list' else k end, ' or ') from unnest(kinds) k
$$;
comment on function millrace.kind_names(text[]) is 'Kinds of JSON values in the words of our messages.';

create function millrace.check_comparison(field text, operator text, operand jsonb) returns void
language plpgsql immutable as $$
declare
  known constant text[] := '{eq,ne,in,gt,gte,lt,lte,exists,prefix,contains}';
  values_max constant integer := 1000;
  kind constant text := jsonb_typeof(operand);
  takes text[];  -- kinds of value
  way_out text;
  wrong text;
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
comment on function millrace.check_comparison(text, text, jsonb) is
  'Refuses (22023) an operator, a field or a value that a filter cannot have.';

-- A date without an offset is in UTC whatever the session says, so that HTTP and SQL mean the same.
create function millrace.read_date(value text) returns text
language plpgsql immutable as $$
declare zoned text;
begin
  if value is null then return null; end if;
  zoned := value || case when value ~ '(Z|[ :.T]\d+ ?[+-]\d\d(:?\d\d)?)$' then '' else 'Z' end;
  if value !~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?$'
    or not pg_input_is_valid(zoned, 'timestamptz(3)') then
    perform millrace.refuse_filter(format('the filter on "document.createdAt" is no date: %s', left(value, 100)),
      'write it as GET of a document shows it: 2026-01-31T12:00:00.000Z; or 2026-01-31');
  end if;
  return to_char(zoned::timestamptz(3) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
end $$;
comment on function millrace.read_date(text) is
  'A date as GET of a document shows it, from ISO 8601; without an offset it is in UTC. Else 22023.';

-- One comparison of one field of the metadata.
create function millrace.compile_metadata(
  field text, operator text, operand jsonb, parameter text, inout arguments jsonb, out condition text
)
language plpgsql immutable as $$
declare
  -- Up to here each value of "in" is looked up in the index; more are compared with what each document has.
  lookups_max constant integer := 16;
  at integer := jsonb_array_length(arguments);
  found_value text;  -- what the document has there
  found_text text;
begin
  if operator in ('eq', 'ne') then
    arguments := arguments || jsonb_build_array(jsonb_build_object(field, operand));
    condition := format('(%sp.metadata @> (%s -> %s))', case operator when 'ne' then 'not ' else '' end, parameter, at);
    return;
  end if;
  if operator = 'in' and jsonb_array_length(operand) between 1 and lookups_max then
    select arguments || jsonb_agg(jsonb_build_object(field, e.value)),
      '(' || string_agg(format('p.metadata @> (%s -> %s)', parameter, at + e.place - 1), ' or ') || ')'
    into arguments, condition
    from jsonb_array_elements(operand) with ordinality as e (value, place);
    return;
  end if;

  arguments := arguments || jsonb_build_array(field, operand);
  found_value := format('(p.metadata -> (%s ->> %s))', parameter, at);
  found_text := format('((p.metadata ->> (%s ->> %s)) collate "C")', parameter, at);
  at := at + 1;
  case operator
    when 'in' then
      condition := format('coalesce(%s in (select jsonb_array_elements(%s -> %s)), false)', found_value, parameter, at);
    when 'exists' then
      condition := format('((p.metadata ? (%s ->> %s)) = (%s -> %s)::boolean)', parameter, at - 1, parameter, at);
    when 'prefix' then
      condition := format('starts_with(%s, %s ->> %s)', found_text, parameter, at);
    when 'contains' then
      condition := format('strpos(%s, %s ->> %s) > 0', found_text, parameter, at);
    else
      condition := format(
        case jsonb_typeof(operand) when 'number' then '%s %s (%s -> %s)' else '%s %s (%s ->> %s)' end,
        case jsonb_typeof(operand) when 'number' then found_value else found_text end,
        '{"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}'::jsonb ->> operator, parameter, at);
  end case;
  if operator in ('gt', 'gte', 'lt', 'lte', 'prefix', 'contains') then
    condition := format('coalesce(jsonb_typeof(%s) = %L and %s, false)', found_value,
      case when operator = 'contains' then 'string' else jsonb_typeof(operand) end, condition);
  end if;
  if operator = 'contains' then
    arguments := arguments || jsonb_build_array(jsonb_build_object(field, jsonb_build_array(operand)));
    condition := format(
      case jsonb_typeof(operand) when 'string' then '(p.metadata @> (%s -> %s) or %s)' else 'p.metadata @> (%s -> %s)' end,
      parameter, at + 1, condition);
  end if;
end $$;
comment on function millrace.compile_metadata(text, text, jsonb, text, jsonb) is
  'One comparison of a filter, of a field of the metadata, as part of the condition of millrace.compile_filter.';

-- One comparison of the document's own id, title or date.
create function millrace.compile_own(
  field text, operator text, operand jsonb, parameter text, inout arguments jsonb, out condition text
)
language plpgsql immutable as $$
declare
  place constant text := format('(%s ->> %s)', parameter, jsonb_array_length(arguments));
  own text := case field
    when 'document.id' then 'd.external_id'
    when 'document.title' then '(p.title collate "C")'
    else 'd.created_at'
  end;
  value text := place;
begin
  if field = 'document.createdAt' and operator <> 'exists' then
    value := value || '::timestamptz(3)';
    operand := case operator
      when 'in' then (select coalesce(jsonb_agg(millrace.read_date(e)), '[]') from jsonb_array_elements_text(operand) e)
      else coalesce(to_jsonb(millrace.read_date(operand #>> '{}')), 'null')
    end;
  end if;
  case operator
    when 'eq' then condition := format('%s = %s', own, value);
    when 'ne' then condition := format('%s = %s', own, value);
    when 'in' then
      condition := format('%s = any (array(select e%s from jsonb_array_elements_text(%s -> %s) e where e is not null))',
        own, case field when 'document.createdAt' then '::timestamptz(3)' else '' end, parameter, jsonb_array_length(arguments));
    when 'exists' then condition := format('(%s is not null) = %s::boolean', own, place);
    when 'prefix' then condition := format('starts_with(%s, %s)', own, value);
    when 'contains' then condition := format('strpos(%s, %s) > 0', own, value);
    else condition := format('%s %s %s', own, '{"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}'::jsonb ->> operator, value);
  end case;
  -- Bare where nothing can be null: only then does Postgres use an index on it.
  condition := case
    when field = 'document.title' and operator in ('eq', 'ne') and operand = 'null' then 'p.title is null'
    when field = 'document.title' and operator = 'in' and operand @> 'null' then format('(p.title is null or coalesce(%s, false))', condition)
    when field = 'document.title' or operand = 'null' then format('coalesce(%s, false)', condition)
    else format('(%s)', condition)
  end;
  if operator = 'ne' then condition := format('(not %s)', condition); end if;
  arguments := arguments || jsonb_build_array(operand);
end $$;
comment on function millrace.compile_own(text, text, jsonb, text, jsonb) is
  'One comparison of a filter, of document.id, .title or .createdAt, as part of the condition of millrace.compile_filter.';

create function millrace.compile_group(
  filter jsonb, parameter text, depth integer, inout parts integer, inout arguments jsonb, out condition text
)
language plpgsql immutable as $$
declare
  depth_max constant integer := 8;
  parts_max constant integer := 256;
  field text;
  value jsonb;
  member jsonb;
  operator text;
  inner_condition text;
  conditions text[] := '{}';
  members text[];
begin
  if jsonb_typeof(filter) <> 'object' then
    perform millrace.refuse_filter(format('a filter must be an object, it is: %s', millrace.kind_names(array[jsonb_typeof(filter)])),
      'write {"field": value}');
  end if;
  if depth > depth_max then
    perform millrace.refuse_filter(format('the filter is nested deeper than %s', depth_max),
      'several fields in one object all hold: that needs no "and"');
  end if;
  parts := parts + 1;
  if parts > parts_max then 
      perform millrace.refuse_filter(format('the filter has more than %s parts', parts_max),
        'many values of one field: {"field": {"in": ["a", "b"]}}');
    end if;
  for field, value in select * from jsonb_each(filter) loop
    members := '{}';
    if field in ('and', 'or') then
      if jsonb_typeof(value) <> 'array' then
        perform millrace.refuse_filter(format('"%s" takes a list of filters, it is: %s', field, millrace.kind_names(array[jsonb_typeof(value)])),
          format('write {"%s": [{"field": value}, …]}', field));
      end if;
      for member in select * from jsonb_array_elements(value) loop
        select g.parts, g.arguments, g.condition into parts, arguments, inner_condition
        from millrace.compile_group(member, parameter, depth + 1, parts, arguments) g;
        members := array_append(members, inner_condition);
      end loop;
      inner_condition := coalesce('(' || nullif(array_to_string(members, format(' %s ', field)), '') || ')', (field = 'and')::text);
      conditions := array_append(conditions, inner_condition);
    elsif field = 'not' then
      if jsonb_typeof(value) <> 'object' then
        perform millrace.refuse_filter(format('"not" takes a filter, it is: %s', millrace.kind_names(array[jsonb_typeof(value)])),
          'write {"not": {"field": value}}');
      end if;
      select g.parts, g.arguments, '(not ' || g.condition || ')' into parts, arguments, inner_condition
      from millrace.compile_group(value, parameter, depth + 1, parts, arguments) g;
      conditions := array_append(conditions, inner_condition);
    else
      if jsonb_typeof(value) <> 'object' then value := jsonb_build_object('eq', value); end if;
      if value = '{}' then
        perform millrace.refuse_filter(format('the filter on "%s" says nothing', left(field, 100)),
          'write {"field": value} or {"field": {"gte": 5}}');
      end if;
      for operator, member in select * from jsonb_each(value) loop
        perform millrace.check_comparison(field, operator, member);
        if starts_with(field, 'document.') then
          select c.arguments, c.condition into arguments, inner_condition
          from millrace.compile_own(field, operator, member, parameter, arguments) c;
        else
          select c.arguments, c.condition into arguments, inner_condition
          from millrace.compile_metadata(field, operator, member, parameter, arguments) c;
        end if;
        parts := parts + 1;
        conditions := array_append(conditions, inner_condition);
      end loop;
    end if;
    if parts > parts_max then 
      perform millrace.refuse_filter(format('the filter has more than %s parts', parts_max),
        'many values of one field: {"field": {"in": ["a", "b"]}}');
    end if;
  end loop;
  condition := coalesce('(' || nullif(array_to_string(conditions, ' and '), '') || ')', 'true');
end $$;
comment on function millrace.compile_group(jsonb, text, integer, integer, jsonb) is
  'A filter in a filter, as part of the condition of millrace.compile_filter.';

-- The condition is two-valued and refers to p (millrace.published) and d (millrace.documents).
create function millrace.compile_filter(
  filter jsonb, parameter text default '$3', out condition text, out arguments jsonb
)
language plpgsql immutable as $$
declare
  bytes_max constant integer := 1048576;
begin
  if parameter !~ '^\$[1-9][0-9]?$' then
    perform millrace.refuse_filter('the parameter of a condition must be $1 to $99', 'the default is $3');
  end if;
  filter := coalesce(filter, '{}');
  if octet_length(filter::text) > bytes_max then
    perform millrace.refuse_filter(format('the filter is longer than %s bytes', bytes_max),
      'mark the documents you mean in their metadata');
  end if;
  select g.condition, g.arguments into condition, arguments
  from millrace.compile_group(filter, parameter, 1, 0, '[]') g;
end $$;
comment on function millrace.compile_filter(jsonb, text) is
  'A filter as a condition on p (millrace.published) and d (millrace.documents) that takes every name and value from '
  'one jsonb parameter, and that parameter. A wrong filter raises 22023. No text of the caller is in the condition.';

-- How a filtered search is best done. The index gives vectors in order of nearness and the filter drops most of them;
-- exact search begins with the documents that pass. The first is quick when many pass, the second when few do, and
-- only the second is right when what passes lies elsewhere than what is near.
--
-- Whoever searches a generation that has an index asks millrace.plan_of. With `documents`, exact search over them:
--   from unnest(documents) k (document_id) join published p … join chunks c … join vectors_<g> v …
--   order by (v.embedding <#> query) + 0 limit k                                -- "+ 0": not through the index
-- Without, through the index, in relaxed order (a strict one drops what is found late) and put in order outside:
--   set_config('hnsw.iterative_scan', 'relaxed_order', true), and hnsw.ef_search and hnsw.max_scan_tuples as planned;
--   with found as materialized (… where condition order by v.embedding <#> query limit k) … order by distance
-- When that gives fewer than k: exact search over millrace.passing(generation, condition, arguments, null).
-- A function that has SET clauses for these three gets them back when it ends.

-- Hashes are uniform, so the first chunks by hash are a sample.
create function millrace.filter_share(generation bigint, condition text, arguments jsonb) returns real
language plpgsql stable as $$
declare
  sample constant integer := 500;
  share real;
begin
  execute format($sql$
    select avg(case when %s then 1 else 0 end)
    from (
      select c.document_id, c.revision from millrace.chunks c where c.generation_id = %s order by c.text_hash limit %s
    ) c
    join millrace.published p on p.generation_id = %2$s and p.document_id = c.document_id and p.revision = c.revision
    left join millrace.documents d on d.id = p.document_id
  $sql$, condition, generation, sample)
  into share using null::text, null::text, arguments;
  return share;
end $$;
comment on function millrace.filter_share(bigint, text, jsonb) is
  'The share of a generation''s chunks that pass a condition of millrace.compile_filter (parameter $3), by a sample of '
  '500; null when the generation has none.';

create function millrace.passing(generation bigint, condition text, arguments jsonb, most bigint) returns bigint[]
language plpgsql stable as $$
declare
  found_ids bigint[];
begin
  execute format($sql$
    select array(
      select p.document_id
      from millrace.published p left join millrace.documents d on d.id = p.document_id
      where p.generation_id = %s and %s
      limit $1
    )
  $sql$, generation, condition)
  into found_ids using most + 1, null::text, arguments;
  return case when cardinality(found_ids) > most then null else found_ids end;
end $$;
comment on function millrace.passing(bigint, text, jsonb, bigint) is
  'The documents of a generation that pass a condition of millrace.compile_filter (parameter $3); null when they are '
  'more than `most`; all of them when `most` is null.';

-- Not stable only because Postgres wants it so for EXPLAIN.
create function millrace.passing_cost(generation bigint, condition text, arguments jsonb) returns double precision
language plpgsql volatile as $$
declare
  plan json;
begin
  execute format($sql$
    explain (format json)
    select p.document_id
    from millrace.published p left join millrace.documents d on d.id = p.document_id
    where p.generation_id = %s and %s
  $sql$, generation, condition)
  into plan using null::text, null::text, arguments;
  return plan -> 0 -> 'Plan' ->> 'Total Cost';
end $$;
comment on function millrace.passing_cost(bigint, text, jsonb) is
  'What Postgres thinks it costs to find the documents of millrace.passing, in its own units.';

-- Costs in milliseconds, measured at 100,000 vectors of 1,024 dims (npm run bench -- search/filtered); their ratios decide.
create function millrace.plan_of(
  generation bigint, k integer, condition text, arguments jsonb, ef integer default 40,
  out documents bigint[], out ef_search integer, out scan_tuples integer, out share real
)
language plpgsql stable as $$
declare
  ms_a_tuple constant double precision := 0.02;    -- of the index: a vector visited, its chunk and document looked up
  ms_a_vector constant double precision := 0.015;  -- of exact search: a chunk that passes, its vector read and compared
  ms_a_cost constant double precision := 0.008;    -- of Postgres's units of cost, for finding what passes
  -- The further down its list, the less does an index keep to the order: so many candidates for a hit that is wanted.
  candidates_a_hit constant integer := 4;
  ef_max constant integer := 1000;                 -- pgvector's
  tuples_max constant integer := 20000;            -- pgvector's default for hnsw.max_scan_tuples
  least_share constant double precision := 0.001;  -- what a sample of 500 without a hit is taken for
  rows_all double precision;
  scan_ms double precision;
  index_ms double precision;
  exact_ms double precision;
begin
  share := millrace.filter_share(generation, condition, arguments);
  select greatest(c.reltuples, 1) into rows_all
  from pg_class c where c.oid = to_regclass(format('millrace.%I', 'vectors_' || generation));
  scan_ms := ms_a_cost * millrace.passing_cost(generation, condition, arguments);
  index_ms := ms_a_tuple * least(tuples_max, candidates_a_hit * k / greatest(share, least_share));
  exact_ms := scan_ms + ms_a_vector * greatest(share, least_share) * rows_all;
  if exact_ms <= index_ms then
    documents := millrace.passing(generation, condition, arguments, ceil(2 * index_ms / ms_a_vector)::bigint);
    if documents is not null then return; end if;
  end if;
  ef_search := least(ef_max, greatest(ef, ceil(candidates_a_hit * k / greatest(share, least_share))));
  scan_tuples := least(tuples_max, greatest(ef_search, ceil(candidates_a_hit * (k + 5) / greatest(share, least_share))));
end $$;
comment on function millrace.plan_of(bigint, integer, text, jsonb, integer) is
  'How to search a generation that has an index with a filter. documents: exact search over these; null: through the '
  'index, with hnsw.ef_search and hnsw.max_scan_tuples so, and over all that pass when that gives fewer than k.';
