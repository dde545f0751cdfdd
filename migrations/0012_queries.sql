-- What was asked: only kept when QUERY_LOG says so. And why a document is not among the hits.

create table millrace.queries (
  id            bigint generated always as identity primary key,
  domain_id     bigint not null references millrace.domains on delete cascade,
  at            timestamptz(3) not null,
  query         text,                       -- cleaned, its beginning; null: it was a vector, or only its hash is kept
  query_hash    bytea not null,             -- HMAC of all of it with the secret "queries"
  k             integer not null,
  threshold     real,                       -- in force for the score it was ranked by; null: no cut
  mode          text not null,
  filter_fields text[] not null default '{}', -- names only: values may be about a person
  hits          integer not null,
  ranked_by     text not null,
  top_score     real,                       -- null: no hits
  top_level     text,                       -- key of the first hit's level
  embed_ms      real not null,
  search_ms     real not null,
  total_ms      real not null
);
create index queries_domain on millrace.queries (domain_id, id);
create index queries_at on millrace.queries (at);
comment on table millrace.queries is
  'Queries that were asked, when QUERY_LOG is hash or text. Texts are personal data: docs/queries.md.';

-- Of this installation. Whoever may read other tables need not be able to read this one.
create table millrace.secrets (
  name  text primary key,
  value bytea not null
);
revoke all on millrace.secrets from public;

-- Whether a document, as it is published, passes each of a list of filters.
create function millrace.judge_filters(generation bigint, document bigint, filters jsonb) returns boolean[]
language plpgsql stable as $$
declare
  filter jsonb;
  compiled record;
  passes boolean;
  answers boolean[] := '{}';
begin
  for filter in select * from jsonb_array_elements(filters) loop
    select c.condition, c.arguments into compiled from millrace.compile_filter(filter, '$3') c;
    execute format($sql$
      select exists (
        select from millrace.published p join millrace.documents d on d.id = p.document_id
        where p.generation_id = $1 and p.document_id = $2 and %s
      )
    $sql$, compiled.condition)
    into passes using generation, document, compiled.arguments;
    answers := array_append(answers, passes);
  end loop;
  return answers;
end $$;
comment on function millrace.judge_filters(bigint, bigint, jsonb) is
  'Whether a document, as it is published, passes each of a list of filters.';

-- What the chunks of a document score, from what is stored: no index has a part in it. Kinds that the query has nothing
-- for are null.
create function millrace.document_scores(
  domain text, document bigint, dense vector, terms sparsevec,
  out chunk integer, out text text, out dense_score double precision, out sparse_score double precision
) returns setof record
language plpgsql stable as $$
declare
  target record;
  weighed record;
begin
  target := millrace.search_target(domain);
  if terms is not null then
    select w.weights, w.bound into weighed from millrace.weigh_terms(target.generation, terms) w;
  else
    select null::sparsevec as weights, 1::double precision as bound into weighed;
  end if;
  return query execute format($sql$
    select c.ordinal, c.text, greatest(-1, least(1, -(%1$s <#> $3))), %2$s
    from millrace.published p
    join millrace.chunks c
      on c.generation_id = p.generation_id and c.document_id = p.document_id and c.revision = p.revision
    join millrace.vectors_%3$s v on v.text_hash = c.text_hash
    where p.generation_id = $1 and p.document_id = $2
    order by 3 desc nulls last, 4 desc nulls last, 1
  $sql$,
    millrace.embedding_sql(target.storage, target.dims, 'v'),
    case when terms is null then 'null::double precision' else format(
      'coalesce((select -(t.weights <#> $4) from millrace.terms_%s t where t.text_hash = c.text_hash), 0) / $5',
      target.generation) end,
    target.generation)
  using target.generation, document, l2_normalize(dense), weighed.weights, weighed.bound;
end $$;
comment on function millrace.document_scores(text, bigint, vector, sparsevec) is
  'What the chunks of a document score for a query, from what is stored, best first.';

-- The place that a chunk has among all of its domain that pass a filter, by one kind of score: every one is scored.
-- Where chunks lie in parents, parents are counted. before_…: the chunk that is just before it.
create function millrace.exact_place(
  domain text, kind text, document bigint, chunk integer, dense vector, terms sparsevec, filter jsonb,
  out place bigint, out chunks bigint, out before_id text, out before_chunk integer,
  out before_score double precision
)
language plpgsql stable
set jit = off
as $$
declare
  target record;
  condition text;
  arguments jsonb;
  weights sparsevec;
  bound double precision := 1;
  score text;
  source text;
  own double precision;
  nearest double precision[];
begin
  target := millrace.search_target(domain);
  select f.condition, f.arguments into condition, arguments
  from millrace.compile_filter(coalesce(filter, '{}'), '$3') f;
  if kind = 'dense' then
    score := format('-(%s <#> $1)', millrace.embedding_sql(target.storage, target.dims, 'v'));
    source := format('millrace.vectors_%s v', target.generation);
  elsif kind = 'sparse' then
    select w.weights, w.bound into weights, bound from millrace.weigh_terms(target.generation, terms) w;
    score := '-(v.weights <#> $2)';
    source := format('millrace.terms_%s v', target.generation);
  else
    raise exception 'there is no exact place by "%"', kind using errcode = '22023', hint = 'dense or sparse';
  end if;
  source := format($sql$
    millrace.published p
    join millrace.chunks c
      on c.generation_id = p.generation_id and c.document_id = p.document_id and c.revision = p.revision
    join %s on v.text_hash = c.text_hash
    join millrace.documents d on d.id = c.document_id
    where p.generation_id = %s
  $sql$, source, target.generation);
  execute format('select %s from %s and p.document_id = $4 and c.ordinal = $5', score, source)
  into own using l2_normalize(dense), weights, arguments, document, chunk;
  if own is null then return; end if;
  -- offset 0: each is scored once, not once a mention.
  execute format($sql$
    with scored as (
      select s.*, s.score > $6 or (s.score = $6 and (s.doc, s.ordinal) < ($4, $5)) as is_better
      from (
        select c.document_id as doc, c.ordinal, c.parent, %1$s as score from %2$s and %3$s offset 0
      ) s
    )
    select 1 + count(%4$s) filter (where is_better), count(*),
      min(array[score, doc, ordinal]) filter (where is_better and doc <> $4)
    from scored
  $sql$, score, source, condition, case when target.has_parents then 'distinct (doc, parent)' else '*' end)
  into place, chunks, nearest using l2_normalize(dense), weights, arguments, document, chunk, own;
  if nearest is null then return; end if;
  before_score := nearest[1] / bound;
  before_chunk := nearest[3];
  select d.external_id into before_id from millrace.documents d where d.id = nearest[2]::bigint;
end $$;
comment on function millrace.exact_place(text, text, bigint, integer, vector, sparsevec, jsonb) is
  'The place of a chunk among all of its domain that pass a filter, by dense or sparse score: every one is scored.';
