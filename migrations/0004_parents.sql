-- Hits say where they stand: headings, page, sheet or slide. Where chunks lie in parents, the parents are the hits.

drop function millrace.find_chunks(text, vector, integer, real, jsonb);

-- Everything known of a hit; millrace.search gives the part that is a contract. With chunking of kind parent a hit is a
-- parent, once: text and span are its own, similarity and chunk those of its best child.
create function millrace.find_chunks(
  domain text, query vector, k integer, threshold real, filter jsonb,
  out document_id text, out chunk integer, out title text, out text text, out similarity double precision,
  out level jsonb, out metadata jsonb, out start_at integer, out end_at integer,
  out headings text[], out place jsonb, out parent integer, out parent_start integer, out parent_end integer
) returns setof record
language plpgsql stable
set hnsw.iterative_scan = 'strict_order' -- the index goes on until the filter has let k hits through
as $$
declare
  target record;
  least_similarity double precision;
  fields jsonb;
  conditions text := '';
  nearest text;
  seen integer;
  parents integer;
  least double precision;
  wanted integer := k;
begin
  select d.threshold, d.levels, g.id as generation, g.dims,
    coalesce(g.recipe -> 'chunking' ->> 'kind' = 'parent', false) as has_parents
  into target
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

  nearest := format($sql$
    select d.external_id, d.id, c.revision, c.ordinal, p.title, c.text, p.metadata, c.start_at, c.end_at,
      c.headings, c.place, c.parent, greatest(-1, least(1, -(v.embedding <#> $1))) as similarity
    from millrace.%I v
    join millrace.chunks c on c.generation_id = %s and c.text_hash = v.text_hash
    join millrace.published p on p.generation_id = %s and p.document_id = c.document_id and p.revision = c.revision
    join millrace.documents d on d.id = c.document_id
    where true %s
    order by v.embedding <#> $1
    limit $2
  $sql$, 'vectors_' || target.generation, target.generation, target.generation, conditions);

  -- The threshold stays outside: inside, a domain where little is near would scan its whole index.
  if not target.has_parents then
    return query execute format($sql$
      select h.external_id, h.ordinal, h.title, h.text, h.similarity, millrace.level_of($5, h.similarity),
        h.metadata, h.start_at, h.end_at, h.headings, h.place, null::integer, null::integer, null::integer
      from (%s) h
      where h.similarity >= $6
      order by h.similarity desc, h.external_id, h.ordinal
    $sql$, nearest)
    using l2_normalize(query), k, fields, filter, target.levels, least_similarity;
    return;
  end if;

  -- Several of the nearest may lie in one parent: look further until k parents are found or nothing is left.
  loop
    wanted := wanted * 4;
    execute format($sql$
      select count(*), count(distinct (h.id, h.parent)), min(h.similarity) from (%s) h
    $sql$, nearest)
    into seen, parents, least
    using l2_normalize(query), wanted, fields, filter;
    exit when parents >= k or seen < wanted or least < least_similarity or wanted > 100000000;
  end loop;
  return query execute format($sql$
    select b.external_id, b.ordinal, b.title, coalesce(r.text, b.text), b.similarity,
      millrace.level_of($5, b.similarity), b.metadata, coalesce(r.start_at, b.start_at),
      coalesce(r.end_at, b.end_at), coalesce(r.headings, b.headings), coalesce(r.place, b.place), b.parent,
      r.start_at, r.end_at
    from (
      select distinct on (h.id, h.parent) h.*
      from (%s) h
      where h.similarity >= $6
      order by h.id, h.parent, h.similarity desc, h.ordinal
    ) b
    left join millrace.parents r
      on r.document_id = b.id and r.generation_id = %s and r.revision = b.revision and r.ordinal = b.parent
    order by b.similarity desc, b.external_id, b.ordinal
    limit $7
  $sql$, nearest, target.generation)
  using l2_normalize(query), wanted, fields, filter, target.levels, least_similarity, k;
end $$;
