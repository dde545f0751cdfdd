-- What a schedule says of a generation that it began (docs/schedules.md).
alter table millrace.generations
  add column lease_tokens bigint, -- of one being built: tokens that may still be leased; null: any number
  add column waits_for bigint references millrace.schedules on delete set null; -- the schedule that paused it, and goes on with it
