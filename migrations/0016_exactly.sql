-- Searches that measure themselves as they are, candidates of the forms with bits, and what is refused.

drop function millrace.probe_search(text, vector[], integer, boolean, integer);

-- Times searches one by one, in the server: the trip to it, and the next query's wait, are not in it.
create function millrace.probe_search(
  domain text, queries vector[], k integer, exact boolean, ef_search integer, candidates integer default null,
  out n integer, out ms double precision, out similarities double precision[]
) returns setof record
language plpgsql volatile
as $$
declare
  options jsonb := jsonb_strip_nulls(jsonb_build_object('exact', exact, 'efSearch', ef_search, 'candidates', candidates))
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
comment on function millrace.probe_search(text, vector[], integer, boolean, integer, integer) is
  'Times searches of a domain one by one, through its index or exactly, and returns their similarities, best first.';

-- A search for k in a form with bits reads that many candidates and scores them by their decoded vectors; other forms
-- need no more than k. Measured with questions that are not about the texts (docs/storage.md): with 100 + 10 * k recall@10
-- was .82 at 4,690 texts; with this it is .98, for a third more time.
create or replace function millrace.candidates_of(storage text, k integer, texts bigint) returns integer
language sql immutable parallel safe as $$
  select case when storage in ('sq8', 'sq4', 'binary')
    then 800 + 12 * k
    else k end::integer
$$;

