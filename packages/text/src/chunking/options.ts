import { CodedError } from '@millrace/errors'

/** How a text is divided. Part of the recipe. */
export interface ChunkingOptions {
  /**
   * `structure`: at headings, blocks and sentence ends, chosen by the content, so that an edit changes its own chunk
   * and a neighbour or two. `markdown`: the same, but a chunk holds one section, and tables are whole where they fit.
   * `sentence`: sentences as Intl.Segmenter sees them, without any structure but lines. `fixed`: windows of `size`
   * tokens, cut between words. `document`: the whole text is one chunk. `parent`: chunks by structure, each within a
   * longer parent that is shown for it.
   */
  readonly kind: 'structure' | 'markdown' | 'sentence' | 'fixed' | 'document' | 'parent'
  /** Most tokens a chunk has, context and special tokens included. Of `document`: what its context is measured by. */
  readonly size: number
  /** Most tokens a chunk repeats from the one before it. Each chunk then has that much less room for text of its own. */
  readonly overlap: number
  /** Of `document`: how the vectors of its windows become one, when the model cannot read it at once. */
  readonly pooling?: 'mean' | 'max'
  /** Of `parent`: most tokens a parent has. */
  readonly parentSize?: number
}

export const CHUNKING_DEFAULTS: ChunkingOptions = { kind: 'structure', size: 256, overlap: 0 }

/** Children are short, so that each is about one thing. */
export const CHILD_SIZE_DEFAULT = 128
export const PARENT_SIZE_DEFAULT = 512
/** A parent is read, not embedded: this bounds what an answer carries. */
export const PARENT_SIZE_MAX = 32_768

/** Below this there is no room for a character of several tokens beside special tokens, context and overlap. */
export const CHUNK_SIZE_MIN = 32

export const CHUNKING_KINDS = [
  'structure',
  'markdown',
  'sentence',
  'fixed',
  'document',
  'parent',
] as const satisfies ChunkingOptions['kind'][]

/**
 * Refuses options that cannot work, with the code BAD_CHUNKING.
 * @param sizeMax the most tokens the model takes, special tokens included; not checked when absent
 */
export function checkChunking(options: ChunkingOptions, sizeMax = Number.POSITIVE_INFINITY): void {
  const { kind, size, overlap } = options
  if (!CHUNKING_KINDS.includes(kind)) {
    refuse('kind', `Unknown chunking ${JSON.stringify(kind)}`, `Use one of ${CHUNKING_KINDS.join(', ')}`)
  }
  if (!Number.isInteger(size) || size < CHUNK_SIZE_MIN) {
    refuse(
      'size',
      `Chunk size ${size} is not a whole number from ${CHUNK_SIZE_MIN}`,
      'Use 256 or leave it out',
    )
  }
  if (size > sizeMax) {
    refuse(
      'size',
      `Chunk size ${size} is above the model's ${sizeMax} tokens`,
      `Use at most ${sizeMax} or another model`,
    )
  }
  if (!Number.isInteger(overlap) || overlap < 0 || overlap >= size / 2) {
    refuse(
      'overlap',
      `Overlap ${overlap} is not a whole number from 0 to below half of the size ${size}`,
      'Use 0 or a tenth',
    )
  }
  if (kind === 'document' && overlap > 0) {
    refuse('overlap', `Overlap ${overlap} of a text that is one chunk`, 'Leave the overlap out')
  }
  checkPooling(options)
  checkParent(options)
}

function checkPooling({ kind, pooling }: ChunkingOptions): void {
  if (pooling === undefined) return
  if (kind !== 'document')
    refuse('pooling', `Pooling is for whole documents, not for ${kind}`, 'Leave it out')
  if (pooling !== 'mean' && pooling !== 'max') {
    refuse('pooling', `Unknown pooling ${JSON.stringify(pooling)}`, 'Use mean or max')
  }
}

function checkParent({ kind, size, parentSize }: ChunkingOptions): void {
  if (parentSize === undefined) return
  if (kind !== 'parent')
    refuse('parentSize', `A parent size is for the kind parent, not for ${kind}`, 'Leave it out')
  if (!Number.isInteger(parentSize) || parentSize < size || parentSize > PARENT_SIZE_MAX) {
    refuse(
      'parentSize',
      `Parent size ${parentSize} is not a whole number from the chunk size ${size} to ${PARENT_SIZE_MAX}`,
      `Use ${Math.max(size, PARENT_SIZE_DEFAULT)} or leave it out`,
    )
  }
}

/** @throws CodedError BAD_CHUNKING */
export function refuse(
  field: 'kind' | 'size' | 'overlap' | 'pooling' | 'parentSize' | 'template',
  message: string,
  hint: string,
): never {
  throw new CodedError('BAD_CHUNKING', message, { hint, details: { field: `chunking.${field}` } })
}
