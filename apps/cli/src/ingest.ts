import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import { type Attempt, type BodyOptions, formBody, linesBody } from './body.js'
import {
  type Client,
  type Ingestion,
  type Plan,
  planSchema,
  type Submission,
  submissionSchema,
} from './client.js'

import { domainPath } from './domain.js'
import { type BadFile, readDocument } from './files.js'
import { type FoundFile, findFiles, type Input } from './find.js'
import { openFollower } from './follow.js'
import type { Progress } from './progress.js'
import { openReplay } from './replay.js'
import type { Columns } from './rows.js'
import { quiet, type Sending } from './sending.js'
import { type Request, send } from './submit.js'

export interface IngestReport {
  readonly domain: string
  readonly ingestions: readonly string[]
  readonly documents: {
    /** What was found: documents sent, refused, and files that could not be read. */
    readonly found: number
    /** Of those, what the server took. */
    readonly sent: number
    readonly ready: number
    readonly unchanged: number
    readonly failed: number
    /** Submitted again by somebody else, or deleted, before they were ready. */
    readonly cancelled: number
  }
  readonly chunks: { readonly total: number; readonly embedded: number; readonly reused: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  /** Documents that a sync deleted; null: it was none, or it does not say. */
  readonly deleted: number | null
  /** Characters of the text, white space aside, that are in no chunk. */
  readonly textCut: { readonly characters: number }
  /** Documents of which cleaning left nothing. */
  readonly empty: number
  readonly seconds: number
  /** Files that could not be read, documents that were refused or failed. */
  readonly problems: readonly BadFile[]
}

export interface IngestOptions {
  /** What the documents are a part of; needed for `sync`. */
  readonly source?: string | undefined
  /** Once all is ready, documents of the source that were not in it are deleted. */
  readonly sync?: boolean | undefined
  readonly columns?: Columns | undefined
  /** Opened when `-` is among the inputs. */
  readonly stdin?: (() => Readable) | undefined
  /** Told while documents are sent. */
  readonly sending?: Sending | undefined
}

/** What an ingestion would do. */
export interface PlanReport {
  readonly domain: string
  readonly dryRun: true
  readonly documents: Plan['documents']
  readonly chunks: Plan['chunks']
  readonly tokens: Plan['tokens']
  readonly seconds: number
  /** What could not be read, and documents that would be refused. */
  readonly problems: readonly BadFile[]
}

/**
 * Reads the files that the paths name, submits them and follows them to the end.
 * @throws CodedError of findFiles, and when the server refuses the call itself or stays away
 */
export const ingest = async (
  client: Client,
  domain: string,
  paths: readonly string[],
  progress: Progress,
): Promise<IngestReport> => ingestFiles(client, domain, await findFiles(paths), progress)

/**
 * Submits what was found and follows it to the end. What cannot become a document does not stop the others, unless
 * it is a sync: that sends all or nothing is deleted.
 * @throws CodedError SYNC_INCOMPLETE, SYNC_MIXED, NO_DOCUMENTS when there was nothing to send, and those of send()
 */
export async function ingestFiles(
  client: Client,
  domain: string,
  inputs: readonly Input[],
  progress: Progress,
  options: IngestOptions = {},
): Promise<IngestReport> {
  const started = performance.now()
  const latest = new Map<string, Ingestion>()
  let shown = false
  let sent: SentAll = { problems: [], refused: 0, outside: 0 }
  const show = () => {
    if (shown) progress.update([...latest.values()], sent.outside)
  }
  const follower = openFollower(client, (ingestion) => {
    latest.set(ingestion.id, ingestion)
    show()
  })
  let accepted = 0
  try {
    const take = (answer: Submission) => {
      accepted += answer.accepted
      follower.add(answer.ingestion)
    }
    sent = await sendAll(client, domain, inputs, options, submissionSchema, take)
    progress.start(accepted + sent.outside)
    shown = true
    show()
    await follower.ended()
  } finally {
    follower.stop()
    progress.stop()
  }
  const ended = [...latest.values()]
  const { documents, ...counts } = total(ended)
  const pathOf = pathsOf(inputs)
  return {
    domain,
    ingestions: [...latest.keys()],
    documents: { found: accepted + sent.refused, sent: accepted, ...documents },
    ...counts,
    deleted: deletedBy(ended),
    seconds: secondsSince(started),
    problems: [
      ...sent.problems,
      ...(await failuresOf(client, domain, ended, pathOf)),
      ...cancelledOf(ended),
      ...skippedOf(ended),
    ],
  }
}

/**
 * What ingestFiles would add, change and delete, and what it would cost; nothing is kept.
 * @throws CodedError as ingestFiles
 */
export async function planFiles(
  client: Client,
  domain: string,
  inputs: readonly Input[],
  options: IngestOptions = {},
): Promise<PlanReport> {
  const started = performance.now()
  const plans: Plan[] = []
  const dry = { ...options, dryRun: true }
  const { problems } = await sendAll(client, domain, inputs, dry, planSchema, (plan) => plans.push(plan))
  const sum = (of: (plan: Plan) => number) => plans.reduce((all, one) => all + of(one), 0)
  return {
    domain,
    dryRun: true,
    documents: {
      added: sum(({ documents }) => documents.added),
      changed: sum(({ documents }) => documents.changed),
      unchanged: sum(({ documents }) => documents.unchanged),
      deleted: sum(({ documents }) => documents.deleted),
      rejected: sum(({ documents }) => documents.rejected),
      unknown: sum(({ documents }) => documents.unknown),
    },
    chunks: { total: sum(({ chunks }) => chunks.total), embed: sum(({ chunks }) => chunks.embed) },
    tokens: { total: sum(({ tokens }) => tokens.total), embed: sum(({ tokens }) => tokens.embed) },
    seconds: secondsSince(started),
    problems,
  }
}

const secondsSince = (started: number): number => Math.round((performance.now() - started) / 10) / 100

interface SentAll {
  readonly problems: readonly BadFile[]
  /** Documents that did not get as far as an ingestion. */
  readonly refused: number
  /** Of those, what no ingestion counts. */
  readonly outside: number
}

/**
 * Everything in as few requests as can be: texts, rows, lines and URLs as JSON lines, files as a form; a sync with
 * files among them all as a form, since what one request does not have would be deleted.
 */
async function sendAll<T extends Submission | Plan>(
  client: Client,
  domain: string,
  inputs: readonly Input[],
  options: IngestOptions & { readonly dryRun?: boolean },
  schema: z.ZodType<T>,
  onAnswer: (answer: T) => void,
): Promise<SentAll> {
  const strict = options.sync === true
  const checked = strict ? await checkAll(inputs) : inputs
  const files = checked.filter((input): input is FoundFile => input.kind === 'file')
  const others = checked.filter((input) => input.kind !== 'file')
  if (strict && files.length > 0 && others.some((input) => input.kind === 'url')) throw mixed()

  const stdin = openReplay(options.stdin ?? (() => process.stdin))
  const readsStdin = inputs.some((input) => input.kind === 'typed' || ('path' in input && input.path === '-'))
  const reading: BodyOptions = { columns: options.columns ?? {}, stdin: () => stdin.chunks(), strict }
  const canRepeat = () => !readsStdin || stdin.canRepeat()
  const path = `${domainPath(domain)}/documents${queryOf(options)}`
  const sending = options.sending ?? quiet
  const problems: BadFile[] = []
  let refused = 0
  let outside = 0
  let before = 0

  const request = async (body: Request): Promise<Attempt> => {
    const { answer, attempt, ...none } = await send(client, path, body, schema, (count) =>
      sending.update(before + count),
    )
    const rejected = answer?.rejected ?? none.rejected
    const all =
      answer === undefined
        ? rejected.length
        : 'dryRun' in answer
          ? answer.documents.rejected
          : answer.rejectedTotal
    before += attempt.places.count
    refused += all + attempt.problems.length
    outside += attempt.problems.length + (answer === undefined ? all : 0)
    problems.push(...attempt.problems, ...refusals(rejected, all, attempt))
    if (answer !== undefined) onAnswer(answer)
    return attempt
  }
  const lines = (some: readonly Input[]) =>
    request({
      contentType: 'application/x-ndjson',
      open: (attempt) => linesBody(some, reading, attempt),
      canRepeat,
    })
  const form = (some: readonly Input[]) => {
    const boundary = `millrace-${randomUUID()}`
    return request({
      contentType: `multipart/form-data; boundary=${boundary}`,
      open: (attempt) => formBody(some, boundary, reading, attempt),
      canRepeat,
    })
  }
  try {
    if (strict && files.length > 0) await form(checked)
    else {
      const found = others.length === 0 ? [] : (await lines(others)).files
      if (files.length + found.length > 0) await form([...files, ...found])
    }
  } finally {
    sending.stop()
  }
  if (before === 0 && problems.length === 0) throw nothing(readsStdin)
  return { problems, refused, outside }
}

function queryOf({ source, sync, dryRun }: IngestOptions & { readonly dryRun?: boolean }): string {
  const query = new URLSearchParams({
    ...(source === undefined ? {} : { source }),
    ...(sync === true ? { sync: 'full' } : {}),
    ...(dryRun === true ? { dryRun: 'true' } : {}),
  }).toString()
  return query === '' ? '' : `?${query}`
}

/** Before a sync: every file can be read, and it is known which ones go as they are. */
async function checkAll(inputs: readonly Input[]): Promise<Input[]> {
  const checked: Input[] = []
  for (const input of inputs) {
    if (input.kind === 'text' || input.kind === 'file') {
      const kind = await kindOf(input)
      checked.push({ ...input, kind })
    } else checked.push(input)
  }
  return checked
}

async function kindOf(file: FoundFile): Promise<FoundFile['kind']> {
  try {
    await access(file.path, constants.R_OK)
  } catch (error) {
    throw new CodedError('SYNC_INCOMPLETE', `${file.path} cannot be read: ${messageOf(error)}`, {
      hint: 'Nothing was sent: --sync would take its document for gone',
      cause: error,
    })
  }
  const read = await readDocument(file)
  return 'kind' in read ? 'file' : 'text'
}

const mixed = () =>
  new CodedError('SYNC_MIXED', 'URLs and files do not go into one request, which --sync needs', {
    hint: 'Give the URLs a source of their own',
  })

const nothing = (readsStdin: boolean) =>
  new CodedError(
    'NO_DOCUMENTS',
    readsStdin ? 'Standard input has no documents' : 'There are no documents in what was named',
    {
      hint: 'NDJSON has a {"text": …} a line, CSV a header and rows; `millrace help ingest` has the formats',
    },
  )

/** The refusals that the answer lists, by where the documents came from, and how many more there are. */
function refusals(rejected: Submission['rejected'], all: number, { places }: Attempt): BadFile[] {
  const listed = rejected.map(({ index, id, code, message }) => ({
    path: places.nameOf(index) ?? id ?? String(index),
    code,
    message,
  }))
  const more = all - listed.length
  if (more <= 0) return listed
  return [
    ...listed,
    { path: `${more} more`, code: 'REFUSED', message: 'the server lists the first ones only' },
  ]
}

/** An ingestion names documents by their ids. */
function pathsOf(inputs: readonly Input[]): (id: string) => string {
  const paths = new Map(
    inputs.flatMap((input) => ('path' in input && 'id' in input ? [[input.id, input.path]] : [])),
  )
  return (id) => paths.get(id) ?? id
}

const deletedBy = (ingestions: readonly Ingestion[]): number | null => {
  const synced = ingestions.flatMap(({ sync }) => (sync?.state === 'done' ? [sync.deleted] : []))
  return synced.length === 0 ? null : synced.reduce((all, one) => all + one)
}

/** A sync that deleted nothing, because it did not succeed as a whole. */
const skippedOf = (ingestions: readonly Ingestion[]): BadFile[] =>
  ingestions.flatMap(({ sync }) =>
    sync?.state === 'skipped'
      ? [{ path: sync.source, code: 'SYNC_SKIPPED', message: `nothing was deleted: ${sync.reason ?? ''}` }]
      : [],
  )

function total(ingestions: readonly Ingestion[]) {
  const sum = (of: (ingestion: Ingestion) => number) => ingestions.reduce((all, one) => all + of(one), 0)
  return {
    documents: {
      ready: sum(({ documents }) => documents.ready),
      unchanged: sum(({ documents }) => documents.unchanged),
      failed: sum(({ documents }) => documents.failed),
      cancelled: sum(({ documents }) => documents.cancelled),
    },
    chunks: {
      total: sum(({ chunks }) => chunks.total),
      embedded: sum(({ chunks }) => chunks.embedded),
      reused: sum(({ chunks }) => chunks.reused),
    },
    tokens: { total: sum(({ tokens }) => tokens.total), embedded: sum(({ tokens }) => tokens.embedded) },
    textCut: { characters: sum(({ report }) => report?.textCut.characters ?? 0) },
    empty: sum(({ report }) => report?.empty ?? 0),
  }
}

/** Documents that did not come to their end. An ingestion does not say which ones. */
const cancelledOf = (ingestions: readonly Ingestion[]): BadFile[] =>
  ingestions.flatMap(({ id, state, documents: { cancelled } }) => {
    if (cancelled === 0) return []
    const path = cancelled === 1 ? '1 document' : `${cancelled} documents`
    return state === 'cancelled'
      ? [
          {
            path,
            code: 'CANCELLED',
            message: `ingestion ${id} was cancelled: \`millrace resume ${id}\` goes on`,
          },
        ]
      : [
          {
            path,
            code: 'SUPERSEDED',
            message: 'submitted again or deleted before it was ready: a later submission has it',
          },
        ]
  })

const failedSchema = z.object({
  documents: z.array(
    z.object({
      id: z.string(),
      ingestion: z.string(),
      error: z.object({ code: z.string(), message: z.string() }).nullable(),
    }),
  ),
  cursor: z.string().nullable(),
})
/** Failed documents that are named one by one; of more, and of what failed before, only the numbers are told. */
const FAILURES_NAMED = 1_000

/** Every document that failed. An ingestion names one for each code; where there are more, the listing does. */
async function failuresOf(
  client: Client,
  domain: string,
  ingestions: readonly Ingestion[],
  pathOf: (id: string) => string,
): Promise<BadFile[]> {
  const errors = ingestions.flatMap((ingestion) => ingestion.errors)
  const count = errors.reduce((sum, error) => sum + error.count, 0)
  const examples = errors.map(({ code, count, example }) => ({
    path: count === 1 ? pathOf(example.document) : `${pathOf(example.document)} and ${count - 1} more`,
    code,
    message: example.message,
  }))
  if (count === errors.length || count > FAILURES_NAMED) return examples
  const mine = new Set(ingestions.map(({ id }) => id))
  const named: BadFile[] = []
  for (let cursor: string | null = '', seen = 0; cursor !== null && seen < 10 * FAILURES_NAMED; ) {
    const after: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const path = `${domainPath(domain)}/documents?state=failed&limit=1000${after}`
    const page = await client.get(path, failedSchema)
    for (const { id, ingestion, error } of page.documents) {
      if (mine.has(ingestion) && error !== null) named.push({ path: pathOf(id), ...error })
    }
    seen += page.documents.length
    cursor = page.cursor
  }
  // Submitted again by somebody meanwhile: the counts are still true.
  return named.length === count ? named : examples
}
