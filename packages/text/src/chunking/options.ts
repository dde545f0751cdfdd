import { CodedError } from '@millrace/errors'

/** How a text is divided. Part of the recipe. */
export interface ChunkingOptions {
  /**
   * `structure`: at headings, blocks and sentence ends, chosen by the content, so that an edit changes its own chunk
   * and a neighbour or two. `fixed`: windows of `size` tokens, cut between words.
   */
  readonly kind: 'structure' | 'fixed'
  /** Most tokens a chunk has, context and special tokens included. */
  readonly size: number
  /** Most tokens a chunk repeats from the one before it. Each chunk then has that much less room for text of its own. */
  readonly overlap: number
}

export const CHUNKING_DEFAULTS: ChunkingOptions = { kind: 'structure', size: 256, overlap: 0 }

/** Below this there is no room for a character of several tokens beside special tokens, context and overlap. */
export const CHUNK_SIZE_MIN = 32

const KINDS: readonly string[] = ['structure', 'fixed'] satisfies ChunkingOptions['kind'][]

/**
 * Refuses options that cannot work, with the code BAD_CHUNKING.
 * @param sizeMax the most tokens the model takes, special tokens included; not checked when absent
 */
export function checkChunking(options: ChunkingOptions, sizeMax = Number.POSITIVE_INFINITY): void {
  const { kind, size, overlap } = options
  if (!KINDS.includes(kind))
    refuse(`Unknown chunking ${JSON.stringify(kind)}`, `Use one of ${KINDS.join(', ')}`)
  if (!Number.isInteger(size) || size < CHUNK_SIZE_MIN) {
    refuse(`Chunk size ${size} is not a whole number from ${CHUNK_SIZE_MIN}`, 'Use 256 or leave it out')
  }
  if (size > sizeMax) {
    refuse(
      `Chunk size ${size} is above the model's ${sizeMax} tokens`,
      `Use at most ${sizeMax} or another model`,
    )
  }
  if (!Number.isInteger(overlap) || overlap < 0 || overlap >= size / 2) {
    refuse(
      `Overlap ${overlap} is not a whole number from 0 to below half of the size ${size}`,
      'Use 0 or a tenth',
    )
  }
}

function refuse(message: string, hint: string): never {
  throw new CodedError('BAD_CHUNKING', message, { hint })
}
