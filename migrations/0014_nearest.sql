-- A search by meaning alone through the index is one statement: what it finds is joined to what is shown of it at once,
-- where find_hits planned and ran a second statement for that. Searches of other kinds are as they were.

create type millrace.hit as (
  document_id text, chunk integer, title text, text text, metadata jsonb,
  start_at integer, end_at integer, headings text[], place jsonb,
  parent integer, parent_start integer, parent_end integer,
  dense_score double precision, sparse_score double precision, hybrid_score double precision,
  text_hash bytea, context text, chunk_text text
);
comment on type millrace.hit is 'What millrace.find_hits knows of a hit.';

-- The expression that an index of vectors is made on, as a distance to $1, and the columns that it and scores need.
create function millrace.index_distance(storage text, dims integer, out distance text, out columns text)
language sql immutable parallel safe as $$
  select case
      when storage in ('sq8', 'sq4', 'binary')
        then format('v.bits <~> millrace.search_bits($1)::bit(%s)', millrace.bits_of(dims))
      when storage = 'half' then format('v.embedding <#> $1::halfvec(%s)', dims)
      when dims > 2000 and dims <= 4000 then format('v.embedding::halfvec(%1$s) <#> $1::halfvec(%1$s)', dims)
      else 'v.embedding <#> $1'
    end,
    case storage when 'sq8' then 'v.codes' when 'sq4' then 'v.codes, v.outliers' else 'v.embedding' end
$$;
comment on function millrace.index_distance(text, integer) is
  'How far a row v of a table of vectors is from $1, as its index has it, and the columns that the cosine needs.';

create or replace function millrace.nearest_sql(
  generation bigint, storage text, dims integer, condition text, exact boolean
) returns text
language plpgsql immutable as $$
declare
  vectors text := format('millrace.vectors_%s', generation);
  documents text := case when condition ~ '\md\.' then 'join millrace.documents d on d.id = c.document_id' else '' end;
  distance text;
  columns text;
