import type { Answer, Body, Domain } from '../../api/client.ts'
import type { Problem } from '../../api/problem.ts'
import { fusionText, presetsOf } from '../../lib/fusion.ts'

export type Model = Answer<'/v1/models', 'get'>['models'][number]
export type NewDomain = Body<'/v1/domains', 'post'>
export type Change = Body<'/v1/domains/{name}', 'patch'>

/** Of a field that may be left empty: the default then. NaN: what was typed is no number. */
export type Count = number | ''

export const EXTERNAL = 'external'
export const KINDS = ['structure', 'markdown', 'sentence', 'fixed', 'document', 'parent'] as const
export type Kind = (typeof KINDS)[number]
export const CONTEXTS = ['title', 'headings', 'none'] as const
export type Context = (typeof CONTEXTS)[number]
export const POOLINGS = ['mean', 'max'] as const
export const STORAGES = ['full', 'half', 'sq8', 'sq4', 'binary'] as const
export const MODES = ['dense', 'sparse', 'hybrid'] as const
export type Mode = (typeof MODES)[number]
/** In the order in which they run. */
export const STEPS = [
  'pageHeaders',
  'newlines',
  'controls',
  'softHyphens',
  'fullWidth',
  'nfc',
  'frontMatter',
  'htmlComments',
  'html',
  'tables',
  'symbolRuns',
  'whitespace',
] as const
export type Step = (typeof STEPS)[number]

export interface LevelRow {
  key: string
  above: Count | null
  name: { zh: string; en: string }
}

export interface ChunkingForm {
  kind: Kind
  size: Count
  overlap: Count
  /** '': that of the kind. */
  context: Context | ''
  template: string
  pooling: (typeof POOLINGS)[number]
  parentSize: Count
}

export interface SearchForm {
  mode: Mode
  /** '': the one that fits the model. */
  fusion: string
  /** '': none. */
  rerankBy: string
  rerankTop: Count
}

export interface IndexForm {
  m: Count
  efConstruction: Count
  efSearch: Count
}

export interface DomainForm {
  name: string
  model: string
  dims: Count
  threshold: Count
  /** Null: those of the model. */
  levels: LevelRow[] | null
  chunking: ChunkingForm
  cleaning: Record<Step, boolean>
  storage: (typeof STORAGES)[number]
  sparse: boolean
  colbert: boolean
  index: IndexForm
  search: SearchForm
}

export const emptyForm = (model: string): DomainForm => ({
  name: '',
  model,
  dims: '',
  threshold: '',
  levels: null,
  chunking: {
    kind: 'structure',
    size: '',
    overlap: '',
    context: '',
    template: '',
    pooling: 'mean',
    parentSize: '',
  },
  cleaning: Object.fromEntries(STEPS.map((step) => [step, true])) as Record<Step, boolean>,
  storage: 'full',
  sparse: true,
  colbert: false,
  index: { m: '', efConstruction: '', efSearch: '' },
  search: { mode: 'dense', fusion: '', rerankBy: '', rerankTop: '' },
})

/** What a kind of chunking does where nothing is said, as the API has it. */
export const chunkingDefaults = (kind: Kind, tokensMax: number) => ({
  size: Math.min(kind === 'parent' ? 128 : 256, tokensMax),
  overlap: 0,
  context: kind === 'markdown' ? ('headings' as const) : ('title' as const),
  parentSize: 512,
})

const given = (value: Count): number | undefined => (value === '' ? undefined : value)

/** Without what is undefined; undefined when nothing is left. */
function some<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } | undefined {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined)
  return kept.length === 0
    ? undefined
    : (Object.fromEntries(kept) as { [K in keyof T]?: Exclude<T[K], undefined> })
}

/** What is asked for: what a person left as it was is left out, and the server's default holds. */
export function newDomainOf(form: DomainForm): NewDomain {
  const { name, model } = form
  const index = some({
    m: given(form.index.m),
    efConstruction: given(form.index.efConstruction),
    efSearch: given(form.index.efSearch),
  })
  const common = some({
    threshold: given(form.threshold),
    levels: form.levels === null ? undefined : levelsOf(form.levels),
    storage: form.storage === 'full' ? undefined : form.storage,
    index,
  })
  if (model === EXTERNAL) return { name, model, ...some({ dims: given(form.dims) }), ...common }
  const off = STEPS.filter((step) => !form.cleaning[step])
  return {
    name,
    model,
    ...common,
    ...some({
      chunking: some(chunkingOf(form.chunking)),
      cleaning: off.length === 0 ? undefined : Object.fromEntries(off.map((step) => [step, false])),
      outputs: outputsOf(form),
      search: some(searchOf(form.search, form.sparse)),
    }),
  }
}

function chunkingOf(chunking: ChunkingForm) {
  const { kind } = chunking
  return {
    kind: kind === 'structure' ? undefined : kind,
    size: given(chunking.size),
    overlap: kind === 'document' ? undefined : given(chunking.overlap),
    context: chunking.context === '' ? undefined : chunking.context,
    template: chunking.template === '' ? undefined : chunking.template,
    pooling: kind === 'document' && chunking.pooling !== 'mean' ? chunking.pooling : undefined,
    parentSize: kind === 'parent' ? given(chunking.parentSize) : undefined,
  }
}

function outputsOf({ sparse, colbert }: DomainForm): ('dense' | 'sparse' | 'colbert')[] | undefined {
  if (sparse && !colbert) return undefined
  return ['dense', ...(sparse ? (['sparse'] as const) : []), ...(colbert ? (['colbert'] as const) : [])]
}

