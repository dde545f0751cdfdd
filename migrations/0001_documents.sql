-- The truth and the backlog: domains, what callers submitted, the chunks made of it, and what has no vector yet.
-- The words are those of ARCHITECTURE.md. Tables of vectors are made one a generation, by the code (vectors_<id>).

create table millrace.domains (
  id         bigint generated always as identity primary key,
  name       text not null unique,
  threshold  real,                          -- least similarity of a hit; null: no cut
  levels     jsonb not null,                -- [{key, above, name: {zh, en}}], highest first, the last above null
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  constraint domains_name check (name ~ '^[a-z0-9][a-z0-9_-]{0,54}$'),
  constraint domains_threshold check (threshold between -1 and 1),
  constraint domains_levels check (jsonb_typeof(levels) = 'array' and jsonb_array_length(levels) > 0)
);

-- All chunks and vectors of one domain made with one recipe.
create table millrace.generations (
  id          bigint generated always as identity primary key,
  domain_id   bigint not null references millrace.domains on delete cascade,
  model       text not null,
  dims        integer not null check (dims > 0),
  recipe      jsonb not null,
  recipe_hash text not null,
  storage     text not null default 'full',
  state       text not null,
  indexed_at  timestamptz(3),               -- when its HNSW index became valid; null: exact search
  created_at  timestamptz(3) not null default now(),
  constraint generations_state check (state in ('live', 'building')),
  constraint generations_storage check (storage in ('full'))
);
create unique index generations_one_a_state on millrace.generations (domain_id, state);

-- What one submission created. The counters follow the documents by triggers, see below.
create table millrace.ingestions (
  id              bigint generated always as identity primary key,
  domain_id       bigint not null references millrace.domains on delete cascade,
  state           text not null default 'running',
  sealed          boolean not null default false, -- everything that belongs to it has been accepted
  received        integer not null default 0,
  preparing       integer not null default 0,
  embedding       integer not null default 0,
  ready           integer not null default 0,
  failed          integer not null default 0,
  cancelled       integer not null default 0,
  unchanged       integer not null default 0,     -- part of ready
  chunks          integer not null default 0,
  chunks_embedded integer not null default 0,     -- what this ingestion had the model compute
  chunks_reused   integer not null default 0,     -- what was there already
  tokens          bigint not null default 0,
  tokens_embedded bigint not null default 0,
  started_at      timestamptz(3) not null default now(),
  finished_at     timestamptz(3),
  constraint ingestions_state check (state in ('running', 'cancelled', 'finished')),
  constraint ingestions_end check ((state = 'running') = (finished_at is null)),
  constraint ingestions_counts check (least(received, preparing, embedding, ready, failed, cancelled) >= 0)
);
create index ingestions_domain on millrace.ingestions (domain_id);

create table millrace.ingestion_errors (
  ingestion_id bigint not null references millrace.ingestions on delete cascade,
  code         text not null,
  count        integer not null,
  example      jsonb not null,              -- {document, message} of the first
  primary key (ingestion_id, code)
);

create table millrace.documents (
  id            bigint generated always as identity primary key,
  domain_id     bigint not null references millrace.domains on delete cascade,
  external_id   text collate "C" not null,  -- the caller's
  title         text,
  text          text not null,              -- as submitted
  metadata      jsonb not null default '{}',
  content_hash  bytea not null,             -- of title, text and metadata: equal means unchanged
  revision      integer not null default 1, -- counts what was submitted under this id
  ingestion_id  bigint not null references millrace.ingestions,
  state         text not null default 'received',
  error_code    text,
  error_message text,
  warnings      text[] not null default '{}',
  chunks        integer,                    -- of this revision, known once prepared
  tokens        bigint,
  attempts      smallint not null default 0,
  leased_until  timestamptz(3),             -- until then somebody owns it; past it the sweep finds a new owner
  created_at    timestamptz(3) not null default now(),
  updated_at    timestamptz(3) not null default now(),
  constraint documents_id unique (domain_id, external_id),
  constraint documents_id_bytes check (octet_length(external_id) between 1 and 512),
  constraint documents_state check (state in ('received', 'preparing', 'embedding', 'ready', 'failed', 'cancelled')),
  constraint documents_failed_has_code check ((state = 'failed') = (error_code is not null)),
  constraint documents_ready_is_counted check (state not in ('embedding', 'ready') or chunks is not null)
);
create index documents_listing on millrace.documents (domain_id, state, external_id);
create index documents_open on millrace.documents (ingestion_id, id)
  where state in ('received', 'preparing', 'embedding');
