-- What a schedule says of a generation that it began (docs/schedules.md).
alter table millrace.generations
  add column lease_tokens bigint, -- of one being built: tokens that may still be leased; null: any number
  add column waits_for bigint references millrace.schedules on delete set null; -- the schedule that paused it, and goes on with it
alter table millrace.schedules
  add column settled_run bigint not null default 0; -- what runs up to this one found is of before it was changed: no alarm any more
