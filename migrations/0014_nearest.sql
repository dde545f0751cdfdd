-- What a search by meaning alone through the index needs to be one statement (0015): what it finds is joined to what is
-- shown of it at once, where find_hits planned and ran a second statement for that.

create type millrace.hit as (
  document_id text, chunk integer, title text, text text, metadata jsonb,
  start_at integer, end_at integer, headings text[], place jsonb,
  parent integer, parent_start integer, parent_end integer,
  dense_score double precision, sparse_score double precision, hybrid_score double precision,
  text_hash bytea, context text, chunk_text text
);
comment on type millrace.hit is 'What millrace.find_hits knows of a hit.';

-- The expression that an index of vectors is made on, as a distance to $1, and the columns that it and scores need.
create function millrace.index_distance(storage text, dims integer, out distance text, out columns text)
language sql immutable parallel safe as $$
  select case
      when storage in ('sq8', 'sq4', 'binary')
        then format('v.bits <~> millrace.search_bits($1)::bit(%s)', millrace.bits_of(dims))
      when storage = 'half' then format('v.embedding <#> $1::halfvec(%s)', dims)
      when dims > 2000 and dims <= 4000 then format('v.embedding::halfvec(%1$s) <#> $1::halfvec(%1$s)', dims)
      else 'v.embedding <#> $1'
    end,
    case storage when 'sq8' then 'v.codes' when 'sq4' then 'v.codes, v.outliers' else 'v.embedding' end
$$;
comment on function millrace.index_distance(text, integer) is
  'How far a row v of a table of vectors is from $1, as its index has it, and the columns that the cosine needs.';
