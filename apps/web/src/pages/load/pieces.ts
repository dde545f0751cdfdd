interface Spanned {
  readonly start: number
  readonly end: number
}

/** A part of a text and the chunks that have it: none, one, or two where they overlap. */
export interface TextPiece {
  readonly text: string
  readonly start: number
  readonly chunks: readonly number[]
}

/** The text in pieces, cut wherever a chunk begins or ends. Chunks come in the order of their places. */
export function piecesOf(text: string, chunks: readonly Spanned[]): TextPiece[] {
  const cuts = new Set([0, text.length])
  for (const { start, end } of chunks) {
    cuts.add(Math.min(start, text.length))
    cuts.add(Math.min(end, text.length))
  }
  const places = [...cuts].sort((a, b) => a - b)
  const pieces: TextPiece[] = []
  let from = 0
  for (const [i, start] of places.entries()) {
    const end = places[i + 1]
    if (end === undefined) break
    // Chunks end in the order in which they begin: those that ended stay behind.
    while (from < chunks.length && (chunks[from]?.end ?? 0) <= start) from++
    const inside: number[] = []
    for (let at = from; at < chunks.length && (chunks[at]?.start ?? end) <= start; at++) {
      if ((chunks[at]?.end ?? 0) >= end) inside.push(at)
    }
    pieces.push({ text: text.slice(start, end), start, chunks: inside })
  }
  return pieces
}
