-- What people at a psql prompt and other programs call. Names and columns are a contract: docs/sql.md.

create schema millrace_domains;
comment on schema millrace_domains is 'One view a domain: document_id, chunk, title, text, metadata, embedding';

create function millrace.similarity(a vector, b vector) returns double precision
language sql immutable strict parallel safe as $$
  -- NaN sorts above every number: clamped it would be 1.
  select case when c.cosine = 'NaN' then c.cosine else greatest(-1, least(1, c.cosine)) end
  from (select 1 - (a <=> b) as cosine) c
$$;
comment on function millrace.similarity(vector, vector) is
  'Cosine of two vectors, -1 to 1. NaN when one of them is all zeros.';

-- The highest level whose "above" is strictly below the similarity; the last one has none.
create function millrace.level_of(levels jsonb, similarity double precision) returns jsonb
language sql immutable strict parallel safe as $$
  select l.level
  from jsonb_array_elements(levels) with ordinality as l (level, place)
  where l.level ->> 'above' is null or similarity > (l.level ->> 'above')::double precision
  order by l.place
  limit 1
$$;
comment on function millrace.level_of(jsonb, double precision) is
  'The level of a similarity, as {key, above, name: {zh, en}}; levels as in millrace.domains.levels.';

-- Equality on metadata and on the document's own fields. Anything else is refused rather than misread.
create function millrace.check_filter(filter jsonb) returns void
language plpgsql immutable as $$
declare field text; value jsonb;
begin
  if jsonb_typeof(filter) <> 'object' then
    raise exception 'the filter must be an object, it is: %', jsonb_typeof(filter)
      using errcode = '22023', hint = 'write {"field": value}';
  end if;
  for field, value in select * from jsonb_each(filter) loop
    if jsonb_typeof(value) in ('object', 'array') then
      raise exception 'the filter on "%" is an %; only equality with a text, number, boolean or null is known', field, jsonb_typeof(value)
        using errcode = '22023', hint = 'write {"' || field || '": value}';
    end if;
    if field like 'document.%' and field not in ('document.id', 'document.title', 'document.createdAt') then
      raise exception 'a document has no field "%"', field
        using errcode = '22023', hint = 'known: document.id, document.title, document.createdAt; fields of the metadata go by their own name';
    end if;
    if (field = 'document.id' and jsonb_typeof(value) <> 'string')
      or (field in ('document.title', 'document.createdAt') and jsonb_typeof(value) not in ('string', 'null')) then
      raise exception 'the filter on "%" is a %, a text is compared there', field, jsonb_typeof(value)
        using errcode = '22023', hint = 'write {"' || field || '": "text"}';
    end if;
    if field = 'document.createdAt' and jsonb_typeof(value) = 'string' then
      begin
        perform (value #>> '{}')::timestamptz;
      exception when others then
        raise exception 'the filter on "document.createdAt" is no date: %', value #>> '{}'
          using errcode = '22023', hint = 'write it as GET of a document shows it: 2026-01-31T12:00:00.000Z';
      end;
    end if;
  end loop;
end $$;

-- Everything known of a hit; millrace.search gives the part that is a contract.
create function millrace.find_chunks(
  domain text, query vector, k integer, threshold real, filter jsonb,
  out document_id text, out chunk integer, out title text, out text text, out similarity double precision,
  out level jsonb, out metadata jsonb, out start_at integer, out end_at integer
) returns setof record
language plpgsql stable
set hnsw.iterative_scan = 'strict_order' -- the index goes on until the filter has let k hits through
as $$
declare
  target record;
  least_similarity double precision;
  fields jsonb;
  conditions text := '';
begin
  select d.threshold, d.levels, g.id as generation, g.dims into target
  from millrace.domains d join millrace.generations g on g.domain_id = d.id and g.state = 'live'
  where d.name = find_chunks.domain;
  if not found then
    raise exception 'there is no domain "%"', domain
      using errcode = 'P0002', hint = 'select name from millrace.domains';
  end if;
  if query is null then
    raise exception 'the query vector is null'
      using errcode = '22023', hint = 'the statement that was to give it found no row';
  end if;
  if threshold is not null and not (threshold between -1 and 1) then -- NaN too: it sorts above 1
    raise exception 'the threshold is %, it must be -1 to 1', threshold
      using errcode = '22023', hint = 'null takes the domain''s, -1 cuts nothing';
  end if;
  if vector_dims(query) <> target.dims then
    raise exception 'the query has % dimensions, domain "%" has %', vector_dims(query), domain, target.dims
      using errcode = '22023', hint = 'embed the query with the model of the domain';
  end if;
  if vector_norm(query) = 0 then
    raise exception 'the query vector is all zeros' using errcode = '22023', hint = 'embed a text that is not blank';
  end if;
  if k not between 1 and 1000 or k is null then
    raise exception 'k is %, it must be 1 to 1000', k using errcode = '22023', hint = 'ask for fewer hits';
  end if;
  filter := coalesce(filter, '{}');
  perform millrace.check_filter(filter);
  least_similarity := coalesce(threshold, target.threshold, -1)::double precision;

  fields := filter - '{document.id,document.title,document.createdAt}'::text[];
  if fields <> '{}' then conditions := conditions || ' and p.metadata @> $3'; end if;
  if filter ? 'document.id' then conditions := conditions || ' and d.external_id = $4 ->> ''document.id'''; end if;
  if filter ? 'document.title' then
    conditions := conditions || ' and p.title is not distinct from $4 ->> ''document.title''';
  end if;
  if filter ? 'document.createdAt' then
    conditions := conditions || ' and d.created_at = ($4 ->> ''document.createdAt'')::timestamptz(3)';
  end if;

  -- The threshold stays outside: inside, a domain where little is near would scan its whole index.
  return query execute format($sql$
    select h.external_id, h.ordinal, h.title, h.text, h.similarity, millrace.level_of($5, h.similarity),
      h.metadata, h.start_at, h.end_at
    from (
      select d.external_id, c.ordinal, p.title, c.text, p.metadata, c.start_at, c.end_at,
        greatest(-1, least(1, -(v.embedding <#> $1))) as similarity
      from millrace.%I v
      join millrace.chunks c on c.generation_id = %s and c.text_hash = v.text_hash
      join millrace.published p on p.generation_id = %s and p.document_id = c.document_id and p.revision = c.revision
      join millrace.documents d on d.id = c.document_id
      where true %s
      order by v.embedding <#> $1
      limit $2
    ) h
    where h.similarity >= $6
    order by h.similarity desc, h.external_id, h.ordinal
  $sql$, 'vectors_' || target.generation, target.generation, target.generation, conditions)
  using l2_normalize(query), k, fields, filter, target.levels, least_similarity;
end $$;

create function millrace.search(
  domain text, query vector, k integer, threshold real default null, filter jsonb default '{}'
) returns table (
  document_id text, chunk integer, title text, text text, similarity double precision, level text, metadata jsonb
)
language sql stable as $$
  select f.document_id, f.chunk, f.title, f.text, f.similarity,
    coalesce(f.level -> 'name' ->> current_setting('millrace.language', true), f.level -> 'name' ->> 'zh'),
    f.metadata
  from millrace.find_chunks(domain, query, k, threshold, filter) f
$$;
comment on function millrace.search(text, vector, integer, real, jsonb) is
  'The k chunks of a domain nearest to a query vector by cosine, best first. threshold: least similarity; null: '
  'the domain''s, -1: none. filter: {"field": value}, equality on metadata, and document.id, document.title, '
  'document.createdAt. level in the language of the setting millrace.language (zh or en; zh when not set).';
