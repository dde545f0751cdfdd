import type { GivenDocument } from './batches.ts'

/** What was typed, as it stands in the form. */
export interface TypedText {
  readonly title: string
  readonly id: string
  readonly metadata: string
  readonly text: string
}

export const NOTHING_TYPED: TypedText = { title: '', id: '', metadata: '', text: '' }

/** The object that the text says; undefined when it says none. Nothing is an empty one. */
export function readMetadata(json: string): Readonly<Record<string, unknown>> | undefined {
  if (json.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(json)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}

/** The document that was typed; undefined while there is no text or the metadata are none. */
export function documentOf({ title, id, metadata, text }: TypedText): GivenDocument | undefined {
  const fields = readMetadata(metadata)
  if (text.trim() === '' || fields === undefined) return undefined
  return {
    ...(id.trim() === '' ? {} : { id: id.trim() }),
    ...(title.trim() === '' ? {} : { title: title.trim() }),
    text,
    ...(Object.keys(fields).length === 0 ? {} : { metadata: fields }),
  }
}

/** One a line; blank lines and those that begin with # are left out. */
export function readUrls(typed: string): {
  readonly urls: readonly string[]
  readonly wrong: readonly string[]
} {
  const lines = typed
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const isPage = (line: string) => URL.canParse(line) && /^https?:$/.test(new URL(line).protocol)
  return { urls: [...new Set(lines.filter(isPage))], wrong: lines.filter((line) => !isPage(line)) }
}

/** The first documents of NDJSON, to look at; lines that are none are passed over. */
export function firstDocuments(head: string, most: number): GivenDocument[] {
  const documents: GivenDocument[] = []
  for (const line of head.replace(/^\uFEFF/, '').split('\n')) {
    if (documents.length === most) break
    const value = readMetadata(line)
    if (typeof value?.text !== 'string') continue
    const { id, title, text } = value
    documents.push({
      text,
      ...(typeof id === 'string' ? { id } : {}),
      ...(typeof title === 'string' ? { title } : {}),
    })
  }
  return documents
}
