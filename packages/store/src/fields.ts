import type { Session } from './connect.js'

/** Kinds of JSON values; `date` is a text that is one. */
export const FIELD_TYPES = ['array', 'boolean', 'date', 'null', 'number', 'object', 'string'] as const
export type FieldType = (typeof FIELD_TYPES)[number]

export type Scalar = string | number | boolean | null

/** A field of the metadata, over the documents that were looked at. */
export interface FieldRow {
  readonly name: string
  readonly types: readonly FieldType[]
  /** That have it. */
  readonly documents: number
  /** Different scalars, those in lists too; null: more than can be told apart by eye. */
  readonly distinct: number | null
  /** The commonest scalars, those in lists too; a long text is none. */
  readonly values: readonly { readonly value: Scalar; readonly documents: number }[]
  /** Of the numbers, else of the dates. */
  readonly min: number | string | null
  readonly max: number | string | null
}

export interface FieldsRow {
  readonly documents: number
  /** There are documents that were not looked at. */
  readonly sampled: boolean
  /** The commonest first. */
  readonly fields: readonly FieldRow[]
}

/** The newest documents, and how much of their metadata, as it is kept. */
const DOCUMENTS_MAX = 10_000
const BYTES_MAX = 1 << 24
const FIELDS_MAX = 200
const DISTINCT_MAX = 1_000
const VALUES_MAX = 20
const VALUE_CHARS_MAX = 200
/** Of a list. */
const ELEMENTS_MAX = 100

/** ISO 8601, as `millrace.read_date` takes it: such texts compare rightly as texts. */
const DATE =
  '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])([T ]\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?( ?(Z|[+-]\\d\\d(:?\\d\\d)?))?)?$'

/** What the documents of a generation have in their metadata that a filter can name. */
export async function metadataFields(on: Session, generationId: number): Promise<FieldsRow> {
  const rows = await on.query<FieldsRow>(
    `with newest as materialized (
       select id, metadata, row_number() over latest as place,
         sum(pg_column_size(metadata)) over latest as bytes
       from (
         select document_id as id, metadata from millrace.published
         where generation_id = $1 order by document_id desc limit $2 + 1
       ) p
       window latest as (order by id desc)
     ), looked as materialized (
       select id, metadata from newest where place <= $2 and (bytes <= $3 or place = 1)
     ), fields as materialized (
       select l.id, e.key as name, e.value,
         case when jsonb_typeof(e.value) = 'string' and e.value #>> '{}' ~ $4 then 'date'
           else jsonb_typeof(e.value) end as kind
       from looked l cross join jsonb_each(l.metadata) e
       -- A filter takes these for something else.
       where e.key not in ('and', 'or', 'not') and not starts_with(e.key, 'document.')
     ), kinds as (
       select name, kind, count(*)::int as documents,
         min((value #>> '{}')::numeric) filter (where kind = 'number') as least,
         max((value #>> '{}')::numeric) filter (where kind = 'number') as most,
         min(value #>> '{}' collate "C") filter (where kind = 'date') as first,
         max(value #>> '{}' collate "C") filter (where kind = 'date') as last
       from fields group by name, kind
     ), listed as materialized (
       select name, array_agg(kind order by kind) as types, sum(documents)::int as documents,
         coalesce(to_jsonb(max(least)), to_jsonb(max(first collate "C"))) as min,
         coalesce(to_jsonb(max(most)), to_jsonb(max(last collate "C"))) as max
       from kinds group by name order by documents desc, name collate "C" limit $5
     ), scalars as (
       select name, value from fields where kind not in ('array', 'object')
       union all
       -- Once for each document, however often its list has it.
       select name, value from (
         select distinct f.id, f.name, e.value
         from fields f
         cross join jsonb_array_elements(jsonb_path_query_array(f.value, '$[0 to ${ELEMENTS_MAX - 1}]')) e
         where f.kind = 'array' and jsonb_typeof(e.value) not in ('array', 'object')
       ) elements
     ), counted as (
       select name, value, count(*)::int as documents, length(value #>> '{}') > $6 as long
       from scalars where name in (select name from listed) group by name, value
     ), ranked as (
       select *, count(*) over (partition by name) as distinct_values,
         row_number() over (partition by name, long order by documents desc, value) as place
       from counted
     ), summed as (
       select name, max(distinct_values)::int as distinct_values,
         jsonb_agg(jsonb_build_object('value', value, 'documents', documents) order by place)
           filter (where long is not true and place <= $7) as values
       from ranked group by name
     )
     select (select count(*)::int from looked) as documents,
       (select count(*) from newest) > (select count(*) from looked) as sampled,
       coalesce((
         select jsonb_agg(jsonb_build_object('name', l.name, 'types', l.types, 'documents', l.documents,
             'distinct', case when coalesce(s.distinct_values, 0) <= $8 then coalesce(s.distinct_values, 0) end,
             'values', coalesce(s.values, '[]'), 'min', l.min, 'max', l.max)
           order by l.documents desc, l.name collate "C")
         from listed l left join summed s using (name)
       ), '[]') as fields`,
    [generationId, DOCUMENTS_MAX, BYTES_MAX, DATE, FIELDS_MAX, VALUE_CHARS_MAX, VALUES_MAX, DISTINCT_MAX],
  )
  return rows[0] ?? { documents: 0, sampled: false, fields: [] }
}
