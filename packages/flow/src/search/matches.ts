import type { SparseVector, TermPlaces } from '@millrace/embed'

/** A part of a text, in UTF-16 code units. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A text as the model read it, and where its terms are. */
export interface PlacedText {
  readonly text: string
  readonly places: TermPlaces
}

/** What two texts have both. */
export interface Match {
  /** As the first text has it. */
  readonly token: string
  /** Its share of the sparse score, 0 to 1. */
  readonly weight: number
  readonly a: readonly Span[]
  readonly b: readonly Span[]
}

/** What each term that both have adds to the dot product of their weights. */
export function productsOf(a: SparseVector, b: SparseVector): Map<number, number> {
  const weights = new Map(Array.from(b.ids, (id, i) => [id, b.weights[i] ?? 0]))
  return new Map(
    Array.from(a.ids, (id, i): [number, number] => [id, (a.weights[i] ?? 0) * (weights.get(id) ?? 0)]).filter(
      ([, product]) => product > 0,
    ),
  )
}

/** Each term that both have, weighed alike. */
export const alike = (a: SparseVector, b: SparseVector): Map<number, number> => {
  const others = new Set(b.ids)
  return new Map(
    Array.from(
      a.ids.filter((id) => others.has(id)),
      (id) => [id, 1],
    ),
  )
}

export const sumOf = (products: ReadonlyMap<number, number>): number =>
  [...products.values()].reduce((sum, product) => sum + product, 0)

/**
 * The terms that carried a score, those that count most first, each with all its places. A term that one of the texts
 * does not show (it is in the model's instruction, or white space alone) is left out, its share too.
 * @param products what each term adds to the score
 */
export function matchesOf(
  a: PlacedText,
  b: PlacedText,
  products: ReadonlyMap<number, number>,
  most: number,
): Match[] {
  const whole = sumOf(products)
  const [inA, inB] = [placesOf(a.places, products), placesOf(b.places, products)]
  const matches = [...products].flatMap(([term, product]): Match[] => {
    const [places, others] = [inA.get(term), inB.get(term)]
    const first = places?.[0]
    if (places === undefined || others === undefined || first === undefined) return []
    const token = a.text.slice(first.start, first.end)
    return [{ token, weight: product / whole, a: places, b: others }]
  })
  return matches
    .sort((one, other) => other.weight - one.weight || startOf(one) - startOf(other))
    .slice(0, most)
}

const startOf = ({ a }: Match): number => a[0]?.start ?? 0

/** Where the wanted terms are: one by itself, and with the next one where those are a term too. */
function placesOf(
  { ids, pairs, starts, ends }: TermPlaces,
  wanted: ReadonlyMap<number, number>,
): Map<number, Span[]> {
  const places = new Map<number, Span[]>()
  const add = (term: number | undefined, start = 0, end = 0) => {
    if (term === undefined || start === end || !wanted.has(term)) return
    const known = places.get(term)
    if (known === undefined) places.set(term, [{ start, end }])
    else known.push({ start, end })
  }
  for (let i = 0; i < ids.length; i++) {
    add(ids[i], starts[i], ends[i])
    add(pairs[i], starts[i], ends[i + 1])
  }
  return places
}

/** Every token of a text, one with an empty span where it shows nothing. */
export const tokensOf = ({ starts, ends }: Pick<TermPlaces, 'starts' | 'ends'>): Span[] =>
  Array.from(starts, (start, i) => ({ start, end: ends[i] ?? start }))
