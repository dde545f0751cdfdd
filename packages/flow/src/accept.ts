import { createHash } from 'node:crypto'
import type { ExternalChunk, FileFacts, NewDocument } from '@millrace/store'
import { DOMAIN_NEEDS_VECTORS, type GivenChunk, MODEL_NEEDS_TEXT, readVectors } from './external.js'
import { canonicalJson } from './recipe.js'
import type { Limits } from './settings.js'

/**
 * A document as a caller writes it; its types are checked by whoever parsed it. A text, or where a worker fetches
 * one, or for an external domain chunks that bring their vectors.
 */
export interface SubmittedDocument {
  readonly id?: string | undefined
  readonly title?: string | null | undefined
  readonly text?: string | undefined
  readonly url?: string | undefined
  readonly chunks?: readonly GivenChunk[] | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

/** A file as it arrived; whoever received it holds its bytes. */
export interface SubmittedFile {
  readonly id?: string | undefined
  readonly title?: string | null | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  readonly file: FileFacts
}

export interface Rejection {
  readonly index: number
  readonly id?: string
  readonly code: string
  readonly message: string
}

export interface Sorted {
  readonly accepted: readonly Accepted[]
  readonly rejected: readonly Rejection[]
}

/** A document with its place in the submission. */
export type Accepted = Kept & { readonly index: number }

/** `vectors`: of a document that brings them. */
type Kept = NewDocument & { readonly vectors?: readonly ExternalChunk[] }

/** A document, or why there is none at its place. */
export type Given =
  | { readonly index: number; readonly document: SubmittedDocument | SubmittedFile }
  | { readonly index: number; readonly id?: string | undefined; readonly refusal: Reason }

/** Depth of metadata, objects and arrays counted. */
const METADATA_DEPTH_MAX = 32

/**
 * Sorts documents into those that can be kept and those that cannot, each with its reason. `dims`: of an external
 * domain; null: of one with a model.
 */
export function sortDocuments(given: readonly Given[], limits: Limits, dims: number | null): Sorted {
  const accepted: Accepted[] = []
  const rejected: Rejection[] = []
  const seen = new Map<string, number>()
  for (const one of given) {
    const { index } = one
    const sorted = 'refusal' in one ? one.refusal : acceptOne(one.document, limits, dims)
    const first = 'code' in sorted ? undefined : seen.get(sorted.externalId)
    const reason =
      'code' in sorted
        ? sorted
        : first === undefined
          ? undefined
          : { code: 'DUPLICATE_ID', message: `The document at index ${first} has the same id` }
    if ('code' in sorted || reason !== undefined) {
      const id = 'refusal' in one ? one.id : one.document.id
      rejected.push({ index, ...(id === undefined ? {} : { id: shown(id) }), ...(reason as Reason) })
      continue
    }
    seen.set(sorted.externalId, index)
    accepted.push({ ...sorted, index })
  }
  return { accepted, rejected }
}

/** A document as it is kept, or why it cannot be. */
function acceptOne(
  document: SubmittedDocument | SubmittedFile,
  limits: Limits,
  dims: number | null,
): Kept | Reason {
  const wrong = refuseId(document.id, limits) ?? refuseMetadata(document, limits)
  if (wrong !== undefined) return wrong
  if (dims !== null) return acceptVectors(document, limits, dims)
  if ('file' in document) return acceptFile(document, limits)
  if (document.chunks !== undefined) return MODEL_NEEDS_TEXT
  if (document.url !== undefined) return acceptUrl({ ...document, url: document.url }, limits)
  return acceptText({ ...document, text: document.text ?? '' }, limits)
}

const plain = { origin: 'text', url: null, file: null } as const

function acceptText(
  document: SubmittedDocument & { readonly text: string },
  limits: Limits,
): NewDocument | Reason {
  const wrong = refuseText(document.text, limits) ?? refuseTitle(document.title, limits)
  if (wrong !== undefined) return wrong
  const { text } = document
  const title = document.title ?? null
  const metadata = document.metadata ?? {}
  return {
    ...plain,
    externalId: document.id ?? hex(JSON.stringify([title, text])),
    title,
    text,
    metadata,
    // As canonicalJson of the three: a text has no keys to sort, and may have megabytes.
    contentHash: sha256(`[${JSON.stringify(title)},${JSON.stringify(text)},${canonicalJson(metadata)}]`),
  }
}

function acceptVectors(
  document: SubmittedDocument | SubmittedFile,
  limits: Limits,
  dims: number,
): Kept | Reason {
  if ('file' in document || document.chunks === undefined) return DOMAIN_NEEDS_VECTORS
  const read = readVectors(document.chunks, dims)
  if ('code' in read) return read
  const { text, chunks, digest } = read
  const wrong =
    refuseLength(text, limits) ?? refuseCharacters('text', text) ?? refuseTitle(document.title, limits)
  if (wrong !== undefined) return wrong
  const title = document.title ?? null
  const metadata = document.metadata ?? {}
  return {
    ...plain,
    origin: 'vectors',
    externalId: document.id ?? hex(canonicalJson([title, text, { digest }])),
    title,
    text,
    metadata,
    contentHash: sha256(canonicalJson([title, text, { digest }, metadata])),
    vectors: chunks,
  }
}

/** Of what is submitted of a page; what stands behind the URL is not in it. */
export const urlHash = (title: string | null, url: string, metadata: object): Buffer =>
  sha256(canonicalJson([title, { url }, metadata]))

function acceptUrl(
  document: SubmittedDocument & { readonly url: string },
  limits: Limits,
): NewDocument | Reason {
  const { url } = document
  const wrong = refuseUrl(url) ?? refuseId(document.id ?? url, limits) ?? refuseTitle(document.title, limits)
  if (wrong !== undefined) return wrong
  const title = document.title ?? null
  const metadata = document.metadata ?? {}
  return {
    externalId: document.id ?? url,
    title,
    text: '',
    metadata,
    contentHash: urlHash(title, url, metadata),
    origin: 'url',
    url,
    file: null,
  }
}

function acceptFile(document: SubmittedFile, limits: Limits): NewDocument | Reason {
  const { file } = document
  const id = document.id ?? file.name
  const wrong =
    refuseId(id, limits) ?? refuseCharacters('file name', file.name) ?? refuseTitle(document.title, limits)
  if (wrong !== undefined) return wrong
  const title = document.title ?? null
  const metadata = document.metadata ?? {}
  const facts = { file: file.hash.toString('hex'), name: file.name, type: file.type }
  return {
    externalId: id,
    title,
    text: '',
    metadata,
    contentHash: sha256(canonicalJson([title, facts, metadata])),
    origin: 'file',
    url: null,
    file,
  }
}

/** What is wrong with it whatever stands behind it; whether its address may be asked is found out when it is. */
function refuseUrl(url: string): Reason | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return refuseCharacters('url', url)
  return { code: 'URL_INVALID', message: 'The url is none of http or https' }
}

