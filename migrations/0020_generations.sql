-- A new generation is built beside the live one, takes its place in one transaction, and the old one stays for a while.
-- The words are those of docs/generations.md.

-- Which generation a document's rows belong to was written by hand until now; only the live one ever was.
alter table millrace.generations
  add column filled_after     bigint not null default 0,     -- documents up to this id have a row in generation_documents
  add column filled_at        timestamptz(3),                -- when all of them had one
  add column built_at         timestamptz(3),                -- when it was complete for the first time
  add column paused           boolean not null default false,
  add column weight           real not null default 0.5,     -- its share beside a generation of weight 1
  add column follows          boolean not null default false, -- what comes and goes in the domain comes and goes here too
  add column switch_when_built boolean not null default false,
  add column soak_seconds     integer not null default 86400, -- how long the one that it replaces stays
  add column keep_up_to_date  boolean not null default false, -- and whether that one follows meanwhile
  add column copies_from      bigint,                        -- a generation whose vectors are taken over; null: none
  add column copies_since     timestamptz(3),                -- only those of documents published since
  add column gate             jsonb not null default '{}',   -- what has to hold before the switch
  add column gated            jsonb,                         -- what came of it last
  add column forced           jsonb,                         -- {at, reason, gated}: it was switched to although
  add column thresholds       text not null default 'confirm', -- what becomes of thresholds at the switch
  add column texts_copied     bigint not null default 0,
  add column texts_embedded   bigint not null default 0,
  add column tokens_embedded  bigint not null default 0,
  add column started_at       timestamptz(3),                -- when its build began, as a build and not as a new domain
  add column live_since       timestamptz(3),                -- when it last became live
  add column retired_at       timestamptz(3),
  add column drop_at          timestamptz(3),                -- when a retired one goes
  add column ended_at         timestamptz(3),                -- when it began to go
  add column ended_by         text,
  add column error_code       text,                          -- why its build cannot go on
  add column error_message    text;

update millrace.generations set live_since = created_at;
alter table millrace.generations alter column live_since set default null;

-- live: what readers see. building: beside it. retired: was live, stays for its soak. ending: its rows are being removed.
-- ended: nothing of it is left but this row, its history.
alter table millrace.generations drop constraint generations_state,
  add constraint generations_state check (state in ('live', 'building', 'retired', 'ending', 'ended')),
  add constraint generations_weight check (weight > 0 and weight <= 10),
  add constraint generations_soak check (soak_seconds between 0 and 31536000),
  add constraint generations_thresholds check (thresholds in ('confirm', 'carry', 'defaults')),
  add constraint generations_ended_by check (ended_by in ('cancelled', 'soaked', 'replaced'));
drop index millrace.generations_one_a_state;
create unique index generations_one_a_state on millrace.generations (domain_id, state)
  where state in ('live', 'building', 'retired');
create index generations_of_domain on millrace.generations (domain_id, id);

-- How far each document is in a generation that is not live: the live one's state stands in millrace.documents.
create table millrace.generation_documents (
  generation_id bigint not null references millrace.generations on delete cascade,
  document_id   bigint not null references millrace.documents on delete cascade,
  revision      integer not null,           -- the one that it is to have
  state         text not null default 'waiting',
  leased_until  timestamptz(3) not null default '-infinity', -- whoever prepares it has it until then
  attempts      smallint not null default 0,
  error_code    text,
  error_message text,
  chunks        integer,
  tokens        bigint,
  primary key (generation_id, document_id),
  constraint generation_documents_state check (state in ('waiting', 'preparing', 'embedding', 'ready', 'failed')),
  constraint generation_documents_failed check ((state = 'failed') = (error_code is not null))
);
create index generation_documents_open on millrace.generation_documents (generation_id, state, document_id)
  where state <> 'ready';
create index generation_documents_document on millrace.generation_documents (document_id);

