-- More than one vector a text, forms of storage, and thresholds that know what they were set for.

alter table millrace.domains
  add column search jsonb not null default '{}';         -- what its searches do unless they say otherwise: {mode?, fusion?, rerank?, efSearch?}

alter table millrace.generations
  drop constraint generations_storage,
  add constraint generations_storage check (storage in ('full', 'half', 'sq8', 'sq4', 'binary')),
  add column outputs text[] not null default '{dense}',  -- what is kept of a text: dense, sparse, colbert
  add column lexical text,                               -- what sparse is: learned by the model, or bm25 over its token ids; null: not kept
  add column index_m integer not null default 16,        -- of HNSW; pgvector's defaults
  add column index_ef_construction integer not null default 64,
  add column index_built jsonb,                          -- {m, efConstruction} of the index that is there
  add column terms_texts bigint,                         -- texts that term_counts was counted over; null: not counted yet
  add column terms_counted_at timestamptz(3),
  add constraint generations_outputs check (
    outputs <@ '{dense,sparse,colbert}' and outputs @> '{dense}' and outputs @> '{sparse}' = (lexical is not null)
  ),
  add constraint generations_lexical check (lexical in ('learned', 'bm25')),
  add constraint generations_index check (index_m between 2 and 100 and index_ef_construction between 2 * index_m and 1000);

-- A threshold and levels belong to a domain, a kind of score and what the scores are made with.
create table millrace.bands (
  domain_id bigint not null references millrace.domains on delete cascade,
  score     text not null,
  recipe    text not null,                 -- generations.recipe_hash; of rerank: the reranker, as model@revision
  threshold real,                          -- least score of a hit; null: no cut
  levels    jsonb,                         -- [{key, above, name: {zh, en}}], highest first, the last above null; null: none
  chosen    boolean not null default true, -- by a person; false: the defaults of the model
  set_at    timestamptz(3) not null default now(),
  primary key (domain_id, score, recipe),
  constraint bands_score check (score in ('dense', 'sparse', 'colbert', 'hybrid', 'rerank')),
  constraint bands_levels check (levels is null or (jsonb_typeof(levels) = 'array' and jsonb_array_length(levels) > 0))
);
insert into millrace.bands (domain_id, score, recipe, threshold, levels, chosen)
select d.id, 'dense', g.recipe_hash, d.threshold, d.levels, true
from millrace.domains d join millrace.generations g on g.domain_id = d.id and g.state = 'live';

-- In how many texts of a generation a term (a token id) is: an aggregate, made by the sweep, never counted a row.
create table millrace.term_counts (
  generation_id bigint not null references millrace.generations on delete cascade,
  term          integer not null,
  texts         bigint not null,
  primary key (generation_id, term)
);
