-- A filter that excludes what lies near a query. How many of all pass (millrace.filter_share) says nothing of how many of
-- the nearest do. A search through the index now says how many vectors it takes from the index, and when too few of them
-- pass, it takes more, and then searches exactly. Before, pgvector ended the scan (hnsw.max_scan_tuples) and gave what it had
-- come across, which was anything.

drop function millrace.nearest_sql(bigint, text, integer, text, boolean);
drop function millrace.plan_of(bigint, integer, text, jsonb, integer);

-- Vectors as the index gives them. `bounded`: the first $6 of them, whatever the filter lets through.
create function millrace.vectors_sql(generation bigint, storage text, dims integer, bounded boolean) returns text
language sql immutable parallel safe as $$
  select case
    when bounded then format(
      '(select v.text_hash, %s, %s as distance from millrace.vectors_%s v order by distance limit $6) v',
      i.columns, i.distance, generation)
    else format('millrace.vectors_%s v', generation)
  end
  from millrace.index_distance(storage, dims) i
$$;
comment on function millrace.vectors_sql(bigint, text, integer, boolean) is
  'The vectors of a generation to join to; bounded: the first $6 by the index, with their distance.';

-- $1 the query, $2 how many, $3 the filter''s arguments, $4 candidates that are looked at closely, $5 for a condition of
-- the caller''s own, $6 with `bounded`: how many vectors of the index are compared with the filter.
create function millrace.nearest_sql(
  generation bigint, storage text, dims integer, condition text, exact boolean, bounded boolean default false
) returns text
language plpgsql immutable as $$
declare
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
      select array_agg(s.doc), array_agg(s.ordinal), array_agg(s.hash), array_agg(s.score), null::bigint
      from (
        select n.doc, n.ordinal, n.hash, -(%4$s <#> $1) as score
        from passing n join millrace.vectors_%1$s v on v.text_hash = n.hash
        order by score desc, n.doc, n.ordinal
        limit $2
      ) s
    $sql$, generation, documents, condition, millrace.embedding_sql(storage, dims, 'v'));
  end if;
  select i.distance, i.columns into distance, columns from millrace.index_distance(storage, dims) i;
  return format($sql$
    select array_agg(s.doc), array_agg(s.ordinal), array_agg(s.hash), array_agg(s.score), max(s.passed)
    from (
      select n.doc, n.ordinal, n.hash, -(%1$s <#> $1) as score, count(*) over () as passed
      from (
        select c.document_id as doc, c.ordinal, v.text_hash as hash, %2$s
        from %3$s
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
  $sql$, millrace.embedding_sql(storage, dims, 'n'), columns,
    millrace.vectors_sql(generation, storage, dims, bounded), generation, documents, condition,
    case when bounded then 'v.distance' else distance end);
end $$;
comment on function millrace.nearest_sql(bigint, text, integer, text, boolean, boolean) is
  'The statement that finds the chunks nearest to a vector, as arrays: documents, ordinals, hashes, cosines; and how many '
  'candidates passed the filter, where it was through the index.';

create function millrace.nearest_hits_sql(
  generation bigint, storage text, dims integer, condition text, bounded boolean default false
) returns text
language sql immutable parallel safe as $$
  select format($sql$
    select array_agg((
        d.external_id, s.ordinal, s.title, s.text, s.metadata, s.start_at, s.end_at, s.headings, s.place,
        s.parent, null, null, greatest(-1, least(1, s.score)), null, null, s.hash, s.context, s.text
      )::millrace.hit order by s.score desc, d.external_id, s.ordinal), %7$s
    from (
      select n.*, -(%1$s <#> $1) as score%8$s
      from (
        select c.document_id as doc, c.ordinal, c.start_at, c.end_at, c.headings, c.place, c.parent, c.text, c.context,
          p.title, p.metadata, v.text_hash as hash, %2$s
        from %9$s
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
    condition, case when bounded then 'v.distance' else i.distance end,
    case when bounded then 'max(s.passed)' else 'null::bigint' end,
    case when bounded then ', count(*) over () as passed' else '' end,
    millrace.vectors_sql(generation, storage, dims, bounded))
  from millrace.index_distance(storage, dims) i
$$;
comment on function millrace.nearest_hits_sql(bigint, text, integer, text, boolean) is
  'The statement that finds the chunks nearest to a vector through the index, as one array of hits, best first; and how '
  'many candidates passed the filter, when it is bounded.';

-- Costs in milliseconds, measured at 100,000 vectors of 1,024 dims (npm run bench -- search/filtered); their ratios decide.
create function millrace.plan_of(
  generation bigint, k integer, candidates integer, condition text, arguments jsonb, ef integer default 40,
  out documents bigint[], out ef_search integer, out near bigint, out wide integer, out far bigint, out share real
)
language plpgsql stable as $$
declare
  ms_a_tuple constant double precision := 0.02;    -- of the index: a vector visited, its chunk and document looked up
  ms_a_vector constant double precision := 0.015;  -- of exact search: a chunk that passes, its vector read and compared
  ms_a_cost constant double precision := 0.008;    -- of Postgres's units of cost, for finding what passes
  -- The further down its list, the less does an index keep to the order: so many candidates for a hit that is wanted.
  candidates_a_hit constant integer := 4;
  ef_max constant integer := 1000;                 -- pgvector's
  far_max constant integer := 20000;
  least_share constant double precision := 0.001;  -- what a sample of 500 without a hit is taken for
  rows_all double precision;
  share_used double precision;
  scan_ms double precision;
  index_ms double precision;
  exact_ms double precision;
begin
  share := millrace.filter_share(generation, condition, arguments);
  share_used := greatest(share, least_share);
  select greatest(c.reltuples, 1) into rows_all
  from pg_class c where c.oid = to_regclass(format('millrace.%I', 'vectors_' || generation));
  wide := candidates_a_hit * candidates;
  scan_ms := ms_a_cost * millrace.passing_cost(generation, condition, arguments);
  index_ms := ms_a_tuple * least(far_max, wide / share_used);
  exact_ms := scan_ms + ms_a_vector * share_used * rows_all;
  if exact_ms <= index_ms then
    documents := millrace.passing(generation, condition, arguments, ceil(2 * index_ms / ms_a_vector)::bigint);
    if documents is not null then return; end if;
  end if;
  -- Of what it looks at, as many pass as it would look at without a filter: recall@10 at 50 % was 0.96 with less, and is 1 so.
  ef_search := least(ef_max, ceil(greatest(ef, wide) / share_used));
  -- The nearer half of what the index gives at once is in order. Where bits find candidates, order matters less.
  near := greatest(ef_search / 2, ceil(2 * candidates / share_used));
  if candidates = k and near > ef_search then near := null; end if;
  -- Twice as far as the sample promises, or for as long as half of an exact search takes, which comes after it.
  far := least(far_max, greatest(exact_ms / ms_a_tuple / 2, 2 * wide / share_used));
end $$;
comment on function millrace.plan_of(bigint, integer, integer, text, jsonb, integer) is
  'How to search a generation that has an index with a filter, for k hits of so many candidates. documents: exact search '
  'over these. Else through the index, with hnsw.ef_search so: the candidates that pass among the first `near` (null: not '
  'tried); where those are fewer, `wide` candidates among the first `far`; where those are fewer, exact search.';

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
set hnsw.scan_mem_multiplier = 16        -- of work_mem: a scan that it ends goes on with whatever it came across
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
  looks bigint[];    -- through the index: how many candidates, among the first how many (null: until there are so many)
  look bigint[];
  passed bigint;
  complete boolean;
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
        (options ->> 'candidates')::integer, (target.search ->> 'candidates')::integer,
        millrace.candidates_of(target.storage, wanted, texts::bigint)));
      -- What is looked at at once must hold what is wanted; 1,000 is pgvector's most.
      perform set_config('hnsw.ef_search', least(1000, greatest(ef, candidates))::text, true);
      looks := array[array[candidates, null]];
      if by_index and condition <> 'true' then
        plan := millrace.plan_of(target.generation, wanted, candidates, condition, arguments, ef);
        passing := plan.documents;
        by_index := passing is null;
        if by_index then
          looks := array[array[candidates, plan.near], array[plan.wide, plan.far]];
          perform set_config('hnsw.ef_search', plan.ef_search::text, true),
            set_config('hnsw.max_scan_tuples', '2147483647', true); -- the statements have their own bound
        end if;
      end if;
      complete := false;
      if by_index then
        foreach look slice 1 in array looks loop
          continue when condition <> 'true' and look[2] is null;
          if mode = 'dense' and not target.has_parents then
            execute millrace.nearest_hits_sql(target.generation, target.storage, target.dims, condition, look[2] is not null)
            into hits, passed using dense, wanted, arguments, look[1], passing, look[2];
            if coalesce(passed = look[1], cardinality(hits) = wanted) then
              -- What is not computed reaches no threshold.
              return query select h.* from unnest(hits) h
                where (cut is null or h.dense_score >= cut)
                  and thresholds ->> 'sparse' is null and thresholds ->> 'hybrid' is null;
              return;
            end if;
          else
            execute millrace.nearest_sql(
              target.generation, target.storage, target.dims, condition, false, look[2] is not null)
            into d_docs, d_ordinals, d_hashes, d_scores, passed
            using dense, wanted, arguments, look[1], passing, look[2];
            complete := coalesce(passed = look[1], array_length(d_docs, 1) = wanted, false);
            exit when complete;
          end if;
          perform set_config('hnsw.ef_search', '1000', true);
        end loop;
      end if;
      -- What passes lies elsewhere than what is near, or there is no index.
      if not complete then
        execute millrace.nearest_sql(target.generation, target.storage, target.dims,
          case when passing is null then condition else 'p.document_id = any ($5)' end, exact or target.indexed)
        into d_docs, d_ordinals, d_hashes, d_scores
        using dense, wanted, arguments, candidates, passing;
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
