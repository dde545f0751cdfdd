/** A document that was not taken, or failed. */
export interface BadDocument {
  readonly name: string
  readonly code: string
  readonly message: string
}

export interface Reason {
  readonly code: string
  readonly count: number
  /** The first of them, or all. */
  readonly documents: readonly BadDocument[]
}

interface Told {
  readonly code: string
  readonly count: number
  readonly example: Readonly<Record<string, unknown>>
}

/** The reasons that ingestions tell, each with an example a time; the commonest first. */
export function reasonsOf(told: readonly Told[]): Reason[] {
  const byCode = new Map<string, { count: number; documents: BadDocument[] }>()
  for (const { code, count, example } of told) {
    const reason = byCode.get(code) ?? { count: 0, documents: [] }
    reason.count += count
    reason.documents.push({ code, name: nameOf(example), message: String(example.message ?? '') })
    byCode.set(code, reason)
  }
  return ordered(byCode)
}

const nameOf = (example: Readonly<Record<string, unknown>>): string => {
  const named = example.document ?? example.id
  if (typeof named === 'string') return named
  return typeof example.index === 'number' ? `#${example.index + 1}` : ''
}

/** Documents by their reason; `more`: that are not listed but counted, by code. */
export function groupBad(documents: readonly BadDocument[]): Reason[] {
  const byCode = new Map<string, { count: number; documents: BadDocument[] }>()
  for (const document of documents) {
    const reason = byCode.get(document.code) ?? { count: 0, documents: [] }
    reason.count++
    reason.documents.push(document)
    byCode.set(document.code, reason)
  }
  return ordered(byCode)
}

const ordered = (
  byCode: ReadonlyMap<string, { readonly count: number; readonly documents: readonly BadDocument[] }>,
): Reason[] =>
  [...byCode]
    .map(([code, { count, documents }]) => ({ code, count, documents }))
    .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1))

/** Reasons with all their documents where these are listed, and with what the ingestion told where not. */
export function withAll(told: readonly Reason[], listed: readonly BadDocument[]): Reason[] {
  const all = new Map(groupBad(listed).map((reason) => [reason.code, reason]))
  return told.map((reason) => {
    const documents = all.get(reason.code)?.documents ?? []
    return documents.length > reason.documents.length ? { ...reason, documents } : reason
  })
}

interface Refused {
  readonly index: number
  readonly id?: string | undefined
  readonly code: string
  readonly message: string
}

/** Refusals of one request by the names that its documents have here. */
export const refusalsIn = (
  rejected: readonly Refused[],
  nameOf: (index: number, id: string | undefined) => string,
): BadDocument[] =>
  rejected.map(({ index, id, code, message }) => ({ name: nameOf(index, id), code, message }))
