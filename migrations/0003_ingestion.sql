-- More ways in: files, URLs and vectors of one's own; submissions that stream; sources that are kept in step.

alter table millrace.documents
  add column source    text collate "C",               -- what it is a part of, for sync; null: of nothing
  add column origin    text not null default 'text',   -- how it came; `text` is '' until a file or a URL was read
  add column url       text,
  add column file_name text,
  add column file_type text,                           -- media type as it was sent
  add column file_hash bytea,                          -- SHA-256 of the bytes that `text` was read from
  add column format    text,                           -- what the bytes were: pdf, docx, …
  add column layout    jsonb,                          -- parts of the text: [{kind: page | sheet | slide, number, name?, start}]
  add constraint documents_origin check (origin in ('text', 'file', 'url', 'vectors')),
  add constraint documents_url check ((origin = 'url') = (url is not null));
create index documents_source on millrace.documents (domain_id, source) where source is not null;

-- The bytes of a file as submitted, or as fetched, in pieces of at most 1 MiB.
create table millrace.file_parts (
  document_id bigint not null references millrace.documents on delete cascade,
  part        integer not null,
  bytes       bytea not null,
  primary key (document_id, part)
);
alter table millrace.file_parts alter column bytes set storage external; -- most formats are compressed already

alter table millrace.chunks
  add column headings text[] not null default '{}',    -- the heading path, outermost first
  add column place    jsonb,                           -- {page, pageTo?} | {sheet} | {slide}
  add column parent   integer;                         -- ordinal in parents: what is shown for it

-- The longer spans that are shown for the small ones that are searched.
create table millrace.parents (
  document_id   bigint not null references millrace.documents on delete cascade,
  generation_id bigint not null references millrace.generations on delete cascade,
  revision      integer not null,
  ordinal       integer not null,
  start_at      integer not null,                      -- UTF-16 code units in the document's text
  end_at        integer not null,
  headings      text[] not null default '{}',
  place         jsonb,
  text          text not null,
  primary key (document_id, generation_id, revision, ordinal),
  constraint parents_span check (0 <= start_at and start_at <= end_at)
);

alter table millrace.ingestions
  add column source          text collate "C",
  add column sync            text,                     -- full: what is of the source and not in it goes, once all is ready
  add column synced_at       timestamptz(3),           -- when that was done, or was found not to be done
  add column sync_skipped    text,                     -- why nothing was deleted
  add column deleted         integer not null default 0,
  add column rejected        integer not null default 0,
  add column open_until      timestamptz(3),           -- somebody is still sending: until then, unless renewed
  add column work_started_at timestamptz(3),           -- when its first vectors were written
  add column characters_cut  bigint not null default 0, -- of cleaned text that is in no chunk
  add column empty           integer not null default 0, -- documents of which cleaning left nothing
  add constraint ingestions_sync check (sync in ('full')),
  add constraint ingestions_source check (sync is null or source is not null);
create index ingestions_open on millrace.ingestions (open_until) where open_until is not null;
create index ingestions_to_sync on millrace.ingestions (id)
  where sync is not null and synced_at is null and state = 'running';

-- Documents that were not taken, by code, with the first as an example: {index, id?, message}.
create table millrace.ingestion_rejections (
  ingestion_id bigint not null references millrace.ingestions on delete cascade,
  code         text not null,
  count        integer not null,
  example      jsonb not null,
  primary key (ingestion_id, code)
);

-- What was in a submission, where that must be known: of streams, in which an id may come twice, and for sync. An
-- unchanged document is in it although nothing else was written for it. The sweep removes it once the ingestion has
-- ended. No foreign keys: a million checks for rows that live as long as a stream, and ids are never used again.
create table millrace.ingestion_seen (
  ingestion_id bigint not null,
  document_id  bigint not null,
  primary key (ingestion_id, document_id)
);

-- A sync is part of the ingestion: it has not finished before what is gone is gone.
create or replace function millrace.is_done(i millrace.ingestions, change bigint) returns boolean
language sql immutable as $$
  select i.state = 'running' and i.sealed and i.received + i.preparing + i.embedding + change = 0
    and (i.sync is null or i.synced_at is not null)
$$;
