import type { Item } from './picked.ts'

/** A request has this much at most, unless one file alone has more. */
export const BATCH_BYTES = 16 * 1024 * 1024
export const BATCH_FILES = 500
/** Documents that one JSON request may have. */
const DOCUMENTS_MAX = 1_000

/** Files in groups, each for one request. */
export function groupFiles<T extends { readonly size: number }>(
  files: readonly T[],
  bytesMax = BATCH_BYTES,
  filesMax = BATCH_FILES,
): T[][] {
  const groups: T[][] = []
  let group: T[] = []
  let bytes = 0
  for (const file of files) {
    if (group.length > 0 && (group.length >= filesMax || bytes + file.size > bytesMax)) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(file)
    bytes += file.size
  }
  return group.length === 0 ? groups : [...groups, group]
}

export interface Slice {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The number of its first line in the file, from 1. */
  readonly line: number
}

const NEWLINE = 0x0a

/** A file of lines in pieces that end with a line, as they are; one piece of it in memory at a time. */
export async function* slicesOf(file: Blob, bytesMax = BATCH_BYTES): AsyncGenerator<Slice> {
  let line = 1
  for (let from = 0; from < file.size; ) {
    const bytes = await wholeLines(file, from, bytesMax)
    yield { bytes, line }
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) line++
    from += bytes.length
  }
}

/** At least one line, however long it is. */
async function wholeLines(file: Blob, from: number, bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(await file.slice(from, from + bytesMax).arrayBuffer())
  if (from + bytes.length >= file.size) return bytes
  const last = bytes.lastIndexOf(NEWLINE)
  return last === -1 ? wholeLines(file, from, bytesMax * 2) : bytes.slice(0, last + 1)
}

/** What a submission takes beside files. */
export interface GivenDocument {
  readonly id?: string
  readonly title?: string
  readonly text?: string
  readonly url?: string
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** What is to be loaded. */
export interface Goods {
  readonly items: readonly Item<File>[]
  readonly documents: readonly GivenDocument[]
}

export interface Batch {
  readonly body: FormData | Blob | string
  /** The media type of the body; undefined: the browser says it. */
  readonly type: string | undefined
  readonly bytes: number
  /** Documents in it; null: a document a line. */
  readonly documents: number | null
  readonly files: readonly Item<File>[]
  /** What the document with this index in the answer is called. */
  readonly nameOf: (index: number, id: string | undefined) => string
}

/** Everything in as many requests as it takes. `onLost`: a file of lines that cannot be read, or not to its end. */
export async function* batchesOf(
  { items, documents }: Goods,
  onLost: (item: Item<File>, error: unknown) => void,
): AsyncGenerator<Batch> {
  for (let at = 0; at < documents.length; at += DOCUMENTS_MAX) {
    yield jsonBatch(documents.slice(at, at + DOCUMENTS_MAX))
  }
  for (const item of items.filter(({ kind }) => kind === 'lines')) {
    try {
      for await (const slice of slicesOf(item.file)) yield linesBatch(item.id, slice)
    } catch (error) {
      onLost(item, error)
    }
  }
  for (const group of groupFiles(items.filter(({ kind }) => kind === 'file'))) yield formBatch(group)
}

export const bytesOfGoods = ({ items, documents }: Goods): number =>
  items.reduce((sum, { size }) => sum + size, 0) + (documents.length === 0 ? 0 : lengthOf(documents))

const lengthOf = (documents: readonly GivenDocument[]): number => new Blob([JSON.stringify(documents)]).size

function jsonBatch(documents: readonly GivenDocument[]): Batch {
  return {
    body: JSON.stringify({ documents }),
    type: 'application/json',
    bytes: lengthOf(documents),
    documents: documents.length,
    files: [],
    nameOf: (index, id) => documents[index]?.id ?? documents[index]?.url ?? id ?? String(index),
  }
}

const linesBatch = (name: string, { bytes, line }: Slice): Batch => ({
  body: new Blob([bytes]),
  type: 'application/x-ndjson',
  bytes: bytes.length,
  documents: null,
  files: [],
  nameOf: (index) => `${name}:${line + index}`,
})

/** As the command line sends files: each after its id, and its path as metadata. */
export function formBatch(files: readonly Item<File>[]): Batch {
  const body = new FormData()
  for (const { id, file } of files) {
    body.append('id', id)
    body.append('metadata', JSON.stringify({ path: id }))
    body.append('file', file, file.name)
  }
  return {
    body,
    type: undefined,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    documents: files.length,
    files,
    nameOf: (index, id) => files[index]?.id ?? id ?? String(index),
  }
}
