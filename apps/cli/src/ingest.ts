import type { Client, Ingestion } from './client.js'
import { type BadFile, type FileDocument, type FoundFile, findFiles, readDocument } from './files.js'
import { openFollower } from './follow.js'
import type { Progress } from './progress.js'
import { submit } from './submit.js'

export interface IngestReport {
  readonly domain: string
  readonly ingestions: readonly string[]
  readonly documents: {
    /** Files that were found. */
    readonly found: number
    /** Of those, documents that the server took. */
    readonly sent: number
    readonly ready: number
    readonly unchanged: number
    readonly failed: number
    /** Submitted again by somebody else, or deleted, before they were ready. */
    readonly cancelled: number
  }
  readonly chunks: { readonly total: number; readonly embedded: number; readonly reused: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  /** Characters of the text, white space aside, that are in no chunk. */
  readonly textCut: { readonly characters: number }
  readonly seconds: number
  /** Files that could not be read, documents that were refused or failed. */
  readonly problems: readonly BadFile[]
}

/** What one request carries: well below the server's limits. */
const REQUEST_DOCUMENTS = 200
const REQUEST_BYTES = 4 * 1024 * 1024

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

/** The same for files that were found already. A file that cannot become a document does not stop the others. */
export async function ingestFiles(
  client: Client,
  domain: string,
  files: readonly FoundFile[],
  progress: Progress,
): Promise<IngestReport> {
  const started = performance.now()
  const paths = new Map(files.map(({ id, path }) => [id, path]))
  const pathOf = (id: string) => paths.get(id) ?? id
  const problems: BadFile[] = []
  const latest = new Map<string, Ingestion>()
  const show = () => progress.update([...latest.values()], problems.length)
  const follower = openFollower(client, (ingestion) => {
    latest.set(ingestion.id, ingestion)
    show()
  })
  let sent = 0
  progress.start(files.length)
  try {
    for await (const documents of requestsOf(files, (bad) => problems.push(bad))) {
      const { ingestions, accepted, rejected } = await submit(client, domain, documents)
      sent += accepted
      problems.push(...rejected.map(({ id, code, message }) => ({ path: pathOf(id), code, message })))
      for (const ingestion of ingestions) follower.add(ingestion)
      show()
    }
    await follower.ended()
  } finally {
    follower.stop()
    progress.stop()
  }
  const seconds = Math.round((performance.now() - started) / 10) / 100
  const { documents, ...counts } = total([...latest.values()])
  return {
    domain,
    ingestions: [...latest.keys()],
    documents: { found: files.length, sent, ...documents },
    ...counts,
    seconds,
    problems: [...problems, ...failuresOf([...latest.values()], pathOf), ...cancelledOf(documents.cancelled)],
  }
}

/** The files as documents, as many as one request carries; a large one alone. */
async function* requestsOf(
  files: readonly FoundFile[],
  onBad: (bad: BadFile) => void,
): AsyncGenerator<FileDocument[]> {
  let request: FileDocument[] = []
  let bytes = 0
  for (const file of files) {
    const document = await readDocument(file)
    if ('code' in document) {
      onBad(document)
      continue
    }
    const size = Buffer.byteLength(document.text)
    if (request.length === REQUEST_DOCUMENTS || (request.length > 0 && bytes + size > REQUEST_BYTES)) {
      yield request
      request = []
      bytes = 0
    }
    request.push(document)
    bytes += size
  }
  if (request.length > 0) yield request
}

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
  }
}

/** An ingestion does not say which ones. */
const cancelledOf = (count: number): BadFile[] =>
  count === 0
    ? []
    : [
        {
          path: count === 1 ? '1 document' : `${count} documents`,
          code: 'SUPERSEDED',
          message: 'submitted again or deleted before it was ready: a later submission has it',
        },
      ]

/** An ingestion names one example for each code. */
const failuresOf = (ingestions: readonly Ingestion[], pathOf: (id: string) => string): BadFile[] =>
  ingestions.flatMap(({ errors }) =>
    errors.map(({ code, count, example }) => ({
      path: count === 1 ? pathOf(example.document) : `${pathOf(example.document)} and ${count - 1} more`,
      code,
      message: example.message,
    })),
  )