const searchOf = (search: SearchForm, hasTerms: boolean) => ({
  mode: hasTerms && search.mode !== 'dense' ? search.mode : undefined,
  fusion: search.fusion === '' ? undefined : search.fusion,
  rerank: search.rerankBy === '' ? undefined : rerankOf(search),
})

const rerankOf = ({ rerankBy, rerankTop }: SearchForm) =>
  rerankBy === '' ? null : { by: rerankBy, ...some({ top: given(rerankTop) }) }

/** A border that is empty is out of range, so that nothing takes it for another; checks.ts sees it before. */
export const levelsOf = (rows: readonly LevelRow[]): NonNullable<NewDomain['levels']> =>
  rows.map(({ key, above, name }, i) => ({
    key,
    above: i === rows.length - 1 ? null : above === '' || above === null ? 2 : above,
    name: { ...name },
  }))

export const rowsOf = (levels: Domain['levels']): LevelRow[] =>
  levels.map(({ key, above, name }) => ({ key, above, name: { ...name } }))

/** Another level above the last one, half-way to the one before it. */
export function addLevel(rows: readonly LevelRow[]): LevelRow[] {
  const lowest = rows.at(-2)?.above
  const above = typeof lowest === 'number' ? Math.round((lowest - 0.1) * 100) / 100 : 0.5
  let n = rows.length + 1
  while (rows.some(({ key }) => key === `level_${n}`)) n++
  return [...rows.slice(0, -1), { key: `level_${n}`, above, name: { zh: '', en: '' } }, ...rows.slice(-1)]
}

export interface SetupForm {
  threshold: Count
  levels: LevelRow[]
  search: SearchForm
  index: IndexForm
}

export const setupOf = (domain: Domain): SetupForm => ({
  threshold: domain.threshold ?? '',
  levels: rowsOf(domain.levels),
  search: {
    mode: domain.search.mode as Mode,
    fusion: fusionText(domain.search.fusion),
    rerankBy: domain.search.rerank?.by ?? '',
    rerankTop: domain.search.rerank?.top ?? '',
  },
  index: { ...domain.index },
})

const differs = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b)

/** What a person changed of a domain; empty: nothing. */
export function changeOf(domain: Domain, form: SetupForm): Change {
  const before = setupOf(domain)
  const { m, efConstruction, efSearch } = form.index
  return {
    ...some({
      threshold: differs(before.threshold, form.threshold) ? (given(form.threshold) ?? null) : undefined,
      levels: differs(before.levels, form.levels) ? levelsOf(form.levels) : undefined,
      search: some({
        mode: form.search.mode === before.search.mode ? undefined : form.search.mode,
        fusion: form.search.fusion === before.search.fusion ? undefined : form.search.fusion || undefined,
        rerank:
          form.search.rerankBy === before.search.rerankBy && form.search.rerankTop === before.search.rerankTop
            ? undefined
            : rerankOf(form.search),
      }),
      index: some({
        m: m === before.index.m ? undefined : given(m),
        efConstruction: efConstruction === before.index.efConstruction ? undefined : given(efConstruction),
        efSearch: efSearch === before.index.efSearch ? undefined : given(efSearch),
      }),
    }),
  }
}

/** Presets that make sense where these outputs are kept; the first is what holds when none is named. */
export function fusionsOf(lexical: string | null, outputs: readonly string[]): string[] {
  return lexical === null ? [] : presetsOf(lexical, lexical === 'learned' && outputs.includes('colbert'))
}

/** Errors whose `details` name no field, and the field that they are about. */
const FIELDS: Readonly<Record<string, string>> = {
  DOMAIN_EXISTS: 'name',
  BAD_DIMS: 'dims',
  UNKNOWN_MODEL: 'model',
  NOT_AN_EMBEDDER: 'model',
  BAD_CHUNKING: 'chunking.size',
  BAD_INDEX: 'index.efConstruction',
  MISSING_OUTPUT: 'colbert',
  BAD_FUSION: 'search.fusion',
  BAD_THRESHOLD: 'threshold',
  NOT_A_RERANKER: 'search.rerank.by',
  MODE_NEEDS_TERMS: 'search.mode',
}

export type FieldErrors = Readonly<Record<string, string>>

/** What is wrong with which field, by its path in the request; empty when the problem is of none. */
export function fieldErrors(
  problem: Pick<Problem, 'code' | 'message' | 'hint' | 'details'> | undefined,
): FieldErrors {
  if (problem === undefined) return {}
  const { code, details } = problem
  if (code === 'INVALID_REQUEST' && Array.isArray(details)) {
    const told = details.filter(isIssue).filter(({ path }) => path !== '')
    return Object.fromEntries(told.map(({ path, message }) => [path, message]))
  }
  const named =
    typeof details === 'object' && details !== null && 'field' in details ? details.field : undefined
  const field = typeof named === 'string' ? named : FIELDS[code]
  if (field === undefined) return {}
  return { [field]: problem.hint === undefined ? problem.message : `${problem.message}. ${problem.hint}.` }
}

const isIssue = (value: unknown): value is { path: string; message: string } =>
  typeof value === 'object' &&
  value !== null &&
  'path' in value &&
  typeof value.path === 'string' &&
  'message' in value &&
  typeof value.message === 'string'

/** Whether an error is of a field below one of these paths. */
export const hasErrorIn = (errors: FieldErrors, ...paths: readonly string[]): boolean =>
  Object.keys(errors).some((field) => paths.some((path) => field === path || field.startsWith(`${path}.`)))
