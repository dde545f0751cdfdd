/** The ingestions of one drop, so that they are shown as one. */
export interface Drop {
  readonly domain: string
  readonly ids: readonly string[]
  /** What was dropped, in few words: a file's name, the number of files. */
  readonly label: string
}

const DROPS_MAX = 50

export function readDrops(stored: string | null): Drop[] {
  try {
    const value: unknown = JSON.parse(stored ?? '[]')
    return Array.isArray(value) ? value.filter(isDrop) : []
  } catch {
    return []
  }
}

const isDrop = (value: unknown): value is Drop =>
  typeof value === 'object' &&
  value !== null &&
  'domain' in value &&
  typeof value.domain === 'string' &&
  'label' in value &&
  typeof value.label === 'string' &&
  'ids' in value &&
  Array.isArray(value.ids) &&
  value.ids.every((id) => typeof id === 'string')

/** The newest first; one that has grown takes the place of what it was. */
export function putDrop(drops: readonly Drop[], drop: Drop): Drop[] {
  const [first] = drop.ids
  const others = drops.filter(({ ids, domain }) => domain !== drop.domain || ids[0] !== first)
  return [drop, ...others].slice(0, DROPS_MAX)
}

export interface Grouped<T> {
  readonly ingestions: readonly T[]
  readonly label: string | undefined
}

/** A listing with the ingestions of a drop as one, where its newest stands. */
export function groupByDrop<T extends { readonly id: string; readonly domain: string }>(
  ingestions: readonly T[],
  drops: readonly Drop[],
): Grouped<T>[] {
  const groups: { ingestions: T[]; label: string | undefined }[] = []
  const byDrop = new Map<Drop, { ingestions: T[]; label: string | undefined }>()
  for (const ingestion of ingestions) {
    const drop = drops.find(({ ids, domain }) => domain === ingestion.domain && ids.includes(ingestion.id))
    const group = drop && byDrop.get(drop)
    if (group !== undefined) group.ingestions.push(ingestion)
    else {
      const made = { ingestions: [ingestion], label: drop?.label }
      groups.push(made)
      if (drop !== undefined) byDrop.set(drop, made)
    }
  }
  return groups
}
