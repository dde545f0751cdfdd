import { CodedError } from '@millrace/errors'
import { structureAtoms, wordAtoms } from './chunking/atoms.js'
import { type Count, type Counter, createCounter } from './chunking/count.js'
import { count, draftsOf, type Group, shrink } from './chunking/draft.js'
import type { Atom } from './chunking/level.js'
import { type ChunkingOptions, checkChunking } from './chunking/options.js'
import { OVERLAP_BY_SENTENCE, OVERLAP_BY_WORD, type OverlapRule } from './chunking/overlap.js'
import { type Pack, packByContent, packInOrder } from './chunking/pack.js'
import { weigh } from './chunking/weigh.js'

/** Part of the recipe: raised whenever the same text and options would be divided differently. */
export const CHUNKING_VERSION = 1

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
}

export interface ChunkJob {
  /** Cleaned text. */
  readonly text: string
  readonly options: ChunkingOptions
  readonly count: Count
  /** Put before every chunk's text when it is embedded (a title and a newline, say); '' for none. */
  readonly context: string
}

interface Strategy {
  readonly atoms: (text: string) => Atom[]
  readonly pack: Pack
  readonly overlap: OverlapRule
}

const STRATEGIES: Readonly<Record<ChunkingOptions['kind'], Strategy>> = {
  structure: { atoms: structureAtoms, pack: packByContent, overlap: OVERLAP_BY_SENTENCE },
  fixed: { atoms: wordAtoms, pack: packInOrder, overlap: OVERLAP_BY_WORD },
}

/** Tokens a chunk must have for text of its own. */
const BUDGET_MIN = 8

/**
 * Divides a cleaned text into chunks of at most `options.size` tokens. Every character but white space is in one of
 * them at least, in order; a blank text has none. Time and memory grow with the text's length, and `count` is called
 * with many texts at a time.
 *
 * Throws BAD_CHUNKING for options that cannot work, CONTEXT_TOO_LONG when the context takes more than half of the size
 * (see fitContext) or leaves too little beside the overlap, CHUNK_SIZE_TOO_SMALL when a single character does not fit.
 */
export async function chunk(job: ChunkJob): Promise<Chunk[]> {
  const { text, options, context } = job
  checkChunking(options)
  if (text.trim() === '') return []
  const counter = createCounter(job.count)
  const budget = await budgetFor(context, options, counter)
  const strategy = STRATEGIES[options.kind]
  const plan = async (atoms: readonly Atom[], most: number): Promise<Atom[][]> =>
    strategy.pack(text, await weigh(text, atoms, most, counter), most)

  const planned = await plan(strategy.atoms(text), budget)
  let groups: Group[] = planned.map((atoms) => ({ atoms, budget }))
  // Room kept free for an overlap is no reason to divide a text that fits as it is.
  if (options.overlap > 0 && weightOf(planned) <= budget + options.overlap) {
    groups = [{ atoms: planned.flat(), budget: budget + options.overlap }]
  }
  for (;;) {
    const drafts = await count(draftsOf(text, groups, options.overlap, strategy.overlap), context, counter)
    if (drafts.every(({ tokens }) => tokens <= options.size)) {
      return drafts.map(({ start, end, text, tokens }, ordinal) => ({ ordinal, start, end, text, tokens }))
    }
    groups = await shrink(drafts, options.size, plan)
  }
}

const weightOf = (groups: readonly (readonly Atom[])[]): number =>
  groups.flat().reduce((sum, atom) => sum + atom.weight, 0)

/** Tokens that context, special tokens and overlap leave for a chunk's own text. */
async function budgetFor(context: string, options: ChunkingOptions, counter: Counter): Promise<number> {
  const [taken = 0] = await counter.full([context])
  const budget = options.size - taken - options.overlap
  if ((context !== '' && taken > options.size / 2) || budget < BUDGET_MIN) {
    throw new CodedError(
      'CONTEXT_TOO_LONG',
      `The context takes ${taken} of a chunk's ${options.size} tokens`,
      {
        hint: 'Shorten it with fitContext, or raise the chunk size',
      },
    )
  }
  return budget
}