-- What became ready in the live generation is to come to those that follow it. Whoever makes a document ready holds the
-- live generation's row, so a generation that begins to follow misses none.
create function millrace.documents_followed() returns trigger language plpgsql as $$
begin
  insert into millrace.generation_documents as f (generation_id, document_id, revision)
  select g.id, n.id, n.revision
  from new_rows n join old_rows o using (id)
  join millrace.generations g on g.domain_id = n.domain_id and g.follows and g.state in ('building', 'retired')
  where n.state = 'ready' and (o.state <> 'ready' or o.revision <> n.revision)
  order by n.id, g.id
  on conflict (generation_id, document_id) do update set
    revision = excluded.revision, state = 'waiting', leased_until = '-infinity', attempts = 0, error_code = null,
    error_message = null, chunks = null, tokens = null
  where f.revision <> excluded.revision or f.state = 'failed';
  return null;
end $$;
comment on function millrace.documents_followed() is 'Brings documents that became ready to the generations that follow the live one.';
create trigger documents_followed after update on millrace.documents
  referencing old table as old_rows new table as new_rows for each statement execute function millrace.documents_followed();

-- A domain's name means its live generation; name@id means another one of it: a name has no @ in it.
create or replace function millrace.search_target(
  domain text,
  out domain_id bigint, out search jsonb, out generation bigint, out dims integer, out storage text, out lexical text,
  out recipe text, out indexed boolean, out has_parents boolean
) language plpgsql stable as $$
declare
  named text := split_part(domain, '@', 1);
  wanted text := nullif(substr(domain, length(named) + 2), '');
begin
  select d.id, d.search, g.id, g.dims, g.storage, g.lexical, g.recipe_hash, g.indexed_at is not null,
    coalesce(g.recipe -> 'chunking' ->> 'kind' = 'parent', false)
  into domain_id, search, generation, dims, storage, lexical, recipe, indexed, has_parents
  from millrace.domains d join millrace.generations g on g.domain_id = d.id
  where d.name = named
    and case when wanted is null then g.state = 'live' else g.id::text = wanted and g.state in ('live', 'building', 'retired') end;
  if found then return; end if;
  if wanted is not null and exists (select 1 from millrace.domains d where d.name = named) then
    raise exception 'domain "%" has no generation % to search', named, wanted
      using errcode = 'P0002', hint = 'select id, state from millrace.generations: live, building or retired ones can be searched';
  end if;
  raise exception 'there is no domain "%"', domain
    using errcode = 'P0002', hint = 'select name from millrace.domains';
end $$;
comment on function millrace.search_target(text) is
  'What a search needs to know of a domain, or of another generation of it as name@id; an unknown one is P0002.';

create or replace function millrace.hybrid_band(domain text, fusion jsonb, out threshold double precision, out levels jsonb)
language sql stable as $$
  select b.threshold::text::double precision, b.levels
  from millrace.search_target(hybrid_band.domain) t
  join millrace.bands b on b.domain_id = t.domain_id and b.score = 'hybrid'
  where case when b.recipe like t.recipe || ' {%' then substr(b.recipe, length(t.recipe) + 2)::jsonb end
      = hybrid_band.fusion
$$;

create or replace function millrace.level_name(domain text, score text, value double precision) returns text
language sql stable as $$
  select coalesce(l.level -> 'name' ->> current_setting('millrace.language', true), l.level -> 'name' ->> 'zh')
  from millrace.search_target(level_name.domain) t
  cross join lateral (
    select b.levels from millrace.bands b
    where b.domain_id = t.domain_id and b.score = level_name.score and b.recipe = t.recipe and level_name.score <> 'hybrid'
    union all
    select h.levels from millrace.hybrid_band(level_name.domain, millrace.fusion_of(t.search ->> 'fusion', t.lexical)) h
    where level_name.score = 'hybrid'
  ) b
  cross join millrace.level_of(b.levels, value) l (level)
$$;
