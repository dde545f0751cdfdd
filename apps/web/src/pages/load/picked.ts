import { READABLE_EXTENSIONS } from '@millrace/files/formats'

/** A file as it was dropped or chosen. */
export interface Found<F> {
  /** Of one in a folder: the path that begins with the folder's name, with slashes. Else its name. */
  readonly path: string
  readonly isInFolder: boolean
  readonly size: number
  readonly file: F
}

/** What becomes of a file: one document, or a document a line. */
export interface Item<F> {
  readonly kind: 'file' | 'lines'
  /** Of a file: the document's id, as the command line would give it. Of lines: the file's name. */
  readonly id: string
  readonly path: string
  readonly size: number
  readonly file: F
}

export interface Sorted<F> {
  readonly items: readonly Item<F>[]
  /** Files in folders that are not read, by extension; '' for those without one. */
  readonly ignored: Readonly<Record<string, number>>
  /** Paths whose id another file has already. */
  readonly duplicates: readonly string[]
}

// In folders .json is mostly settings of programs: it goes in when it is named.
const WALKED: ReadonlySet<string> = new Set(READABLE_EXTENSIONS.filter((extension) => extension !== '.json'))
const LINES: ReadonlySet<string> = new Set(['.ndjson', '.jsonl'])

export const extensionOf = (path: string): string => /[^./](\.[^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? ''

/** Hidden files and installed packages are passed over, as the command line does. */
export const isPassedOver = (name: string): boolean => name.startsWith('.') || name === 'node_modules'

/**
 * What files become, as `millrace ingest` has it: in folders everything readable, by its path below the folder; files
 * that were named whatever they are, by their name. `withFolder`: ids begin with the folder's name.
 */
export function sortFound<F>(found: readonly Found<F>[], withFolder = false): Sorted<F> {
  const items = new Map<string, Item<F>>()
  const ignored: Record<string, number> = {}
  const duplicates: string[] = []
  const ordered = [...found].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  for (const { path, isInFolder, size, file } of ordered) {
    const extension = extensionOf(path)
    if (isInFolder && path.split('/').slice(1).some(isPassedOver)) continue
    if (isInFolder && !WALKED.has(extension)) {
      ignored[extension] = (ignored[extension] ?? 0) + 1
      continue
    }
    const kind = !isInFolder && LINES.has(extension) ? 'lines' : 'file'
    const id = isInFolder && !withFolder ? path.slice(path.indexOf('/') + 1) : path
    if (items.has(id)) duplicates.push(path)
    else items.set(id, { kind, id, path, size, file })
  }
  return { items: [...items.values()], ignored, duplicates }
}

/** What is there with what is added; a file of the same path takes the place of the one before. */
export function addFound<F>(before: readonly Found<F>[], added: readonly Found<F>[]): readonly Found<F>[] {
  const all = new Map(before.map((one) => [one.path, one]))
  for (const one of added) all.set(one.path, one)
  return [...all.values()]
}

export const bytesIn = (items: readonly { readonly size: number }[]): number =>
  items.reduce((sum, { size }) => sum + size, 0)
