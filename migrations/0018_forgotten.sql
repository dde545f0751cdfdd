-- Queries that were forgotten stay so: what a process still had to write is older than that, and is not taken. And more
-- of what came of a query.

create table millrace.forgotten_queries (
  domain_id  bigint not null references millrace.domains on delete cascade,
  query_hash bytea not null,             -- empty: all of the domain
  at         timestamptz(3) not null,    -- what was asked before it is forgotten
  primary key (domain_id, query_hash)
);
comment on table millrace.forgotten_queries is
  'Since when queries are forgotten, for as long as a process may still have older ones to write.';

alter table millrace.queries
  add column rerank_ms real,             -- null: nothing was reranked. Before this column search_ms had it too.
  add column top jsonb not null default '[]';
comment on column millrace.queries.top is
  'The first ten hits as {score, documentId, chunk}; with QUERY_LOG=hash their scores alone.';

-- What is wrong with a filter, before anything is searched with it; null: nothing.
create function millrace.filter_problem(filter jsonb) returns text
language plpgsql immutable as $$
begin
  perform millrace.compile_filter(filter);
  return null;
exception when invalid_parameter_value then -- 22023
  return sqlerrm;
end $$;
comment on function millrace.filter_problem(jsonb) is 'What is wrong with a filter; null: nothing.';
