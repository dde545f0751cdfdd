-- A domain that comes from an archive (docs/move.md) is written slice by slice, and nobody sees it before it is whole.

-- importing: what has arrived of an archive so far. It becomes live with the last of it, or goes with its domain.
alter table millrace.generations drop constraint generations_state,
  add constraint generations_state check (state in ('importing', 'live', 'building', 'retired', 'ending', 'ended'));

alter table millrace.domains
  add column importing_until timestamptz(3); -- somebody is still sending: until then, unless renewed; null: it is whole
create index domains_importing on millrace.domains (importing_until) where importing_until is not null;
comment on column millrace.domains.importing_until is
  'Until when whoever imports the domain has it; past it the sweep removes what arrived. Null: nobody does.';
