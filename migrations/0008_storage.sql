-- STUB until the storage branch lands
create function millrace.decode_sq8(codes "char"[], dims integer) returns vector language sql immutable as $$ select null::vector $$;
create function millrace.decode_sq4(codes "char"[], dims integer) returns vector language sql immutable as $$ select null::vector $$;
create function millrace.search_bits(query vector) returns bit varying language sql immutable as $$ select null::bit varying $$;
create function millrace.candidates_of(storage text, k integer, texts bigint) returns integer language sql immutable as $$ select k $$;
create function millrace.bits_of(dims integer) returns integer language sql immutable as $$ select dims $$;
