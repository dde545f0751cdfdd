import { type Embedded, type EmbedFailure, type Engine, isElsewhere, signsOf } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  type ColbertRow,
  countAttempt,
  type Db,
  type FailedText,
  type GenerationModel,
  generationModel,
  isWanted,
  type Lease,
  type LeasedText,
  noteBreak,
  openLease,
  renewLease,
  type StoredLease,
  storeLease,
  type TermsRow,
  uncountAttempt,
  type VectorRow,
} from '@millrace/store'
import { modelChanged } from '../models.js'
import { outputsFor } from '../search/query.js'
import { type TextScale, USUAL_TOKENS, weighTerms } from '../search/terms.js'
import type { Settings } from '../settings.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly settings: Pick<Settings, 'leaseSeconds'>
}

/** Attempts together with others; then a text is embedded alone: whatever it does, it does not to its neighbours. */
const SHARED_ATTEMPTS_MAX = 2
const ATTEMPTS_MAX = 5
/** How often it looks whether its texts are still wanted: their ingestion may have been cancelled. */
const LOOK_MS = 1_000

/**
 * Embeds the texts of a lease and stores what came of them. A second delivery of the same job finds nothing
 * to take out of pending, so it stores and counts nothing.
 * When nobody waits for its texts any more, because their ingestion was cancelled, it stops and ends the lease.
 * @throws CodedError ENGINE_CRASHED (retryable) when the engine died, REMOTE_… when a server that computes vectors
 * did not do so, which counts as no attempt; what was stored stays stored
 */
export async function embedLease(deps: Deps, lease: Lease): Promise<StoredLease> {
  const { db, settings } = deps
  const made = await generationModel(db, lease.generationId)
  if (made === undefined || !(await renewLease(db, lease, settings.leaseSeconds))) {
    return { texts: 0, tokens: 0 }
  }
  const beat = setInterval(
    () => void renewLease(db, lease, settings.leaseSeconds).catch(() => undefined),
    (settings.leaseSeconds * 1_000) / 3,
  )
  const unwanted = new AbortController()
  const look = setInterval(() => {
    const stop = (wanted: boolean) => (wanted ? undefined : unwanted.abort())
    isWanted(db, lease).then(stop, () => undefined)
  }, LOOK_MS)
  try {
    return await embedTexts({ ...deps, signal: unwanted.signal }, lease, made)
  } catch (error) {
    if (unwanted.signal.aborted) return await store(deps, lease, made, [], [], true)
    await noteBreak(db, lease, { code: codeOf(error), message: messageOf(error) }).catch(() => undefined)
    throw error
  } finally {
    clearInterval(beat)
    clearInterval(look)
  }
}

async function embedTexts(
  deps: Deps & { readonly signal: AbortSignal },
  lease: Lease,
  made: GenerationModel,
): Promise<StoredLease> {
  const texts = await openLease(deps.db, lease, SHARED_ATTEMPTS_MAX)
  const changed = modelChanged(deps.engine, made)
  if (changed !== undefined) {
    return await store(
      deps,
      lease,
      made,
      texts,
      texts.map(() => ({ error: changed })),
      true,
    )
  }
  const shared = texts.filter((text) => !text.isSuspect)
  const suspects = texts.filter((text) => text.isSuspect)
  const results = await embed(deps, lease, made, shared)
  const stored = await store(deps, lease, made, shared, results, suspects.length === 0)
  return suspects.length === 0 ? stored : add(stored, await embedSuspects(deps, lease, made, suspects))
}

/** One at a time, each counted before it is tried, so that one that kills the process is known the next time. */
async function embedSuspects(
  deps: Deps & { readonly signal: AbortSignal },
  lease: Lease,
  made: GenerationModel,
  suspects: readonly LeasedText[],
): Promise<StoredLease> {
  let stored: StoredLease = { texts: 0, tokens: 0 }
  let broken: unknown
  for (const text of suspects) {
    const attempts = await countAttempt(deps.db, lease, text.hash)
    try {
      const results = attempts > ATTEMPTS_MAX ? [giveUp] : await embed(deps, lease, made, [text])
      stored = add(stored, await store(deps, lease, made, [text], results, false))
    } catch (error) {
      if (deps.signal.aborted) throw error
      broken = error
    }
  }
  if (broken !== undefined) throw broken
  return add(stored, await store(deps, lease, made, [], [], true))
}

/** The largest chunk stands for the usual one: most are cut no smaller than they must be. */
const scaleOf = ({ lexical, chunkTokens }: GenerationModel): TextScale | undefined =>
  lexical === null ? undefined : { lexical, usualTokens: chunkTokens ?? USUAL_TOKENS }

const giveUp: EmbedFailure = {
  error: new CodedError('EMBED_GAVE_UP', `The model broke off on this text ${ATTEMPTS_MAX} times`),
}

const add = (a: StoredLease, b: StoredLease): StoredLease => ({
  texts: a.texts + b.texts,
  tokens: a.tokens + b.tokens,
})

async function embed(
  { db, engine, signal }: Deps & { readonly signal: AbortSignal },
  lease: Lease,
  { model, pooling, outputs, lexical, counted }: GenerationModel,
  texts: readonly LeasedText[],
): Promise<(Embedded | EmbedFailure)[]> {
  try {
    return await engine.embed({
      model,
      texts: texts.map(({ context, text }) => context + text),
      kind: 'document',
      outputs: outputsFor(outputs, { lexical, counted }),
      priority: 'bulk',
      signal,
      ...(pooling === null ? {} : { windowPooling: pooling }),
    })
  } catch (error) {
    // A server may be away for hours: the documents wait for it, they do not fail after five tries.
    if (isElsewhere(error)) {
      await uncountAttempt(
        db,
        lease,
        texts.map(({ hash }) => hash),
      )
    }
    throw error
  }
}

function store(
  { db }: Deps,
  lease: Lease,
  made: GenerationModel,
  texts: readonly LeasedText[],
  results: readonly (Embedded | EmbedFailure)[],
  done: boolean,
): Promise<StoredLease> {
  const scale = scaleOf(made)
  const vectors: VectorRow[] = []
  const terms: TermsRow[] = []
  const colbert: ColbertRow[] = []
  const failed: FailedText[] = []
  results.forEach((result, i) => {
    const hash = texts[i]?.hash
    if (hash === undefined) return
    if ('error' in result) failed.push({ hash, code: result.error.code, message: result.error.message })
    else {
      vectors.push({ hash, vector: result.vector })
      const weighed = scale === undefined ? undefined : weighTerms(result, scale)
      if (weighed !== undefined) terms.push({ hash, terms: weighed })
      if (result.colbert !== undefined) colbert.push({ hash, ...signsOf(result.colbert) })
    }
  })
  return storeLease(db, lease, { vectors, terms, colbert, failed, done })
}