begin
  if exact then
    -- From the filter to the vectors: a scan of what passes, and no index that could end before it has found enough.
    return format($sql$
      with passing as materialized (
        select c.document_id as doc, c.ordinal, c.text_hash as hash
        from millrace.published p
        join millrace.chunks c
          on c.generation_id = %1$s and c.document_id = p.document_id and c.revision = p.revision
        %2$s
        where p.generation_id = %1$s and %3$s
      )
      select array_agg(s.doc), array_agg(s.ordinal), array_agg(s.hash), array_agg(s.score)
      from (
        select n.doc, n.ordinal, n.hash, -(%4$s <#> $1) as score
        from passing n join %5$s v on v.text_hash = n.hash
        order by score desc, n.doc, n.ordinal
        limit $2
      ) s
    $sql$, generation, documents, condition, millrace.embedding_sql(storage, dims, 'v'), vectors);
  end if;
  select i.distance, i.columns into distance, columns from millrace.index_distance(storage, dims) i;
  return format($sql$
    select array_agg(s.doc), array_agg(s.ordinal), array_agg(s.hash), array_agg(s.score)
    from (
      select n.doc, n.ordinal, n.hash, -(%1$s <#> $1) as score
      from (
        select c.document_id as doc, c.ordinal, v.text_hash as hash, %2$s
        from %3$s v
        join millrace.chunks c on c.generation_id = %4$s and c.text_hash = v.text_hash
        join millrace.published p
          on p.generation_id = %4$s and p.document_id = c.document_id and p.revision = c.revision
        %5$s
        where %6$s
        order by %7$s
        limit $4
      ) n
      order by score desc, n.doc, n.ordinal
      limit $2
    ) s
  $sql$, millrace.embedding_sql(storage, dims, 'n'), columns, vectors, generation, documents, condition, distance);
end $$;

-- The same through the index, with all that is known of each: $1 to $4 as in millrace.nearest_sql.
create function millrace.nearest_hits_sql(generation bigint, storage text, dims integer, condition text) returns text
language sql immutable parallel safe as $$
  select format($sql$
    select array_agg((
        d.external_id, s.ordinal, s.title, s.text, s.metadata, s.start_at, s.end_at, s.headings, s.place,
        s.parent, null, null, greatest(-1, least(1, s.score)), null, null, s.hash, s.context, s.text
      )::millrace.hit order by s.score desc, d.external_id, s.ordinal)
    from (
      select n.*, -(%1$s <#> $1) as score
      from (
        select c.document_id as doc, c.ordinal, c.start_at, c.end_at, c.headings, c.place, c.parent, c.text, c.context,
          p.title, p.metadata, v.text_hash as hash, %2$s
        from millrace.vectors_%3$s v
        join millrace.chunks c on c.generation_id = %3$s and c.text_hash = v.text_hash
        join millrace.published p
          on p.generation_id = %3$s and p.document_id = c.document_id and p.revision = c.revision
        %4$s
        where %5$s
        order by %6$s
        limit $4
      ) n
      order by score desc, n.doc, n.ordinal
      limit $2
    ) s
    join millrace.documents d on d.id = s.doc
  $sql$,
    millrace.embedding_sql(storage, dims, 'n'), i.columns, generation,
    case when condition ~ '\md\.' then 'join millrace.documents d on d.id = c.document_id' else '' end,
    condition, i.distance)
  from millrace.index_distance(storage, dims) i
$$;
comment on function millrace.nearest_hits_sql(bigint, text, integer, text) is
  'The statement that finds the chunks nearest to a vector through the index, as one array of hits, best first.';

create or replace function millrace.find_hits(
  domain text, dense vector, terms sparsevec, k integer, options jsonb default '{}',
  out document_id text, out chunk integer, out title text, out text text, out metadata jsonb,
  out start_at integer, out end_at integer, out headings text[], out place jsonb,
  out parent integer, out parent_start integer, out parent_end integer,
  out dense_score double precision, out sparse_score double precision, out hybrid_score double precision,
  out text_hash bytea, out context text, out chunk_text text
) returns setof record
language plpgsql stable
-- The index goes on until the filter has let enough through. A strict order would drop what it finds late.
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 200                 -- what set_config sets below ends with the function
set hnsw.max_scan_tuples = 20000
set jit = off                            -- it takes longer than the scans that it is for
as $$
declare
  target record;
  mode text := coalesce(options ->> 'mode', 'dense');
  exact boolean := coalesce((options ->> 'exact')::boolean, false);
  fusion jsonb := options -> 'fusion';
  thresholds jsonb := coalesce(options -> 'thresholds', '{}');
  condition text;
  arguments jsonb;
  weights sparsevec;
  picked integer[];
  all_terms integer[];
  bound double precision;
  wanted integer;
  texts double precision;
  by_index boolean;
  plan record;
  ef integer;
  candidates integer;
  passing bigint[];  -- the documents, where exact search over them is best
  hits millrace.hit[];
  d_docs bigint[]; d_ordinals integer[]; d_hashes bytea[]; d_scores double precision[];
  s_docs bigint[]; s_ordinals integer[]; s_hashes bytea[]; s_scores double precision[];
  parents integer;
  least_found double precision;
  cut double precision;
begin
  target := millrace.search_target(domain);
  if mode not in ('dense', 'sparse', 'hybrid') then
    raise exception 'the mode is "%"', mode using errcode = '22023', hint = 'dense, sparse or hybrid';
  end if;
  if mode <> 'sparse' then
    if dense is null then
      raise exception 'the query vector is null'
        using errcode = '22023', hint = 'the statement that was to give it found no row';
    end if;
    if vector_dims(dense) <> target.dims then
      raise exception 'the query has % dimensions, domain "%" has %', vector_dims(dense), domain, target.dims
        using errcode = '22023', hint = 'embed the query with the model of the domain';
    end if;
    if vector_norm(dense) = 0 then
      raise exception 'the query vector is all zeros' using errcode = '22023', hint = 'embed a text that is not blank';
    end if;
    dense := l2_normalize(dense);
  end if;
  if mode <> 'dense' then
    if target.lexical is null then
      raise exception 'domain "%" keeps no terms of its texts: mode % needs them', domain, mode
        using errcode = '22023', hint = 'search with mode dense, or make a domain with the output sparse';
    end if;
    if terms is null then
      raise exception 'the terms of the query are null'
        using errcode = '22023', hint = 'POST /v1/embed gives them, as sql.terms';
    end if;
  end if;
  if k not between 1 and 1000 or k is null then
    raise exception 'k is %, it must be 1 to 1000', k using errcode = '22023', hint = 'ask for fewer hits';
  end if;
  -- What is not said is the domain's; said to be null, there is no cut.
  if not thresholds ? mode then
    thresholds := thresholds || jsonb_build_object(mode, (
      select b.threshold from millrace.bands b
      where b.domain_id = target.domain_id and b.score = mode and b.recipe = target.recipe
    ));
  end if;
  cut := thresholds ->> mode;
  if (thresholds ->> 'dense')::double precision not between -1 and 1 then -- NaN too: it sorts above 1
    raise exception 'the threshold is %, it must be -1 to 1', thresholds ->> 'dense'
      using errcode = '22023', hint = 'null takes the domain''s, -1 cuts nothing';
  end if;
  if mode <> 'hybrid' then
    fusion := null;
  elsif fusion is null then
    fusion := millrace.fusion_of(target.search ->> 'fusion', target.lexical);
  end if;
  select f.condition, f.arguments into condition, arguments
  from millrace.compile_filter(coalesce(options -> 'filter', '{}'), '$3') f;

  if mode <> 'sparse' then
    -- As of the last vacuum or analyze; below 0 there was none.
    select nullif(greatest(c.reltuples, 0), 0) into texts
    from pg_class c where c.oid = format('millrace.vectors_%s', target.generation)::regclass;
    by_index := target.indexed and not exact;
    ef := coalesce((options ->> 'efSearch')::integer, (target.search ->> 'efSearch')::integer, 200);
  end if;
  if mode <> 'dense' then
    select w.weights, w.picked, w.bound into weights, picked, bound
    from millrace.weigh_terms(target.generation, terms) w;
  end if;

  wanted := case mode when 'hybrid' then least(1000, greatest(k, coalesce((options ->> 'candidates')::integer, 4 * k, 100), 100)) else k end;
  if target.has_parents then wanted := wanted * 4; end if;
  loop
    if mode <> 'sparse' then
      candidates := greatest(wanted, coalesce(
        (options ->> 'candidates')::integer, millrace.candidates_of(target.storage, wanted, texts::bigint)));
      -- What is looked at at once must hold what is wanted; 1,000 is pgvector's most.
      perform set_config('hnsw.ef_search', least(1000, greatest(ef, candidates))::text, true);
      if by_index and condition <> 'true' then
        plan := millrace.plan_of(target.generation, candidates, condition, arguments, ef);
        passing := plan.documents;
        by_index := passing is null;
        if by_index then
          perform set_config('hnsw.ef_search', plan.ef_search::text, true),
            set_config('hnsw.max_scan_tuples', plan.scan_tuples::text, true);
        end if;
      end if;
      if by_index and mode = 'dense' and not target.has_parents then
        execute millrace.nearest_hits_sql(target.generation, target.storage, target.dims, condition)
        into hits using dense, wanted, arguments, candidates;
        if cardinality(hits) = wanted then
          -- What is not computed reaches no threshold.
          return query select h.* from unnest(hits) h
            where (cut is null or h.dense_score >= cut)
              and thresholds ->> 'sparse' is null and thresholds ->> 'hybrid' is null;
          return;
        end if;
      end if;
      execute millrace.nearest_sql(target.generation, target.storage, target.dims,
        case when passing is null then condition else 'p.document_id = any ($5)' end,
        exact or (target.indexed and not by_index))
      into d_docs, d_ordinals, d_hashes, d_scores
      using dense, wanted, arguments, candidates, passing;
      -- The index may end before it has found enough: it looks at a limited number of rows.
      if by_index and coalesce(array_length(d_docs, 1), 0) < wanted then
        execute millrace.nearest_sql(target.generation, target.storage, target.dims, condition, true)
        into d_docs, d_ordinals, d_hashes, d_scores
        using dense, wanted, arguments, wanted;
      end if;
    end if;
    if mode <> 'dense' then
      execute millrace.lexical_sql(target.generation, condition, true)
      into s_docs, s_ordinals, s_hashes, s_scores
      using weights, wanted, arguments, picked;
      -- Few texts have the rarest terms, and more may have the others.
      if coalesce(array_length(s_docs, 1), 0) < wanted then
        all_terms := millrace.term_ids(weights);
        if array_length(all_terms, 1) > array_length(picked, 1) then
          execute millrace.lexical_sql(target.generation, condition, false)
          into s_docs, s_ordinals, s_hashes, s_scores
          using weights, wanted, arguments, all_terms;
        end if;
      end if;
    end if;
    exit when not target.has_parents
      or coalesce(array_length(d_docs, 1), 0) < wanted and coalesce(array_length(s_docs, 1), 0) < wanted
      or wanted > 100000000;
    select count(distinct (u.doc, c.parent)) into parents
    from unnest(coalesce(d_docs, '{}') || coalesce(s_docs, '{}'), coalesce(d_ordinals, '{}') || coalesce(s_ordinals, '{}')) u (doc, ordinal)
    join millrace.published p on p.generation_id = target.generation and p.document_id = u.doc
    join millrace.chunks c
      on c.document_id = u.doc and c.generation_id = target.generation and c.revision = p.revision and c.ordinal = u.ordinal;
    least_found := case mode when 'dense' then d_scores[array_length(d_scores, 1)]
      when 'sparse' then s_scores[array_length(s_scores, 1)] / bound end;
    exit when parents >= k or least_found < cut;
    wanted := wanted * 4;
  end loop;

  return query execute format($sql$
    with a as (
      select * from unnest($1::bigint[], $2::integer[], $3::bytea[], $4::double precision[])
        with ordinality as a (doc, ordinal, hash, score, place)
    ), b as (
      select * from unnest($5::bigint[], $6::integer[], $7::bytea[], $8::double precision[])
        with ordinality as b (doc, ordinal, hash, score, place)
    ), u as (
      select coalesce(a.doc, b.doc) as doc, coalesce(a.ordinal, b.ordinal) as ordinal, coalesce(a.hash, b.hash) as hash,
        a.place as dense_place, b.place as sparse_place,
        %1$s as dense, (%2$s) / $10 as sparse
      from a full join b on b.doc = a.doc and b.ordinal = a.ordinal
    ), scored as (
      select u.*, case $11
          when 'rrf' then
            (coalesce(1 / ($12 + u.dense_place), 0) + coalesce(1 / ($12 + u.sparse_place), 0)) * ($12 + 1) / 2
          when 'weighted' then ($13 * coalesce(u.dense, 0) + $14 * coalesce(u.sparse, 0)) / ($13 + $14)
        end as hybrid
      from u
    ), ranked as (
      select s.*, case $15 when 'dense' then s.dense when 'sparse' then s.sparse else s.hybrid end as rank_score
      from scored s
    ), kept as (
      select r.*, c.revision, c.parent, c.start_at, c.end_at, c.headings, c.place, c.text, c.context,
        p.title, p.metadata, d.external_id
      from ranked r
      join millrace.published p on p.generation_id = %3$s and p.document_id = r.doc
      join millrace.chunks c
        on c.document_id = r.doc and c.generation_id = %3$s and c.revision = p.revision and c.ordinal = r.ordinal
      join millrace.documents d on d.id = r.doc
      where ($16::double precision is null or r.dense >= $16)
        and ($17::double precision is null or r.sparse >= $17)
        and ($18::double precision is null or r.hybrid >= $18)
    ), best as (
      %4$s
    )
    select b.external_id, b.ordinal, b.title, %5$s, b.metadata, %6$s, b.parent, %7$s,
      b.dense, b.sparse, b.hybrid, b.hash, b.context, b.text
    from best b
    %8$s
    order by b.rank_score desc, b.external_id, b.ordinal
    limit $19
  $sql$,
    case when mode = 'sparse' then 'null::double precision' when mode = 'dense' then 'greatest(-1, least(1, a.score))' else format(
      'greatest(-1, least(1, coalesce(a.score, (select -(%s <#> $20) from millrace.vectors_%s v where v.text_hash = b.hash))))',
      millrace.embedding_sql(target.storage, target.dims, 'v'), target.generation) end,
    case when mode = 'dense' then 'null::double precision' when mode = 'sparse' then 'b.score' else format(
      'coalesce(b.score, (select -(t.weights <#> $9) from millrace.terms_%s t where t.text_hash = a.hash))',
      target.generation) end,
    target.generation,
    case when target.has_parents
      then 'select distinct on (k.doc, k.parent) k.* from kept k order by k.doc, k.parent, k.rank_score desc, k.ordinal'
      else 'select k.* from kept k' end,
    case when target.has_parents then 'coalesce(r.text, b.text)' else 'b.text' end,
    case when target.has_parents
      then 'coalesce(r.start_at, b.start_at), coalesce(r.end_at, b.end_at), coalesce(r.headings, b.headings), coalesce(r.place, b.place)'
      else 'b.start_at, b.end_at, b.headings, b.place' end,
    case when target.has_parents then 'r.start_at, r.end_at' else 'null::integer, null::integer' end,
    case when target.has_parents then format(
      'left join millrace.parents r on r.document_id = b.doc and r.generation_id = %s and r.revision = b.revision and r.ordinal = b.parent',
      target.generation) else '' end
  )
  using d_docs, d_ordinals, d_hashes, d_scores, s_docs, s_ordinals, s_hashes, s_scores, weights, coalesce(bound, 1),
    fusion ->> 'method', coalesce((fusion ->> 'k')::double precision, 60),
    (fusion ->> 'dense')::double precision, (fusion ->> 'sparse')::double precision, mode,
    (thresholds ->> 'dense')::double precision, (thresholds ->> 'sparse')::double precision,
    (thresholds ->> 'hybrid')::double precision, k, dense;
end $$;
