import { CodedError } from '@millrace/errors'
import { markdownAtoms, sentenceAtoms, structureAtoms, wordAtoms } from './chunking/atoms.js'
import { type Count, type Counter, createCounter } from './chunking/count.js'
import { type Counted, count, draftsOf, type Group, sectionOf, shrink, trimmed } from './chunking/draft.js'
import type { Atom } from './chunking/level.js'
import { type ChunkingOptions, checkChunking, PARENT_SIZE_DEFAULT } from './chunking/options.js'
import { assignSections, outline, type Section } from './chunking/outline.js'
import { OVERLAP_BY_SENTENCE, OVERLAP_BY_WORD, type OverlapRule } from './chunking/overlap.js'
import { joinByContent, type Pack, packByContent, packInOrder, packParents } from './chunking/pack.js'
import { bySection } from './chunking/sections.js'
import { weigh } from './chunking/weigh.js'

/**
 * Part of the recipe: raised whenever the same text and options would be divided differently. 1: `structure` joined its
 * pieces from the weakest cut upwards; what was made with it can still be.
 */
export const CHUNKING_VERSION = 2

/** A span of a cleaned text. */
export interface Chunk {
  /** From 0. */
  readonly ordinal: number
  /** UTF-16 code units in the cleaned text. */
  readonly start: number
  readonly end: number
  /** The span itself, without white space around it. */
  readonly text: string
  /** Of context and text together, special tokens included: what the model will see. */
  readonly tokens: number
  /** The headings that its first text lies under, outermost first; none for a text without any. */
  readonly headings: readonly string[]
  /** What is put before the text for the model. */
  readonly context: string
  /** Index of the parent it lies in; null unless the kind is `parent`. */
  readonly parent: number | null
}

/** A longer span that is shown for the chunks in it. */
export interface Parent {
  readonly start: number
  readonly end: number
  readonly text: string
  readonly headings: readonly string[]
}

export interface Division {
  readonly chunks: readonly Chunk[]
  /** In order; none unless the kind is `parent`. */
  readonly parents: readonly Parent[]
}

/** What is put before the chunks under each heading path; asked once, for all of a text's paths. */
export type Contexts = (paths: readonly (readonly string[])[]) => Promise<readonly string[]>

export interface ChunkJob {
  /** Cleaned text. */
  readonly text: string
  readonly options: ChunkingOptions
  readonly count: Count
  /** Put before every chunk's text when it is embedded (a title and a newline, say); '' for none. */
  readonly context: string | Contexts
  /** CHUNKING_VERSION of when the recipe was made; the newest unless given. */
  readonly version?: number
}

interface Strategy {
  readonly atoms: (text: string) => Atom[]
  readonly pack: Pack
  readonly overlap: OverlapRule
  /** Runs of atoms that no chunk reaches beyond, as far as they are known before; one for a whole text. */
  readonly runs?: (atoms: readonly Atom[], size: number) => Atom[][]
}

const BY_STRUCTURE: Strategy = { atoms: structureAtoms, pack: packByContent, overlap: OVERLAP_BY_SENTENCE }

const STRATEGIES: Readonly<Record<Exclude<ChunkingOptions['kind'], 'document'>, Strategy>> = {
  structure: BY_STRUCTURE,
  parent: BY_STRUCTURE,
  markdown: { ...BY_STRUCTURE, atoms: markdownAtoms, runs: bySection },
  sentence: { ...BY_STRUCTURE, atoms: sentenceAtoms },
  fixed: { atoms: wordAtoms, pack: packInOrder, overlap: OVERLAP_BY_WORD },
}

/** Tokens a chunk must have for text of its own. */
const BUDGET_MIN = 8

/** The chunks of `divideText`. */
export const chunk = async (job: ChunkJob): Promise<readonly Chunk[]> => (await divideText(job)).chunks

/**
 * Divides a cleaned text into chunks of at most `options.size` tokens; of kind `document` into one of any size. Every
 * character but white space is in one of them at least, in order; a blank text has none. Time and memory grow with the
 * text's length, and `count` is called with many texts at a time.
 *
 * Throws BAD_CHUNKING for options that cannot work, CONTEXT_TOO_LONG when a context takes more than half of the size
 * (see fitContext) or leaves too little beside the overlap, CHUNK_SIZE_TOO_SMALL when a single character does not fit.
 */
