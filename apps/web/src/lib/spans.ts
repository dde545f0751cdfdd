/** UTF-16 code units of a text. */
export interface Span {
  readonly start: number
  readonly end: number
  /** What a pointer that rests on it is told. */
  readonly title?: string | undefined
  /** 0..1: how much it counts; 1 when left out. */
  readonly strength?: number | undefined
}

export interface Piece {
  readonly text: string
  readonly isMarked: boolean
  readonly title: string | undefined
  /** How strong the mark is, 0 to 1. */
  readonly strength: number
}

/** The weakest mark is still one. */
const FAINTEST = 0.35

/** The text in pieces, those in spans marked. Spans may come in any order; what overlaps an earlier one is left out. */
export function cutAtSpans(text: string, spans: readonly Span[]): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  const plain = (end: number) => {
    if (end > at) pieces.push({ text: text.slice(at, end), isMarked: false, title: undefined, strength: 1 })
  }
  for (const span of [...spans].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const end = Math.min(span.end, text.length)
    if (span.start < at || end <= span.start) continue
    plain(span.start)
    const strength = Math.min(1, Math.max(0, span.strength ?? 1))
    pieces.push({
      text: text.slice(span.start, end),
      isMarked: true,
      title: span.title,
      strength: FAINTEST + (1 - FAINTEST) * strength,
    })
    at = end
  }
  plain(text.length)
  return pieces
}
