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
  renewDocuments,
  storeChunks,
} from '@millrace/store'
import type { Preparer } from '../preparer.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomain } from './domains.js'
import { isToBeRead, type ReadDeps, readDocument } from './read.js'

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

/** Another generation became live while it prepared for the one before. */
const SWITCHED = 'switched'
/** How often it begins anew for that: a domain is not switched all the time, and the sweep brings the range back. */
const SWITCHES_MAX = 5

/**
 * Cleans, chunks and compares the documents of a range, and puts new texts into pending. A document that
 * cannot be prepared fails alone. Where another generation becomes live meanwhile, the rest is prepared for that one.
 * Returns how many texts are new.
 * @throws CodedError PREPARE_CRASHED (retryable): the documents are free again when their time is up
 */
export async function prepareRange(deps: Deps, range: DocumentRange): Promise<number> {
  for (let n = 0; n < SWITCHES_MAX; n++) {
    const added = await prepareLive(deps, range)
    if (added !== SWITCHED) return added
  }
  return 0
}

async function prepareLive(deps: Deps, range: DocumentRange): Promise<number | typeof SWITCHED> {
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
  let isSwitched = false
  const write = async () => {
    if (failed.length > 0) await failDocuments(deps.db, domain.generationId, failed)
    failed = []
    if (batch.length === 0) return
    const to = { generationId: domain.generationId, ingestionId: range.ingestionId, ...deps.settings }
    const stored = await storeChunks(deps.db, to, batch)
    if (stored === undefined) isSwitched = true
    else added += stored
    batch = []
    chunks = 0
  }
  let looked = performance.now()
  const isOver = async () => {
    if (isSwitched) return true
    if (performance.now() - looked <= LOOK_MS) return false
    looked = performance.now()
    return !(await isRunning(deps.db, range.ingestionId))
  }
  const take = async (outcome: Outcome, atOnce: boolean) => {
    if (outcome.kind === 'failed') failed.push(outcome)
    else {
      batch.push(outcome.document)
      chunks += outcome.document.chunks.length
    }
    if (atOnce || chunks >= CHUNKS_A_WRITE) await write()
  }
  // A file may take minutes: its documents stay ours as long as somebody works on them.
  const beat = setInterval(
    () => void renewDocuments(deps.db, range, deps.settings.ownedSeconds).catch(() => undefined),
    (deps.settings.ownedSeconds * 1_000) / 3,
  )
  try {
    // What is here before what has to be fetched or read, and each of those written at once: none waits for a slow one.
    for (const document of claimed.filter((each) => !isToBeRead(each))) {
      // What is prepared is kept; what is not was cancelled with its ingestion.
      if (await isOver()) break
      await take(await prepareOne(deps, domain, document), false)
    }
    await write()
    for (const some of groupsOf(claimed.filter(isToBeRead))) {
      if (await isOver()) break
      const outcomes = await Promise.allSettled(some.map((document) => prepareOne(deps, domain, document)))
      for (const outcome of outcomes) if (outcome.status === 'fulfilled') await take(outcome.value, false)
      await write()
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    }
  } finally {
    clearInterval(beat)
  }
  return isSwitched ? SWITCHED : added
}

/** Pages that are fetched side by side: one that hangs holds up a few. Each may be in memory whole. */
const FETCHED_AT_ONCE = 4

/** Files one by one, since they are read one by one. */
function groupsOf(slow: readonly ClaimedDocument[]): ClaimedDocument[][] {
  const groups: ClaimedDocument[][] = slow.filter(({ origin }) => origin === 'file').map((file) => [file])
  const pages = slow.filter(({ origin }) => origin === 'url')
  for (let from = 0; from < pages.length; from += FETCHED_AT_ONCE) {
    groups.push(pages.slice(from, from + FETCHED_AT_ONCE))
  }
  return groups
}

/** What a file or a page is at fault for itself, also where another try might go better: its neighbours go on. */
const OWN = /^(FILE|URL)_/

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
    if (error instanceof CodedError && error.retryable && !OWN.test(error.code)) throw error
    return { kind: 'failed', id, revision, code: codeOf(error), message: messageOf(error) }
  }
}
