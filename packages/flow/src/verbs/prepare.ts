import type { Engine } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  type ClaimedDocument,
  claimDocuments,
  type DocumentRange,
  failDocuments,
  getIngestion,
  isRunning,
  type PreparedDocument,
  storeChunks,
} from '@millrace/store'
import type { Preparer } from '../preparer.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomain } from './domains.js'
import { type ReadDeps, readDocument } from './read.js'

interface Deps extends ReadDeps {
  readonly engine: Engine
  readonly preparer: Preparer
  readonly settings: Pick<Settings, 'ownedSeconds' | 'limits'>
}

interface Failed {
  readonly kind: 'failed'
  readonly id: number
  readonly revision: number
  readonly code: string
  readonly message: string
}
type Outcome = { readonly kind: 'prepared'; readonly document: PreparedDocument } | Failed

/** Chunks in one transaction: it stays short, and the first of them can be embedded while others are cut. */
const CHUNKS_A_WRITE = 256
/** How often it looks whether its ingestion was cancelled. */
const LOOK_MS = 1_000

/**
 * Cleans, chunks and compares the documents of a range, and puts new texts into pending. A document that
 * cannot be prepared fails alone. Returns how many texts are new.
 * @throws CodedError PREPARE_CRASHED (retryable): the documents are free again when their time is up
 */
export async function prepareRange(deps: Deps, range: DocumentRange): Promise<number> {
  const ingestion = await getIngestion(deps.db, range.ingestionId)
  if (ingestion === undefined || ingestion.state !== 'running') return 0
  const domain = await findDomain(deps, ingestion.domain).catch((error: unknown) => {
    if (codeOf(error) === 'UNKNOWN_DOMAIN') return undefined
    throw error
  })
  if (domain === undefined) return 0
  const claimed = await claimDocuments(deps.db, range, deps.settings.ownedSeconds)
  let added = 0
  let batch: PreparedDocument[] = []
  let failed: Failed[] = []
  let chunks = 0
  const write = async () => {
    if (failed.length > 0) await failDocuments(deps.db, failed)
    failed = []
    if (batch.length === 0) return
    const to = { generationId: domain.generationId, ingestionId: range.ingestionId, ...deps.settings }
    added += await storeChunks(deps.db, to, batch)
    batch = []
    chunks = 0
  }
  let looked = performance.now()
  for (const document of claimed) {
    if (performance.now() - looked > LOOK_MS) {
      // What is prepared is kept; what is not was cancelled with its ingestion.
      if (!(await isRunning(deps.db, range.ingestionId))) break
      looked = performance.now()
    }
    const outcome = await prepareOne(deps, domain, document)
    if (outcome.kind === 'failed') {
      failed.push(outcome)
      continue
    }
    batch.push(outcome.document)
    chunks += outcome.document.chunks.length
    if (chunks >= CHUNKS_A_WRITE) await write()
  }
  await write()
  return added
}

async function prepareOne(deps: Deps, domain: Domain, document: ClaimedDocument): Promise<Outcome> {
  const { id, revision } = document
  try {
    const read = await readDocument(deps, document)
    const prepared = await deps.preparer.prepare({
      modelDir: deps.engine.dir(domain.model),
      recipe: domain.recipe,
      document: { title: read.title, text: read.text, layout: read.layout },
    })
    const warnings = [...read.warnings, ...prepared.warnings]
    return { kind: 'prepared', document: { id, revision, ...prepared, warnings } }
  } catch (error) {
    // What may go better next time is left to the queue; the sweep fails what never does.
    if (error instanceof CodedError && error.retryable) throw error
    return { kind: 'failed', id, revision, code: codeOf(error), message: messageOf(error) }
  }
}
