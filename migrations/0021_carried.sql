-- What thresholds and levels of the live generation are under one that is built beside it (docs/generations.md).
create table millrace.carried (
  domain_id       bigint not null references millrace.domains on delete cascade,
  generation_id   bigint not null references millrace.generations on delete cascade,
  score           text not null,
  item            text not null,              -- threshold, or level:<key>
  from_generation bigint not null,            -- the one that was live
  recipe          text not null,              -- what the new one belongs to, as in millrace.bands
  old             real not null,
  new             real,                       -- null: nothing means the same
  low             real,
  high            real,
  method          text not null,
  evidence        jsonb not null,             -- {pairs, above}: what it rests on
  separates       boolean not null,
  sureness        text not null,
  why             text not null,
  state           text not null default 'proposed',
  decided         real,                       -- what a person took; null: no threshold, or nobody did yet
  decided_at      timestamptz(3),
  made_at         timestamptz(3) not null default now(),
  primary key (generation_id, score, item),
  constraint carried_method check (method in ('golden', 'unrelated', 'extrapolated', 'unchanged', 'none')),
  constraint carried_sureness check (sureness in ('high', 'medium', 'low')),
  constraint carried_state check (state in ('proposed', 'confirmed', 'replaced'))
);
create index carried_domain on millrace.carried (domain_id);
