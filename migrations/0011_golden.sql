-- Golden sets: questions with the documents that answer them, and runs that say how many were found.

create table millrace.golden (
  id            bigint generated always as identity primary key,
  domain_id     bigint not null references millrace.domains on delete cascade,
  external_id   text collate "C" not null,             -- the caller's, or made from question and filter
  question      text not null,
  question_hash bytea not null,                        -- SHA-256 of question and filter: the two are what is asked
  filter        jsonb not null default '{}',
  documents     text[] not null,                       -- ids as the caller has them: a document may come later
  note          text,
  updated_at    timestamptz(3) not null default now(),
  unique (domain_id, external_id),
  unique (domain_id, question_hash),
  constraint golden_documents check (cardinality(documents) > 0)
);

-- What a set came to, with all that decided it. The questions of a run are copied, so a set may change under it.
create table millrace.golden_runs (
  id            bigint generated always as identity primary key,
  domain_id     bigint not null references millrace.domains on delete cascade,
  generation_id bigint not null,
  state         text not null default 'running',
  settings      jsonb not null,                        -- {k, mode, threshold, fusion?, rerank?}
  model         text not null,
  recipe_hash   text not null,
  levels        text[] not null,                       -- keys of the domain's levels, highest first
  note          text,
  questions     integer not null,
  done          integer not null default 0,
  owner         uuid,                                  -- of the process that works on it
  owned_until   timestamptz(3) not null default '-infinity',
  attempts      integer not null default 0,            -- owners since there was progress
  metrics       jsonb,                                 -- null until it has finished
  embed_ms      double precision not null default 0,
  search_ms     double precision not null default 0,
  error_code    text,
  error_message text,
  started_at    timestamptz(3) not null default now(),
  finished_at   timestamptz(3),
  constraint golden_runs_state check (state in ('running', 'finished', 'failed')),
  constraint golden_runs_end check ((state = 'running') = (finished_at is null))
);
create index golden_runs_domain on millrace.golden_runs (domain_id, id);
create index golden_runs_open on millrace.golden_runs (owned_until) where state = 'running';

create table millrace.golden_results (
  run_id        bigint not null references millrace.golden_runs on delete cascade,
  position      integer not null,                      -- from 1, in the order of ids
  external_id   text collate "C" not null,
  question      text not null,
  question_hash bytea not null,
  filter        jsonb not null,
  documents     text[] not null,
  state         text not null default 'waiting',
  absent        jsonb not null default '[]',           -- expected, and not to be found whatever the search: [{documentId, reason, state?}]
  ranks         integer[] not null default '{}',       -- of the first hit of each expected document, ascending
  score         double precision,                      -- of the best of those hits
  scored        text,                                  -- the kind of that score
  grade         text,                                  -- key of a level, found (where the score has no levels), or miss
  top           jsonb,                                 -- of a miss, what came instead: [{documentId, title, score, level}]
  error_code    text,
  error_message text,
  primary key (run_id, position),
  constraint golden_results_state check (state in ('waiting', 'ranked', 'unmeasured', 'failed'))
);

-- Times searches one by one, in the server: the trip to it, and the next query's wait, are not in it.
create function millrace.probe_search(
  domain text, queries vector[], k integer, exact boolean, ef_search integer,
  out n integer, out ms double precision, out similarities double precision[]
) returns setof record
language plpgsql volatile
as $$
declare
  options jsonb := jsonb_strip_nulls(jsonb_build_object('exact', exact, 'efSearch', ef_search))
    || '{"mode": "dense", "thresholds": {"dense": null}}';
  started timestamptz;
begin
  for i in 1 .. coalesce(cardinality(queries), 0) loop
    started := clock_timestamp();
    select array_agg(h.dense_score order by h.dense_score desc) into similarities
    from millrace.find_hits(domain, queries[i], null, k, options) h;
    ms := 1000 * extract(epoch from clock_timestamp() - started);
    n := i;
    similarities := coalesce(similarities, '{}');
    return next;
  end loop;
end $$;
comment on function millrace.probe_search(text, vector[], integer, boolean, integer) is
  'Times searches of a domain one by one, through its index or exactly, and returns their similarities, best first.';
