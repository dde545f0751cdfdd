-- What bm25 counts of a text. Generations that are there keep what they have; new ones have a term for every word.

alter table millrace.generations
  add column counted text not null default 'tokens', -- tokens: the model's own alone; terms: also what its vocabulary cannot spell
  add constraint generations_counted check (counted in ('tokens', 'terms'));
alter table millrace.generations alter column counted set default 'terms';
