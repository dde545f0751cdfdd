/** One comparison as the browser keeps it. */
export interface Entry {
  readonly id: string
  /** ISO time. */
  readonly at: string
  readonly a: string
  readonly b: string
  /** '': the default model. */
  readonly domain: string
  readonly model: string
  readonly similarity: number
  readonly levelKey: string
  readonly level: { readonly zh: string; readonly en: string }
}

/** Kept at most; the oldest go first. */
export const KEPT = 500

/** What storage has, as far as it can be read; anything else is left out. Newest first. */
export function readEntries(stored: string | null): Entry[] {
  try {
    const value: unknown = JSON.parse(stored ?? '[]')
    return Array.isArray(value) ? value.filter(isEntry) : []
  } catch {
    return []
  }
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false
  const entry = value as Record<string, unknown>
  const level = entry.level as Record<string, unknown> | null | undefined
  return (
    ['id', 'at', 'a', 'b', 'domain', 'model', 'levelKey'].every((key) => typeof entry[key] === 'string') &&
    !Number.isNaN(Date.parse(String(entry.at))) &&
    typeof entry.similarity === 'number' &&
    typeof level?.zh === 'string' &&
    typeof level.en === 'string'
  )
}

/** The new one first; the same pair in the same domain is kept once, at its latest. */
export const addEntry = (entries: readonly Entry[], entry: Entry): Entry[] =>
  [
    entry,
    ...entries.filter(({ a, b, domain }) => a !== entry.a || b !== entry.b || domain !== entry.domain),
  ].slice(0, KEPT)

export const removeEntry = (entries: readonly Entry[], id: string): Entry[] =>
  entries.filter((entry) => entry.id !== id)

/** Those in whose texts, domain or level all the words stand, in any case. */
export function findEntries(entries: readonly Entry[], sought: string): readonly Entry[] {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return entries
  return entries.filter(({ a, b, domain, level }) => {
    const all = `${a}\n${b}\n${domain}\n${level.zh}\n${level.en}`.toLowerCase()
    return words.every((word) => all.includes(word))
  })
}

/** The storage of a browser, as far as it is used. */
interface Store {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

const STORED = 'millrace.comparisons'

export const loadEntries = (store: Store): Entry[] => readEntries(store.getItem(STORED))

/** Writes them; where the browser has no room, as many of the newest as fit. Returns what was kept. */
export function keepEntries(store: Store, entries: readonly Entry[]): Entry[] {
  for (let kept = [...entries]; ; kept = kept.slice(0, Math.floor(kept.length / 2))) {
    try {
      store.setItem(STORED, JSON.stringify(kept))
      return kept
    } catch {
      if (kept.length === 0) return []
    }
  }
}