export async function divideText(job: ChunkJob): Promise<Division> {
  const { text, options } = job
  checkChunking(options)
  if (text.trim() === '') return { chunks: [], parents: [] }
  const counter = createCounter(job.count)
  const sections = outline(text)
  if (options.kind === 'document') return wholeText(job, sections, counter)
  const version = job.version ?? CHUNKING_VERSION
  const known = STRATEGIES[options.kind]
  const strategy = version < 2 && options.kind === 'structure' ? { ...known, pack: joinByContent } : known
  const atoms = strategy.atoms(text)
  assignSections(atoms, sections)
  const contexts = await contextsOf(job.context, sections)
  const costs = await costsOf(contexts, options, counter)
  const plan = async (of: readonly Atom[], limit: number): Promise<Atom[][]> =>
    strategy.pack(text, await weigh(text, of, limit, costs, counter), limit, costs)

  const limit = options.size - options.overlap
  const weighed = await weigh(text, atoms, limit, costs, counter)
  const runs =
    options.kind === 'parent'
      ? packParents(text, weighed, await parentRoom(options, counter), limit, costs)
      : (strategy.runs?.(weighed, options.size) ?? [[...weighed]])
  let groups: Group[] = runs.flatMap((run, parent) =>
    packRun(strategy.pack, text, run, options, costs).map((group) => ({ ...group, parent })),
  )
  for (;;) {
    const drafts = await count(draftsOf(text, groups, options.overlap, strategy.overlap), contexts, counter)
    if (drafts.every(({ tokens }) => tokens <= options.size)) {
      const isParted = options.kind === 'parent'
      return {
        chunks: drafts.map((draft, ordinal) => chunkOf(draft, ordinal, sections, contexts, isParted)),
        parents: isParted ? runs.map((run) => parentOf(text, run, sections)) : [],
      }
    }
    groups = await shrink(drafts, options.size, plan)
  }
}

/** Room kept free for an overlap is no reason to divide what fits as it is. */
function packRun(
  pack: Pack,
  text: string,
  run: Atom[],
  options: ChunkingOptions,
  costs: readonly number[],
): Omit<Group, 'parent'>[] {
  const weight = run.reduce((sum, atom) => sum + atom.weight, costs[sectionOf({ atoms: run })] ?? 0)
  if (options.overlap > 0 && weight <= options.size) return [{ atoms: run, limit: options.size }]
  const limit = options.size - options.overlap
  return pack(text, run, limit, costs).map((atoms) => ({ atoms, limit }))
}

/** Tokens for the text of a parent. */
async function parentRoom({ parentSize }: ChunkingOptions, counter: Counter): Promise<number> {
  const [special = 0] = await counter.full([''])
  return (parentSize ?? PARENT_SIZE_DEFAULT) - special
}

function chunkOf(
  draft: Counted,
  ordinal: number,
  sections: readonly Section[],
  contexts: readonly string[],
  isParted: boolean,
): Chunk {
  const { start, end, text, tokens } = draft
  const section = sectionOf(draft)
  return {
    ordinal,
    start,
    end,
    text,
    tokens,
    headings: sections[section]?.path ?? [],
    context: contexts[section] ?? '',
    parent: isParted ? draft.parent : null,
  }
}

function parentOf(text: string, run: readonly Atom[], sections: readonly Section[]): Parent {
  const { start, end } = trimmed(text, run[0]?.start ?? 0, run.at(-1)?.end ?? 0)
  return {
    start,
    end,
    text: text.slice(start, end),
    headings: sections[sectionOf({ atoms: run })]?.path ?? [],
  }
}

async function wholeText(job: ChunkJob, sections: readonly Section[], counter: Counter): Promise<Division> {
  const { start, end } = trimmed(job.text, 0, job.text.length)
  const text = job.text.slice(start, end)
  // What the text begins with may be a heading, which is then of all of it.
  const headings = sections.length > 1 && sections[1]?.start === start ? sections[1].path : []
  const [context = ''] = typeof job.context === 'string' ? [job.context] : await job.context([headings])
  const [tokens = 0] = await counter.full([context + text])
  return { chunks: [{ ordinal: 0, start, end, text, tokens, headings, context, parent: null }], parents: [] }
}

/** The context of every section. */
async function contextsOf(context: string | Contexts, sections: readonly Section[]): Promise<string[]> {
  if (typeof context === 'string') return sections.map(() => context)
  return [...(await context(sections.map((section) => section.path)))]
}

/** Tokens that the context of each section takes, special tokens included. */
async function costsOf(
  contexts: readonly string[],
  options: ChunkingOptions,
  counter: Counter,
): Promise<number[]> {
  const distinct = [...new Set(contexts)]
  const counted = await counter.full(distinct)
  const costs = new Map(distinct.map((context, index) => [context, counted[index] ?? 0]))
  for (const [context, taken] of costs) {
    const budget = options.size - taken - options.overlap
    if ((context === '' || taken <= options.size / 2) && budget >= BUDGET_MIN) continue
    throw new CodedError(
      'CONTEXT_TOO_LONG',
      `The context takes ${taken} of a chunk's ${options.size} tokens`,
      { hint: 'Shorten it with fitContext, or raise the chunk size' },
    )
  }
  return contexts.map((context) => costs.get(context) ?? 0)
}
