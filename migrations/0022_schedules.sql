-- What is to be done again and again, and what came of it. The words are those of docs/schedules.md.

create table millrace.schedules (
  id             bigint generated always as identity primary key,
  name           text not null unique,
  domain_id      bigint references millrace.domains on delete cascade, -- null: every domain
  action         jsonb not null,            -- {kind, …its options}
  cron           text,                      -- in time_zone; or
  every_seconds  integer,                   -- since created_at
  time_zone      text not null default 'UTC',
  paused         boolean not null default false,
  opens          jsonb,                     -- {from: "22:00", to: "06:00", timeZone}: work is done between them; null: always
  tokens_an_hour bigint,                    -- embedded by its runs at most; null: any number
  next_at        timestamptz(3) not null,   -- whoever moves it on has the tick: nobody else has
  done           bigint not null default 0, -- runs by outcome, those that are not kept too
  failed         bigint not null default 0,
  stopped        bigint not null default 0,
  skipped        bigint not null default 0, -- ticks that found the run before at work
  created_at     timestamptz(3) not null default now(),
  updated_at     timestamptz(3) not null default now(),
  constraint schedules_name check (name ~ '^[a-z][a-z0-9_-]{0,54}$'),
  constraint schedules_when check ((cron is null) <> (every_seconds is null)),
  constraint schedules_every check (every_seconds >= 60),
  constraint schedules_tokens check (tokens_an_hour > 0)
);
create index schedules_due on millrace.schedules (next_at) where not paused;
create index schedules_domain on millrace.schedules (domain_id);

create table millrace.schedule_runs (
  id            bigint generated always as identity primary key,
  schedule_id   bigint not null references millrace.schedules on delete cascade,
  cause         text not null,              -- tick: it was due; missed: it was due while nobody was there; now: it was asked for
  due_at        timestamptz(3) not null,
  started_at    timestamptz(3) not null,
  finished_at   timestamptz(3),
  outcome       text,                       -- null: at work
  ticks         integer not null default 1, -- of a skipped one: how many followed each other
  progress      jsonb not null default '{}', -- how far it has come: whoever takes it up goes on from there
  cost          jsonb not null default '{}', -- {seconds, documents, tokens, …}
  summary       text,
  alarm         text,                       -- what is wrong with what it found
  error_code    text,
  error_message text,
  stopping      boolean not null default false, -- it is to end at its next step
  owner         uuid,
  owned_until   timestamptz(3) not null default '-infinity', -- past it somebody else goes on
  attempts      smallint not null default 0, -- owners it has had without getting on
  held_until    timestamptz(3),             -- it waits until then
  held_by       text,                       -- window, tokens, work: why
  constraint schedule_runs_cause check (cause in ('tick', 'missed', 'now')),
  constraint schedule_runs_outcome check (outcome in ('done', 'failed', 'stopped', 'skipped')),
  constraint schedule_runs_end check ((outcome is null) = (finished_at is null)),
  constraint schedule_runs_error check ((error_code is null) = (error_message is null))
);
create unique index schedule_runs_one_at_work on millrace.schedule_runs (schedule_id) where outcome is null;
create index schedule_runs_of_schedule on millrace.schedule_runs (schedule_id, id);

insert into millrace.roles (name) values ('schedule');

-- What a server said of a page when it was fetched, for asking whether it is still so.
create table millrace.fetched_pages (
  document_id   bigint primary key references millrace.documents on delete cascade,
  url           text not null,              -- that all of it belongs to
  etag          text,
  last_modified text,
  checked_at    timestamptz(3) not null default now()
);

-- {rows, bytes} when the index of its vectors was built: how far it has drifted since is told by them.
alter table millrace.generations add column index_shape jsonb;
