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
