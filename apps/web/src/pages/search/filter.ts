import { type Filter, parseFilter } from './request.ts'

export type Scalar = string | number | boolean | null

/** A field that can be filtered by, as GET …/fields describes it. */
export interface Field {
  readonly name: string
  /** `date`: a text that is one. */
  readonly types: readonly string[]
  /** The commonest. */
  readonly values: readonly { readonly value: Scalar; readonly documents: number }[]
  readonly min?: number | string | null
  readonly max?: number | string | null
}

export const OPERATORS = [
  'eq',
  'ne',
  'in',
  'gt',
  'gte',
  'lt',
  'lte',
  'contains',
  'prefix',
  'exists',
  'missing',
] as const
export type Operator = (typeof OPERATORS)[number]

/** A condition as it is edited; values as they are typed. */
export interface FilterRow {
  readonly field: string
  readonly operator: Operator
  readonly values: readonly string[]
}

/** The document's own: there in every domain. */
export const OWN_FIELDS: readonly Field[] = ['document.id', 'document.title', 'document.createdAt'].map(
  (name) => ({
    name,
    types: [name === 'document.createdAt' ? 'date' : 'string'],
    values: [],
  }),
)

/** Of an object nothing can be asked but whether it is there. */
export const isFilterable = (field: Pick<Field, 'name' | 'types'>): boolean => operatorsOf(field).length > 0

export const ORDERED: readonly Operator[] = ['gt', 'gte', 'lt', 'lte']
const COMMON: readonly Operator[] = ['eq', 'ne', 'in']
const PRESENCE: readonly Operator[] = ['exists', 'missing']

/** What can be asked of a field, by what is in it. */
export function operatorsOf({ name, types }: Pick<Field, 'name' | 'types'>): readonly Operator[] {
  if (name === 'document.createdAt') return ['gte', 'lt', 'gt', 'lte']
  const has = (type: string) => types.includes(type)
  const isList = has('array')
  const isText = has('string') || has('date')
  const isScalar = isText || has('number') || has('boolean') || has('null')
  return OPERATORS.filter(
    (operator) =>
      (PRESENCE.includes(operator) && name !== 'document.id') ||
      (COMMON.includes(operator) && isScalar) ||
      (ORDERED.includes(operator) && (has('number') || isText)) ||
      (operator === 'prefix' && isText) ||
      (operator === 'contains' && (isText || isList)),
  )
}

/** What was typed, as the field has it: a number where it has numbers, unless it has that very text. */
export function readValue(field: Field | undefined, typed: string): Scalar {
  const known = field?.values.find(({ value }) => String(value) === typed)
  if (known !== undefined) return known.value
  const types = field?.types ?? []
  if (typed === 'null' && types.includes('null')) return null
  if ((typed === 'true' || typed === 'false') && types.includes('boolean')) return typed === 'true'
  const isNumber = typed.trim() !== '' && Number.isFinite(Number(typed))
  // What lists hold is not described: a number is the better guess there too.
  return isNumber && !types.includes('string') && !types.includes('date') ? Number(typed) : typed
}

/** Whether a row says all that it must; others wait, and filter nothing. */
export const isWhole = ({ field, operator, values }: FilterRow): boolean =>
  field !== '' && (PRESENCE.includes(operator) || values.some((value) => value !== ''))

/** The rows as a filter; undefined: none of them filters. */
export function compileRows(rows: readonly FilterRow[], fields: readonly Field[]): Filter | undefined {
  const conditions = rows.filter(isWhole).map((row) => conditionOf(row, fields))
  if (conditions.length === 0) return undefined
  const merged: Record<string, Record<string, unknown>> = Object.create(null)
  const doubled: Filter[] = []
  for (const { field, operator, value } of conditions) {
    const there = merged[field]
    if (there !== undefined && operator in there) doubled.push({ [field]: { [operator]: value } })
    else merged[field] = { ...there, [operator]: value }
  }
  const short = Object.fromEntries(Object.entries(merged).map(([field, all]) => [field, shortOf(all)]))
  return doubled.length === 0 ? short : { and: [short, ...doubled] }
}

function conditionOf({ field: name, operator, values }: FilterRow, fields: readonly Field[]) {
  const field = fields.find((one) => one.name === name)
  if (operator === 'exists' || operator === 'missing') {
    return { field: name, operator: 'exists', value: operator === 'exists' }
  }
  const typed = values.filter((value) => value !== '').map((value) => readValue(field, value))
  return { field: name, operator, value: operator === 'in' ? typed : (typed[0] ?? null) }
}

/** {"field": value} where that says the same. */
function shortOf(all: Readonly<Record<string, unknown>>): unknown {
  return Object.keys(all).length === 1 && 'eq' in all ? all.eq : all
}

/** The rows that make this filter; undefined where rows cannot say it (`or`, `not`, what has no row). */
export function rowsOf(filter: Filter): FilterRow[] | undefined {
  const rows: FilterRow[] = []
  for (const [name, value] of Object.entries(filter)) {
    const more =
      name === 'and' ? rowsOfAll(value) : name === 'or' || name === 'not' ? undefined : ofField(name, value)
    if (more === undefined) return undefined
    rows.push(...more)
  }
  return rows
}

function rowsOfAll(filters: unknown): FilterRow[] | undefined {
  if (!Array.isArray(filters)) return undefined
  const all = filters.map((one) => (isObject(one) ? rowsOf(one) : undefined))
  return all.some((rows) => rows === undefined) ? undefined : all.flatMap((rows) => rows ?? [])
}

function ofField(field: string, value: unknown): FilterRow[] | undefined {
  if (isScalar(value)) return [{ field, operator: 'eq', values: [String(value)] }]
  if (!isObject(value)) return undefined
  const rows = Object.entries(value).map(([operator, operand]): FilterRow | undefined => {
    if (operator === 'exists' && typeof operand === 'boolean') {
      return { field, operator: operand ? 'exists' : 'missing', values: [] }
    }
    const known = OPERATORS.find((one) => one === operator)
    if (known === undefined || PRESENCE.includes(known)) return undefined
    if (known === 'in') {
      const isList = Array.isArray(operand) && operand.length > 0 && operand.every(isScalar)
      return isList ? { field, operator: known, values: operand.map(String) } : undefined
    }
    return isScalar(operand) ? { field, operator: known, values: [String(operand)] } : undefined
  })
  return rows.every((row) => row !== undefined) ? rows : undefined
}

/**
 * The rows that a filter of an address is shown as: only where they say the very same, values and their types
 * included, since nothing may change by being looked at. Undefined: it is shown as JSON.
 */
export function rowsFor(json: string, fields: readonly Field[]): FilterRow[] | undefined {
  try {
    const filter = parseFilter(json)
    if (filter === undefined) return []
    const rows = rowsOf(filter)
    if (rows === undefined) return undefined
    return canonical(compileRows(rows, fields)) === canonical(compact(filter)) ? rows : undefined
  } catch {
    return undefined
  }
}

/** With `and` of one level and eq written short, as compileRows writes it. */
function compact(filter: Filter): Filter {
  return Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [
      name,
      name !== 'and' && isObject(value) ? shortOf(value) : value,
    ]),
  )
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) =>
    isObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one,
  )

const isScalar = (value: unknown): value is Scalar =>
  value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
const isObject = (value: unknown): value is Filter =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
