-- Forms of storage: packages/store/src/storage writes what these functions read.
--   full    embedding vector
--   half    embedding halfvec
--   sq8     codes "char"[], a byte a dim, and bits
--   sq4     codes "char"[], half a byte a dim, the eight largest components as they are in outliers sparsevec, and bits
--   binary  embedding halfvec, and bits
-- Where there are bits, candidates are those nearest to millrace.search_bits of the query by Hamming distance, and are
-- scored by the decoded vector.

-- A vector's length carries no meaning here, so no scale is stored: what the codes stand for is set to length 1.
-- Code c stands for c + k·c³: steps are small near zero, where most components are, and wide where few are.
create function millrace.spread_codes(codes vector, cubes vector) returns vector
language plpgsql immutable strict parallel safe as $$
begin
  return l2_normalize(codes + codes * codes * codes * cubes);
end $$;
comment on function millrace.spread_codes(vector, vector) is
  'The unit vector that codes stand for: c + k·c³ each; cubes: k for every dim.';

create function millrace.decode_sq8(codes "char"[], dims integer) returns vector
language sql immutable parallel safe as $$
  select millrace.spread_codes(codes::integer[]::vector, array_fill((1 / 127.0 ^ 2)::real, array[dims])::vector)
$$;
comment on function millrace.decode_sq8("char"[], integer) is
  'The unit vector of a row of storage sq8: millrace.decode_sq8(v.codes, dims of the generation).';

-- A byte is 16·a + b with a and b from -7 to 7. Where a float has no digits left for what is below 16, adding and taking
-- away again rounds to the nearest multiple of 16: that is a, and what is left is b. Constants come as arguments, so that
-- they are made once a statement, and the array is turned into a vector once a row.
create function millrace.unpack_sq4(
  codes vector, outliers sparsevec, dims integer, rounding vector, sixteenths vector, cubes vector
) returns vector
language plpgsql immutable parallel safe as $$
declare
  high vector := (codes + rounding) - rounding;
  both vector := (high * sixteenths) || (codes - high);
begin
  if vector_dims(both) > dims then both := subvector(both, 1, dims); end if;
  return l2_normalize(both + both * both * both * cubes + outliers::vector);
end $$;
comment on function millrace.unpack_sq4(vector, sparsevec, integer, vector, vector, vector) is
  'What millrace.decode_sq4 does, with its constants as arguments.';

create function millrace.decode_sq4(codes "char"[], outliers sparsevec, dims integer) returns vector
language sql immutable parallel safe as $$
  select millrace.unpack_sq4(
    codes::integer[]::vector, outliers, dims,
    array_fill((1.5 * 2 ^ 27)::real, array[(dims + 1) / 2])::vector, -- from 2^27 on, floats are multiples of 16
    array_fill((1 / 16.0)::real, array[(dims + 1) / 2])::vector,
    array_fill(0.01::real, array[dims])::vector
  )
$$;
comment on function millrace.decode_sq4("char"[], sparsevec, integer) is
  'The unit vector of a row of storage sq4: millrace.decode_sq4(v.codes, v.outliers, dims of the generation).';

create function millrace.bits_of(dims integer) returns integer
language sql immutable strict parallel safe as $$ select 2 * dims $$;
comment on function millrace.bits_of(integer) is 'Bits of a vector of so many dims in storage sq8, sq4 and binary.';

-- Two bits a dim: is it above the upper third of a normal distribution, is it above the lower (0.4307 is the quantile at
-- 2/3). Their Hamming distance goes with the angle more closely than that of signs.
create function millrace.search_bits(query vector) returns bit varying
language sql immutable strict parallel safe as $$
  select binary_quantize(u.unit - u.edges) || binary_quantize(u.unit + u.edges)
  from (
    select l2_normalize(query) as unit,
      array_fill((0.4307 / sqrt(vector_dims(query)))::real, array[vector_dims(query)])::vector as edges
  ) u
$$;
comment on function millrace.search_bits(vector) is
  'The bits of a vector as storage sq8, sq4 and binary keep them, to order by: '
  'bits <~> millrace.search_bits(query)::bit(n), n being millrace.bits_of(dims).';

-- A search for k in a form with bits reads that many candidates and scores them by their decoded vectors; other forms
-- need no more than k. Measured (bench search/storage).
create function millrace.candidates_of(storage text, k integer, texts bigint) returns integer
language sql immutable parallel safe as $$
  select case when storage in ('sq8', 'sq4', 'binary')
    then least(10000, greatest(4 * k + 100, least(10 * k, coalesce(texts, 10000) / 20)))
    else k end::integer
$$;
comment on function millrace.candidates_of(text, integer, bigint) is
  'How many candidates a search for k should score in a form of storage, of so many texts (null: not known).';
