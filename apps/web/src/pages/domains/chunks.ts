export interface ChunkSpan {
  readonly chunk: number
  readonly start: number
  readonly end: number
}

/** A stretch of a document's text that lies in the same chunks from its beginning to its end. */
export interface Stretch {
  readonly start: number
  readonly text: string
  /** Where chunks overlap, the earlier ones first; none: left out by cleaning, or not cut yet. */
  readonly chunks: readonly number[]
  /** The chunk that begins here. */
  readonly begins: number | undefined
}

/** The text in stretches, at every place where a chunk begins or ends. Chunks come in the order of their starts. */
export function stretchesOf(text: string, chunks: readonly ChunkSpan[]): Stretch[] {
  const borders = new Set([0, text.length])
  const within = (at: number) => Math.min(Math.max(at, 0), text.length)
  for (const { start, end } of chunks) borders.add(within(start)).add(within(end))
  const ordered = [...borders].sort((a, b) => a - b)
  const stretches: Stretch[] = []
  let open: ChunkSpan[] = []
  let next = 0
  for (const [i, start] of ordered.entries()) {
    const end = ordered[i + 1]
    if (end === undefined) break
    open = open.filter((chunk) => chunk.end > start)
    let begins: number | undefined
    for (let one = chunks[next]; one !== undefined && within(one.start) <= start; one = chunks[++next]) {
      if (within(one.end) <= start) continue
      open.push(one)
      begins = one.chunk
    }
    stretches.push({ start, text: text.slice(start, end), chunks: open.map(({ chunk }) => chunk), begins })
  }
  return stretches
}
