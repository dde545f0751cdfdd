import { createHash } from 'node:crypto'
import { CodedError } from '@millrace/errors'
import type { NewQuestion } from '@millrace/store'
import { type CleaningOptions, clean } from '@millrace/text'
import { type Reason, type Rejection, refuseEscapes } from '../accept.js'
import { canonicalJson } from '../recipe.js'
import { checkFilter } from '../search/filter.js'
import type { Limits } from '../settings.js'

/** A question as a caller writes it; its types are checked by whoever parsed it. */
export interface SubmittedQuestion {
  readonly id?: string | undefined
  readonly question: string
  readonly documentId?: string | undefined
  readonly documentIds?: readonly string[] | undefined
  readonly note?: string | null | undefined
  readonly filter?: Readonly<Record<string, unknown>> | undefined
}

/** A question, or why there is none at its place. */
export type GivenQuestion =
  | { readonly index: number; readonly question: SubmittedQuestion }
  | { readonly index: number; readonly id?: string | undefined; readonly refusal: Reason }

export interface SortedQuestions {
  readonly accepted: readonly NewQuestion[]
  readonly rejected: readonly Rejection[]
}

export interface AcceptOptions {
  readonly limits: Pick<Limits, 'idBytes' | 'queryChars'>
  /** Of the domain: a question is cleaned as any query is. */
  readonly cleaning: Partial<CleaningOptions>
  /** The same question again adds its document, as rows of CSV do; else it is refused. */
  readonly merge: boolean
  /** What the set has already, by the hash of the question in hexadecimal: to be kept beside what is given now. */
  readonly there?: ReadonlyMap<string, Pick<NewQuestion, 'documents' | 'note'>>
}

/** Documents that one question may expect. */
export const EXPECTED_MAX = 100
const NOTE_CHARS_MAX = 2_000
/** Hex digits of an id that is made of the question. */
const MADE_CHARS = 16
/** They are paths beside the questions, or are taken for folders by clients (WHATWG URL, 4.4). */
const NOT_IDS = new Set(['.', '..', 'run', 'runs'])

/** Sorts questions into those that can be kept and those that cannot, each with its reason. */
export function sortQuestions(given: readonly GivenQuestion[], options: AcceptOptions): SortedQuestions {
  const accepted: { question: NewQuestion; index: number }[] = []
  const rejected: Rejection[] = []
  const byHash = new Map<string, number>()
  const byId = new Map<string, number>()
  for (const one of given) {
    const { index } = one
    const made = 'refusal' in one ? one.refusal : acceptOne(one.question, options)
    const id = 'refusal' in one ? one.id : one.question.id
    const refuse = (reason: Reason) =>
      rejected.push({
        index,
        ...(id === undefined ? {} : { id: id.slice(0, 600).toWellFormed() }),
        code: reason.code,
        message: reason.message,
      })
    if ('code' in made) {
      refuse(made)
      continue
    }
    const hash = made.hash.toString('hex')
    const same = byHash.get(hash)
    const first = same === undefined ? undefined : accepted[same]
    if (same !== undefined && first !== undefined) {
      const merged = options.merge ? mergeOf(first.question, made) : undefined
      if (merged === undefined) refuse(twice(first.index))
      else if ('code' in merged) refuse(merged)
      else accepted[same] = { ...first, question: merged }
      continue
    }
    const kept = options.there?.get(hash)
    const whole = kept === undefined ? made : joined(made, [...kept.documents, ...made.documents], kept.note)
    const tooMany = refuseCount(whole.documents.length)
    if (tooMany !== undefined) {
      refuse(tooMany)
      continue
    }
    const other = made.id === null ? undefined : byId.get(made.id)
    if (other !== undefined) {
      refuse({ code: 'DUPLICATE_ID', message: `The question at index ${other} has the same id` })
      continue
    }
    byHash.set(hash, accepted.length)
    if (made.id !== null) byId.set(made.id, index)
    accepted.push({ question: whole, index })
  }
  return { accepted: accepted.map(({ question }) => question), rejected }
}

const twice = (index: number): Reason => ({
  code: 'DUPLICATE_QUESTION',
  message: `The question at index ${index} is the same: name several documents with documentIds`,
})

/** Undefined when nothing is new. */
function mergeOf(first: NewQuestion, again: NewQuestion): NewQuestion | Reason | undefined {
  if (again.id !== null && again.id !== first.id) {
    return { code: 'DUPLICATE_QUESTION', message: 'The same question stands above with another id' }
  }
  const all = joined(first, [...first.documents, ...again.documents], again.note)
  if (all.documents.length === first.documents.length) return undefined
  return refuseCount(all.documents.length) ?? all
}