export type Reason = Pick<Rejection, 'code' | 'message'>

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

function refuseLength(text: string, limits: Limits): Reason | undefined {
  const bytes = Buffer.byteLength(text)
  if (bytes <= limits.textBytes) return undefined
  return { code: 'TEXT_TOO_LONG', message: `The text has ${bytes} bytes, the limit is ${limits.textBytes}` }
}

function refuseText(text: string, limits: Limits): Reason | undefined {
  const wrong = refuseLength(text, limits)
  if (wrong !== undefined) return wrong
  if (text.trim() === '') return { code: 'BLANK_TEXT', message: 'The text is blank' }
  return refuseCharacters('text', text)
}

function refuseTitle(title: string | null | undefined, limits: Limits): Reason | undefined {
  const titleChars = title?.length ?? 0
  if (titleChars > limits.titleChars) {
    return {
      code: 'TITLE_TOO_LONG',
      message: `The title has ${titleChars} characters, the limit is ${limits.titleChars}`,
    }
  }
  return refuseCharacters('title', title ?? '')
}

/** Why a document's metadata is not taken. */
export function refuseMetadata(
  { metadata }: Pick<SubmittedDocument, 'metadata'>,
  limits: Pick<Limits, 'metadataBytes'>,
): Reason | undefined {
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
  return refuseEscapes('metadata', json) ?? refuseNumbers('metadata', metadata)
}

/**
 * Numbers that would not come back as they were sent: beyond a double, or whole and too long for one. Of a whole one only
 * its double is left here, which may be what was sent and may be not.
 */
export function refuseNumbers(field: string, holder: unknown): Reason | undefined {
  for (const value of valuesIn(holder)) {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) continue
    if (Number.isFinite(value) && !Number.isInteger(value)) continue
    return {
      code: 'INVALID_NUMBER',
      message: `The ${field} holds a number that cannot be kept exactly, about ${value}: send it as a text`,
    }
  }
  return undefined
}

/** Without recursion; depth has been checked. */
function valuesIn(value: unknown): unknown[] {
  let level: unknown[] = [value]
  const found: unknown[] = []
  while (level.length > 0) {
    for (const item of level) found.push(item) // spread, a long list would overflow the stack
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

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

const hex = (text: string): string => sha256(text).toString('hex')

/** An id as it may stand in an answer: well formed and not endless. */
const shown = (id: string): string => (id.length > 600 ? `${id.slice(0, 600)}…` : id).toWellFormed()
