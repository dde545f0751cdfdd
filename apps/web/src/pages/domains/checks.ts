import { isDomainName } from '../../lib/domain-name.ts'
import {
  type ChunkingForm,
  type Count,
  chunkingDefaults,
  type DomainForm,
  EXTERNAL,
  type IndexForm,
  type LevelRow,
  type SearchForm,
  type SetupForm,
} from './form.ts'

/** What is wrong with a field, seen before it is sent: `key` of the sentence, and the numbers in it. */
export type Wrong =
  | { readonly key: 'nameEmpty' | 'name' | 'levelName' }
  | { readonly key: 'number' | 'whole'; readonly least: number; readonly most: number }
  | { readonly key: 'below'; readonly n: number }
/** By the path of the field in the request, as the server would name it. */
export type Wrongs = Readonly<Record<string, Wrong>>
type Found = readonly (readonly [path: string, wrong: Wrong | undefined])[]

const DIMS_MAX = 16_000
const SIZE_MIN = 32
const PARENT_SIZE_MAX = 32_768
const TOP_MAX = 200
const M = { least: 2, most: 100, usual: 16 } as const
const EF_CONSTRUCTION = { least: 4, most: 1_000 } as const
const EF_SEARCH = { least: 1, most: 1_000 } as const
const LEVEL_NAME_MAX = 100

/** What a person can see to be wrong with a new domain; the server knows the rest. */
export function checkNew(form: DomainForm, tokensMax: number): Wrongs {
  const isExternal = form.model === EXTERNAL
  return wrongsOf([
    ['name', checkName(form.name)],
    ...(isExternal ? [['dims', whole(form.dims, 1, DIMS_MAX, true)] as const] : []),
    ['threshold', number(form.threshold)],
    ...checkLevels(form.levels ?? []),
    ...(isExternal ? [] : [...checkChunking(form.chunking, tokensMax), ...checkSearch(form.search)]),
    ...checkIndex(form.index),
  ])
}

/** The same of one that is there. */
export const checkSetup = (form: SetupForm, standing: IndexForm): Wrongs =>
  wrongsOf([
    ['threshold', number(form.threshold)],
    ...checkLevels(form.levels),
    ...checkSearch(form.search),
    ...checkIndex(form.index, standing),
  ])

const wrongsOf = (found: Found): Wrongs =>
  Object.fromEntries(found.flatMap(([path, wrong]) => (wrong === undefined ? [] : [[path, wrong]])))

function checkName(name: string): Wrong | undefined {
  if (name === '') return { key: 'nameEmpty' }
  return isDomainName(name) ? undefined : { key: 'name' }
}

const isWithin = (value: number, least: number, most: number) => value >= least && value <= most

function number(value: Count | null, isNeeded = false): Wrong | undefined {
  const isRight = value === '' || value === null ? !isNeeded : isWithin(value, -1, 1)
  return isRight ? undefined : { key: 'number', least: -1, most: 1 }
}

function whole(value: Count, least: number, most: number, isNeeded = false): Wrong | undefined {
  const isRight = value === '' ? !isNeeded : Number.isInteger(value) && isWithin(value, least, most)
  return isRight ? undefined : { key: 'whole', least, most }
}

const checkLevels = (rows: readonly LevelRow[]): Found =>
  rows.flatMap(({ above, name }, i) => [
    [
      `levels.${i}.above`,
      i === rows.length - 1 ? undefined : checkBorder(above, rows[i - 1]?.above),
    ] as const,
    ...(['en', 'zh'] as const).map(
      (language) => [`levels.${i}.name.${language}`, checkLevelName(name[language])] as const,
    ),
  ])

function checkBorder(above: Count | null, higher: Count | null | undefined): Wrong | undefined {
  const wrong = number(above, true)
  if (wrong !== undefined) return wrong
  return typeof higher === 'number' && typeof above === 'number' && above >= higher
    ? { key: 'below', n: higher }
    : undefined
}

const checkLevelName = (name: string): Wrong | undefined =>
  isWithin(name.length, 1, LEVEL_NAME_MAX) ? undefined : { key: 'levelName' }

function checkChunking({ kind, size, overlap, parentSize }: ChunkingForm, tokensMax: number): Found {
  const wrongSize = whole(size, SIZE_MIN, tokensMax)
  const most = size === '' || wrongSize !== undefined ? chunkingDefaults(kind, tokensMax).size : size
  return [
    ['chunking.size', wrongSize],
    ['chunking.overlap', kind === 'document' ? undefined : whole(overlap, 0, Math.ceil(most / 2) - 1)],
    ['chunking.parentSize', kind === 'parent' ? whole(parentSize, most, PARENT_SIZE_MAX) : undefined],
  ]
}

const checkSearch = ({ rerankBy, rerankTop }: SearchForm): Found => [
  ['search.rerank.top', rerankBy === '' ? undefined : whole(rerankTop, 1, TOP_MAX)],
]

/** @param standing what the domain has: none of it can be left empty, and what stays as it is follows m by itself */
function checkIndex({ m, efConstruction, efSearch }: IndexForm, standing?: IndexForm): Found {
  const isNeeded = standing !== undefined
  const wrongM = whole(m, M.least, M.most, isNeeded)
  const neighbours = m === '' || wrongM !== undefined ? M.usual : m
  const least = efConstruction === standing?.efConstruction ? EF_CONSTRUCTION.least : 2 * neighbours
  return [
    ['index.m', wrongM],
    ['index.efConstruction', whole(efConstruction, least, EF_CONSTRUCTION.most, isNeeded)],
    ['index.efSearch', whole(efSearch, EF_SEARCH.least, EF_SEARCH.most, isNeeded)],
  ]
}