create index documents_owner on millrace.documents (leased_until)
  where state in ('received', 'preparing', 'embedding');

create table millrace.chunks (
  document_id   bigint not null references millrace.documents on delete cascade,
  generation_id bigint not null references millrace.generations on delete cascade,
  revision      integer not null,
  ordinal       integer not null,
  start_at      integer not null,           -- UTF-16 code units in the document's text as submitted
  end_at        integer not null,
  tokens        integer not null,           -- of context and text, special tokens included
  text_hash     bytea not null,             -- of exactly what the tokenizer is given
  context       text not null default '',   -- embedded before the text, not shown
  text          text not null,
  primary key (document_id, generation_id, revision, ordinal),
  constraint chunks_span check (0 <= start_at and start_at <= end_at)
);
create index chunks_hash on millrace.chunks (generation_id, text_hash);

-- Which revision of a document the readers of a generation see. It changes in one statement, so they see
-- the old chunks, title and metadata or the new ones, never half.
create table millrace.published (
  generation_id bigint not null references millrace.generations on delete cascade,
  document_id   bigint not null references millrace.documents on delete cascade,
  revision      integer not null,
  title         text,
  metadata      jsonb not null,
  published_at  timestamptz(3) not null default now(),
  primary key (generation_id, document_id)
);
create index published_document on millrace.published (document_id);
create index published_metadata on millrace.published using gin (metadata jsonb_path_ops);

-- A handful of texts of one generation, handed to one worker as one job.
create table millrace.leases (
  id            bigint generated always as identity primary key,
  generation_id bigint not null references millrace.generations on delete cascade,
  texts         integer not null,
  tokens        bigint not null,
  leased_until  timestamptz(3) not null,
  created_at    timestamptz(3) not null default now()
);
create index leases_until on millrace.leases (leased_until);

-- Texts without a vector: one row, one owner, however many documents wait for it.
create table millrace.pending (
  generation_id bigint not null references millrace.generations on delete cascade,
  text_hash     bytea not null,
  tokens        integer not null,
  ingestion_id  bigint references millrace.ingestions on delete set null, -- whose counter it will count for
  lease_id      bigint references millrace.leases on delete set null,     -- null: free to be leased
  attempts      smallint not null default 0,
  seq           bigint generated always as identity,                      -- first come, first embedded
  primary key (generation_id, text_hash)
);
create index pending_free on millrace.pending (generation_id, seq) where lease_id is null;
create index pending_lease on millrace.pending (lease_id) where lease_id is not null;
create index pending_ingestion on millrace.pending (ingestion_id);

-- Work that one process does at a time, whoever it is: the row is the lock. (Session advisory locks would not
-- do: on PGlite all connections share one session.)
create table millrace.roles (
  name  text primary key,
  until timestamptz(3) not null default '-infinity', -- nobody else needs to do it before then
  clock bigint not null default 0                    -- of the dispatcher, in tokens
);
insert into millrace.roles (name) values ('dispatch'), ('sweep');

-- Whose turn it is, by start-time fair queueing: a generation that was given tokens goes that far back in the
-- line; one that comes back after a pause starts where the line is now (roles.clock), not at its old place.
create table millrace.turns (
  generation_id bigint primary key references millrace.generations on delete cascade,
  served        bigint not null default 0
);

create table millrace.workers (
  id         text primary key,
  host       text not null,
  pid        integer not null,
  slots      integer not null,              -- leases it works on at once
  tokens     bigint not null default 0,     -- embedded since it started
  started_at timestamptz(3) not null default now(),
  seen_at    timestamptz(3) not null default now()
);