const joined = (question: NewQuestion, documents: readonly string[], note: string | null): NewQuestion => ({
  ...question,
  documents: [...new Set(documents)],
  note: question.note ?? note,
})

const refuseCount = (documents: number): Reason | undefined =>
  documents <= EXPECTED_MAX
    ? undefined
    : {
        code: 'TOO_MANY_EXPECTED',
        message: `${documents} documents are expected, the limit is ${EXPECTED_MAX}`,
      }

/** Question and filter are what is asked. */
export const questionHash = (question: string, filter: Readonly<Record<string, unknown>>): Buffer =>
  createHash('sha256')
    .update(canonicalJson([question, filter]))
    .digest()

function acceptOne(given: SubmittedQuestion, options: AcceptOptions): NewQuestion | Reason {
  const { question, note } = given
  const filter = given.filter ?? {}
  const documents = [
    ...new Set([...(given.documentId === undefined ? [] : [given.documentId]), ...(given.documentIds ?? [])]),
  ].filter((id) => id !== '')
  const wrong =
    refuseQuestion(question, options) ??
    refuseId(given.id, options.limits.idBytes) ??
    refuseDocuments(documents, options.limits.idBytes) ??
    refuseNote(note) ??
    refuseFilter(filter)
  if (wrong !== undefined) return wrong
  const hash = questionHash(question, filter)
  return {
    id: given.id ?? null,
    made: hash.toString('hex').slice(0, MADE_CHARS),
    hash,
    question,
    filter,
    documents,
    note: note === undefined || note === '' ? null : note,
  }
}

function refuseQuestion(question: string, { limits, cleaning }: AcceptOptions): Reason | undefined {
  if (question.length > limits.queryChars) {
    return {
      code: 'QUESTION_TOO_LONG',
      message: `The question has ${question.length} characters, the limit is ${limits.queryChars}`,
    }
  }
  const wrong = refuseEscapes('question', JSON.stringify(question))
  if (wrong !== undefined) return wrong
  const isBlank = clean(question, { ...cleaning, frontMatter: false, pageHeaders: false }).text.trim() === ''
  return isBlank ? { code: 'BLANK_QUESTION', message: 'The question is blank' } : undefined
}

function refuseId(id: string | undefined, idBytes: number): Reason | undefined {
  if (id === undefined) return undefined
  if (id === '' || NOT_IDS.has(id)) {
    return { code: 'INVALID_ID', message: `The id ${id === '' ? 'is empty' : `"${id}" cannot be`}` }
  }
  return refuseLength('id', id, idBytes)
}

function refuseDocuments(documents: readonly string[], idBytes: number): Reason | undefined {
  if (documents.length === 0) return { code: 'NO_EXPECTED', message: 'No document is named that answers it' }
  for (const id of documents.slice(0, EXPECTED_MAX)) {
    const wrong = refuseLength('documentId', id, idBytes)
    if (wrong !== undefined) return wrong
  }
  return refuseCount(documents.length)
}

function refuseLength(field: string, id: string, idBytes: number): Reason | undefined {
  const bytes = Buffer.byteLength(id)
  if (bytes > idBytes) {
    return { code: 'ID_TOO_LONG', message: `The ${field} has ${bytes} bytes, the limit is ${idBytes}` }
  }
  return refuseEscapes(field, JSON.stringify(id))
}

function refuseNote(note: string | null | undefined): Reason | undefined {
  if (note === null || note === undefined) return undefined
  if (note.length > NOTE_CHARS_MAX) {
    return {
      code: 'NOTE_TOO_LONG',
      message: `The note has ${note.length} characters, the limit is ${NOTE_CHARS_MAX}`,
    }
  }
  return refuseEscapes('note', JSON.stringify(note))
}

const FILTER_CHARS_MAX = 10_000

/** What can be told without the database; the rest is refused before (`refuseFilters`). */
function refuseFilter(filter: Readonly<Record<string, unknown>>): Reason | undefined {
  try {
    // Also of its depth, before anything walks through it.
    checkFilter(filter)
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    return { code: 'INVALID_FILTER', message: error.message }
  }
  const json = JSON.stringify(filter)
  if (json.length > FILTER_CHARS_MAX) {
    return { code: 'INVALID_FILTER', message: `The filter has ${json.length} characters as JSON` }
  }
  const wrong = refuseEscapes('filter', json)
  return wrong === undefined ? undefined : { code: 'INVALID_FILTER', message: wrong.message }
}
