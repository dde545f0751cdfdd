-- Sparse search: what a query's terms count, and which of them are looked up.

alter table millrace.generations
  add column terms_bytes bigint; -- size of terms_<id> when term_counts was made: when it has changed by a tenth, it is made anew

-- What a query's terms count in a generation, and which of them are looked up.
--
-- terms    how often the query has each term (bm25), or the model's weights (learned); of any dims
-- weights  what the stored weights are multiplied with; for bm25 each count times
--          idf = ln(1 + (N - n + 0.5) / (n + 0.5)): Robertson and Zaragoza, The Probabilistic Relevance Framework:
--          BM25 and Beyond (2009), 3.3, with the 1 that keeps it above 0 (Lucene, BM25Similarity.idf). The other
--          half of bm25 is in the stored weights (packages/flow/src/search/terms.ts).
-- picked   terms whose texts are candidates: the heaviest, as long as they are in 5,000 texts together, and more of
--          them while those before are in fewer than 1,000. A text with none of them can only have the query's
--          frequent terms.
-- bound    more than any text can score: bm25 divided by it is 0 to 1; 1 for learned weights
--
-- Candidates, best first, where there is a GIN index on terms:
--   select t.text_hash, -(t.weights <#> $weights) as score from millrace.terms_<g> t
--   where t.terms && $picked order by t.weights <#> $weights limit $n
-- A query of frequent words alone has the texts of its heaviest one, any number of them, so whoever must answer in time
-- takes the first so many. Without an index leave $picked out: the product alone takes half as long.
create function millrace.weigh_terms(
  generation bigint, terms sparsevec, out weights sparsevec, out picked integer[], out bound double precision
)
language plpgsql stable parallel safe
as $$
declare
  dims constant integer := 1000000000;
  budget constant bigint := 5000;
  enough constant bigint := 1000;
  few constant integer := 1000; -- counted exactly at every query; term_counts may lag behind
  k1 constant double precision := 1.2; -- that of the stored weights
  target record;
  ids integer[];
  given double precision[];
  total double precision;
  counts double precision[];
begin
  select g.lexical, g.terms_texts into target from millrace.generations g where g.id = generation;
  if target.lexical is null then
    raise exception 'generation % keeps no terms', generation
      using errcode = '22023', hint = 'outputs of its domain must include sparse';
  end if;
  -- As text, since a sparsevec has no other way to its elements: {index:value,...}/dims, indexes from 1.
  select array_agg(split_part(e, ':', 1)::integer - 1), array_agg(split_part(e, ':', 2)::double precision)
  into ids, given
  from string_to_table(nullif(substring(terms::text from '^\{(.*)\}/'), ''), ',') e;
  ids := coalesce(ids, '{}');

  if target.terms_texts >= few then
    total := target.terms_texts;
    -- Terms of one text are not kept.
    select array_agg(greatest(1, coalesce(c.texts, 1)) order by q.i) into counts
    from unnest(ids) with ordinality q (id, i)
    left join millrace.term_counts c on c.generation_id = generation and c.term = q.id;
  else
    execute format($sql$
      with texts as materialized (select t.weights from millrace.%I t limit %s)
      select greatest(1, (select count(*) from texts)), (
        select array_agg((select count(*) from texts x where x.weights <#> q.one < 0) order by q.i)
        from (
          select i, format('{%%s:1}/%s', id + 1)::sparsevec as one from unnest($1) with ordinality u (id, i)
        ) q
      )
    $sql$, 'terms_' || generation, few, dims)
    into total, counts using ids;
  end if;

  select
    format('{%s}/%s', string_agg(format('%s:%s', q.id + 1, q.weight::real), ',' order by q.id), dims)::sparsevec,
    coalesce(array_agg(q.id order by q.id) filter (where q.texts <= budget or q.texts - q.n < enough), '{}'),
    case target.lexical when 'bm25' then coalesce(sum(q.weight) * (k1 + 1), 1) else 1 end
  into weights, picked, bound
  from (
    select w.id, w.weight, w.n, sum(w.n) over heaviest as texts
    from (
      select u.id, u.n, case target.lexical
        when 'bm25' then u.given * ln(1 + (greatest(total, u.n) - u.n + 0.5) / (u.n + 0.5)) else u.given
      end as weight
      from unnest(ids, given, counts) u (id, given, n)
    ) w
    window heaviest as (order by w.weight desc, w.id rows unbounded preceding)
  ) q;
end $$;

comment on function millrace.weigh_terms(bigint, sparsevec) is
  'What a query''s terms count in a generation (idf applied for bm25), which of them are looked up, and the most a text can score';