-- Counters. Whatever changes documents.state or documents.ingestion_id, by whatever code path, moves the
-- counters of the ingestions in the same transaction. A document that leaves an unfinished ingestion (it was
-- submitted again, or deleted) is counted there as cancelled; one that leaves a finished one stays counted.
create function millrace.move_counts(ids bigint[], states text[], amounts integer[]) returns void
language plpgsql as $$
begin
  -- In the order of their ids, so that two transactions never wait for each other in a circle.
  perform 1 from millrace.ingestions where id = any(ids) order by id for no key update;
  with moves as (
    select m.id,
      coalesce(sum(m.amount) filter (where m.state = 'received'), 0)  as received,
      coalesce(sum(m.amount) filter (where m.state = 'preparing'), 0) as preparing,
      coalesce(sum(m.amount) filter (where m.state = 'embedding'), 0) as embedding,
      coalesce(sum(m.amount) filter (where m.state = 'ready'), 0)     as ready,
      coalesce(sum(m.amount) filter (where m.state = 'failed'), 0)    as failed,
      coalesce(sum(m.amount) filter (where m.state = 'cancelled'), 0) as cancelled
    from unnest(ids, states, amounts) as m (id, state, amount)
    group by m.id
  )
  update millrace.ingestions i set
    received  = i.received + m.received,
    preparing = i.preparing + m.preparing,
    embedding = i.embedding + m.embedding,
    ready     = i.ready + m.ready,
    failed    = i.failed + m.failed,
    cancelled = i.cancelled + m.cancelled,
    state = case when millrace.is_done(i, m.received + m.preparing + m.embedding) then 'finished' else i.state end,
    finished_at = case when millrace.is_done(i, m.received + m.preparing + m.embedding) then clock_timestamp() else i.finished_at end
  from moves m
  where i.id = m.id;
end $$;

create function millrace.is_done(i millrace.ingestions, change bigint) returns boolean
language sql immutable as $$
  select i.state = 'running' and i.sealed and i.received + i.preparing + i.embedding + change = 0
$$;

create function millrace.documents_inserted() returns trigger language plpgsql as $$
declare ids bigint[]; states text[]; amounts integer[];
begin
  select array_agg(ingestion_id), array_agg(state), array_agg(n) into ids, states, amounts
  from (select ingestion_id, state, count(*)::int as n from new_rows group by 1, 2) as counted;
  if ids is not null then perform millrace.move_counts(ids, states, amounts); end if;
  return null;
end $$;

create function millrace.documents_updated() returns trigger language plpgsql as $$
declare ids bigint[]; states text[]; amounts integer[];
begin
  with moved as (
    select o.ingestion_id as was_in, o.state as was, n.ingestion_id as is_in, n.state as now,
      o.state in ('received', 'preparing', 'embedding') as was_open
    from old_rows o join new_rows n using (id)
    where o.ingestion_id <> n.ingestion_id or o.state <> n.state
  ), deltas as (
    select was_in as id, was as state, -1 as amount from moved where was_in = is_in or was_open
    union all
    select was_in, 'cancelled', 1 from moved where was_in <> is_in and was_open
    union all
    select is_in, now, 1 from moved
  )
  select array_agg(id), array_agg(state), array_agg(n) into ids, states, amounts
  from (select id, state, sum(amount)::int as n from deltas group by 1, 2) as counted;
  if ids is not null then perform millrace.move_counts(ids, states, amounts); end if;

  insert into millrace.ingestion_errors as e (ingestion_id, code, count, example)
  select n.ingestion_id, n.error_code, count(*),
    (array_agg(jsonb_build_object('document', n.external_id, 'message', n.error_message) order by n.id))[1]
  from old_rows o join new_rows n using (id)
  where n.state = 'failed' and o.state <> 'failed'
  group by 1, 2
  on conflict (ingestion_id, code) do update set count = e.count + excluded.count;
  return null;
end $$;

create function millrace.documents_deleted() returns trigger language plpgsql as $$
declare ids bigint[]; states text[]; amounts integer[];
begin
  with deltas as (
    select ingestion_id as id, state, -1 as amount from old_rows where state in ('received', 'preparing', 'embedding')
    union all
    select ingestion_id, 'cancelled', 1 from old_rows where state in ('received', 'preparing', 'embedding')
  )
  select array_agg(id), array_agg(state), array_agg(n) into ids, states, amounts
  from (select id, state, sum(amount)::int as n from deltas group by 1, 2) as counted;
  if ids is not null then perform millrace.move_counts(ids, states, amounts); end if;
  return null;
end $$;

create trigger documents_inserted after insert on millrace.documents
  referencing new table as new_rows for each statement execute function millrace.documents_inserted();
create trigger documents_updated after update on millrace.documents
  referencing old table as old_rows new table as new_rows for each statement execute function millrace.documents_updated();
create trigger documents_deleted after delete on millrace.documents
  referencing old table as old_rows for each statement execute function millrace.documents_deleted();
