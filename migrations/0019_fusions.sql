-- A threshold of hybrid belongs to a fusion too: other weights make other scores. Its band's recipe is the recipe's hash, a
-- blank, and the fusion as JSON. A domain's fusion may be weights instead of a name.

create or replace function millrace.fusion_of(preset text, lexical text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
  presets constant jsonb := '{
    "rrf": {"method": "rrf", "k": 60},
    "m3-miracl": {"method": "weighted", "dense": 1, "sparse": 0.3},
    "m3-mldr": {"method": "weighted", "dense": 0.2, "sparse": 0.8},
    "bm25": {"method": "weighted", "dense": 0.4, "sparse": 0.6}
  }';
  fusion jsonb := case when preset like '{%' then preset::jsonb
    else presets -> coalesce(preset, case lexical when 'learned' then 'm3-miracl' else 'bm25' end) end;
begin
  if fusion is null or (fusion ->> 'colbert')::double precision > 0 then
    raise exception 'there is no fusion "%" in SQL', preset
      using errcode = '22023', hint = 'rrf, m3-miracl, m3-mldr or bm25; those with colbert are for HTTP, which has the model';
  end if;
  return fusion - 'colbert';
end $$;
comment on function millrace.fusion_of(text, text) is
  'The fusion with a name, {method, k} or {method, dense, sparse}; the same as JSON is taken as it is. null: the usual '
  'one, for weights that the model learned or for bm25.';

-- What was set until now was set while the domain had the fusion that it has.
update millrace.bands b
set recipe = b.recipe || ' ' || case
  when f.fusion ->> 'method' = 'rrf' then format('{"method":"rrf","k":%s}', f.fusion ->> 'k')
  else format('{"method":"weighted","dense":%s,"sparse":%s%s}', f.fusion ->> 'dense', f.fusion ->> 'sparse',
    coalesce(',"colbert":' || (f.fusion ->> 'colbert'), ''))
end
from millrace.domains d
join millrace.generations g on g.domain_id = d.id and g.state = 'live'
cross join lateral (
  select case d.search ->> 'fusion'
    when 'm3-mldr-all' then '{"method": "weighted", "dense": 0.15, "sparse": 0.5, "colbert": 0.35}'::jsonb
    when 'm3-pairs' then '{"method": "weighted", "dense": 0.4, "sparse": 0.2, "colbert": 0.4}'::jsonb
    else millrace.fusion_of(d.search ->> 'fusion', g.lexical)
  end as fusion
) f
where b.domain_id = d.id and b.score = 'hybrid';

create function millrace.hybrid_band(domain text, fusion jsonb, out threshold double precision, out levels jsonb)
language sql stable as $$
  select b.threshold::text::double precision, b.levels
  from millrace.domains d
  join millrace.generations g on g.domain_id = d.id and g.state = 'live'
  join millrace.bands b on b.domain_id = d.id and b.score = 'hybrid'
  where d.name = hybrid_band.domain
    and case when b.recipe like g.recipe_hash || ' {%' then substr(b.recipe, length(g.recipe_hash) + 2)::jsonb end
      = hybrid_band.fusion
$$;
comment on function millrace.hybrid_band(text, jsonb) is
  'The threshold and levels that a domain has for hybrid with a fusion, as millrace.fusion_of gives it; nulls: none.';

create or replace function millrace.level_name(domain text, score text, value double precision) returns text
language sql stable as $$
  select coalesce(l.level -> 'name' ->> current_setting('millrace.language', true), l.level -> 'name' ->> 'zh')
  from millrace.domains d
  join millrace.generations g on g.domain_id = d.id and g.state = 'live'
  cross join lateral (
    select b.levels from millrace.bands b
    where b.domain_id = d.id and b.score = level_name.score and b.recipe = g.recipe_hash and level_name.score <> 'hybrid'
    union all
    select h.levels from millrace.hybrid_band(d.name, millrace.fusion_of(d.search ->> 'fusion', g.lexical)) h
    where level_name.score = 'hybrid'
  ) b
  cross join millrace.level_of(b.levels, value) l (level)
  where d.name = level_name.domain
$$;

create or replace function millrace.hybrid_search(
  domain text, query vector, terms sparsevec, k integer, fusion text default null, threshold real default null,
  filter jsonb default '{}'
) returns table (
  document_id text, chunk integer, title text, text text, score double precision, similarity double precision,
  sparse double precision, level text, metadata jsonb
)
language sql stable as $$
  select f.document_id, f.chunk, f.title, f.text, f.hybrid_score, f.dense_score, f.sparse_score,
    millrace.level_name(domain, 'dense', f.dense_score), f.metadata
  from (
    select millrace.fusion_of(coalesce(hybrid_search.fusion, t.search ->> 'fusion'), t.lexical) as weights
    from millrace.search_target(hybrid_search.domain) t
  ) w
  cross join lateral millrace.find_hits(domain, query, terms, k, jsonb_build_object(
    'mode', 'hybrid', 'filter', coalesce(filter, '{}'), 'fusion', w.weights, 'thresholds', jsonb_build_object(
      'hybrid', coalesce(to_jsonb(hybrid_search.threshold), (
        select to_jsonb(b.threshold) from millrace.hybrid_band(hybrid_search.domain, w.weights) b)))
  )) f
$$;
comment on function millrace.hybrid_search(text, vector, sparsevec, integer, text, real, jsonb) is
  'The k chunks of a domain that are best by meaning and words together, best first. query and terms: as POST /v1/embed '
  'gives them. fusion: the name of a preset (docs/retrieval.md); null: the domain''s. threshold: least score; null: the '
  'domain''s for hybrid with that fusion. similarity is the cosine, level that of the similarity.';
