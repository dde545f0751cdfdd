import { createHash } from 'node:crypto'
import type { NewDocument } from '@millrace/store'
import { canonicalJson } from './recipe.js'
import type { Limits } from './settings.js'

/** A document as a caller writes it; its types are checked by whoever parsed it. */
export interface SubmittedDocument {
  readonly id?: string | undefined
  readonly title?: string | null | undefined
  readonly text: string
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

export interface Rejection {
  readonly index: number
  readonly id?: string
  readonly code: string
  readonly message: string
}

export interface Sorted {
  readonly accepted: readonly NewDocument[]
  readonly rejected: readonly Rejection[]
}

/** Depth of metadata, objects and arrays counted. */
const METADATA_DEPTH_MAX = 32

/** Sorts documents into those that can be kept and those that cannot, each with its reason. */
export function sortDocuments(given: readonly SubmittedDocument[], limits: Limits): Sorted {
  const accepted: NewDocument[] = []
  const rejected: Rejection[] = []
  const seen = new Map<string, number>()
  given.forEach((document, index) => {
    const refusal = refusalOf(document, limits)
    const id = document.id ?? (refusal === undefined ? idOf(document) : undefined)
    const first = id === undefined ? undefined : seen.get(id)
    const reason =
      refusal ??
      (first === undefined
        ? undefined
        : { code: 'DUPLICATE_ID', message: `The document at index ${first} has the same id` })
    if (reason !== undefined) {
      rejected.push({ index, ...(document.id === undefined ? {} : { id: shown(document.id) }), ...reason })
      return
    }
    const externalId = id ?? idOf(document)
    seen.set(externalId, index)
    const title = document.title ?? null
    const metadata = document.metadata ?? {}
    accepted.push({
      externalId,
      title,
      text: document.text,
      metadata,
      contentHash: sha256(canonicalJson([title, document.text, metadata])),
    })
  })
  return { accepted, rejected }
}

export type Reason = Pick<Rejection, 'code' | 'message'>

function refusalOf(document: SubmittedDocument, limits: Limits): Reason | undefined {
  return refuseId(document.id, limits) ?? refuseText(document, limits) ?? refuseMetadata(document, limits)
}

function refuseId(id: string | undefined, limits: Limits): Reason | undefined {
  if (id === undefined) return undefined
  if (id === '') return { code: 'INVALID_ID', message: 'The id is empty; leave it out to have one made' }
  // In a path, clients take these for this folder and the one above, percent-encoded or not (WHATWG URL, 4.4).
  if (id === '.' || id === '..') {
    return { code: 'INVALID_ID', message: `The id "${id}" cannot be named in the path of a URL` }
  }
  const bytes = Buffer.byteLength(id)
  if (bytes > limits.idBytes) {
    return { code: 'ID_TOO_LONG', message: `The id has ${bytes} bytes, the limit is ${limits.idBytes}` }
  }
  return refuseCharacters('id', id)
}

function refuseText({ title, text }: SubmittedDocument, limits: Limits): Reason | undefined {
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.textBytes) {
    return { code: 'TEXT_TOO_LONG', message: `The text has ${bytes} bytes, the limit is ${limits.textBytes}` }
  }
  if (text.trim() === '') return { code: 'BLANK_TEXT', message: 'The text is blank' }
  const titleChars = title?.length ?? 0
  if (titleChars > limits.titleChars) {
    return {
      code: 'TITLE_TOO_LONG',
      message: `The title has ${titleChars} characters, the limit is ${limits.titleChars}`,
    }
  }
  return refuseCharacters('text', text) ?? refuseCharacters('title', title ?? '')
}

function refuseMetadata({ metadata }: SubmittedDocument, limits: Limits): Reason | undefined {
  if (metadata === undefined) return undefined
  if (depthOf(metadata) > METADATA_DEPTH_MAX) {
    return { code: 'METADATA_TOO_DEEP', message: `The metadata is nested deeper than ${METADATA_DEPTH_MAX}` }
  }
  const json = JSON.stringify(metadata)
  const bytes = Buffer.byteLength(json)
  if (bytes > limits.metadataBytes) {
    return {
      code: 'METADATA_TOO_LONG',
      message: `The metadata has ${bytes} bytes as JSON, the limit is ${limits.metadataBytes}`,
    }
  }
  return refuseEscapes('metadata', json) ?? refuseNumbers(metadata)
}

/** Whole numbers from here on are written with an exponent, and nobody takes them for identifiers. */
const WHOLE_MAX = 1e21

/** Numbers that would not come back as they were sent: beyond a double, or whole and too long for one. */
function refuseNumbers(metadata: unknown): Reason | undefined {
  for (const value of valuesIn(metadata)) {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) continue
    if (Number.isFinite(value) && (!Number.isInteger(value) || Math.abs(value) >= WHOLE_MAX)) continue
    return {
      code: 'INVALID_NUMBER',
      message: `The metadata holds a number that cannot be kept exactly, about ${value}: send it as a text`,
    }
  }
  return undefined
}

/** Without recursion; depth has been checked. */
function valuesIn(value: unknown): unknown[] {
  let level: unknown[] = [value]
  const found: unknown[] = []
  while (level.length > 0) {
    found.push(...level)
    level = level.flatMap((item) => (item !== null && typeof item === 'object' ? Object.values(item) : []))
  }
  return found
}

/**
 * NUL or half of a surrogate pair in any text or key of a value, from its JSON: JSON.stringify writes them as
 * escapes, and these escapes for nothing else. A backslash before an escape would make it plain text, so pairs of
 * backslashes are taken out first.
 */
export function refuseEscapes(field: string, json: string): Reason | undefined {
  const escapes = json.replaceAll('\\\\', '').match(/\\u(0000|d[89a-f][0-9a-f]{2})/i)
  return escapes === null ? undefined : badCharacter(field, escapes[1] === '0000')
}

/** One rule for whatever is stored as text: Postgres cannot keep NUL, UTF-8 cannot write a lone surrogate. */
function refuseCharacters(field: string, value: string): Reason | undefined {
  if (value.includes('\0')) return badCharacter(field, true)
  return value.isWellFormed() ? undefined : badCharacter(field, false)
}

const badCharacter = (field: string, nul: boolean): Reason => ({
  code: 'INVALID_CHARACTER',
  message: `The ${field} contains ${nul ? 'a NUL character' : 'half of a surrogate pair'}`,
})

/** Without recursion, so that no depth overflows the stack; stops where it is too deep anyway. */
function depthOf(value: unknown): number {
  let level: unknown[] = [value]
  let depth = 0
  while (level.length > 0 && depth <= METADATA_DEPTH_MAX) {
    const inner = level.filter((item): item is object => item !== null && typeof item === 'object')
    if (inner.length === 0) break
    depth++
    level = inner.flatMap((item) => Object.values(item))
  }
  return depth
}

/** For a document without an id: the hash of its title and text. */
const idOf = (document: SubmittedDocument): string =>
  sha256(canonicalJson([document.title ?? null, document.text])).toString('hex')

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** An id as it may stand in an answer: well formed and not endless. */
const shown = (id: string): string => (id.length > 600 ? `${id.slice(0, 600)}…` : id).toWellFormed()
