import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  countDocuments,
  countSlice,
  type Db,
  formsBehind,
  measuredSpeed,
  missingTexts,
  NO_DOCUMENTS,
  rowBytes,
  type SampledDocument,
  type StorageForm,
  sampleDocuments,
  tableSizes,
} from '@millrace/store'
import type { Preparation } from '../preparation.js'
import type { Preparer } from '../preparer.js'
import type { Settings } from '../settings.js'
import type { Domain } from '../verbs/domains.js'
import { estimateBytes, type Volume } from './bytes.js'
import { type Copies, copiedThrough } from './copies.js'
import type { Change, Wanted } from './wanted.js'

/** What building a generation would take. */
export interface GenerationPlan {
  readonly documents: number
  /** `embedded`: what the model has to compute. What is neither is a text that came before. */
  readonly chunks: { readonly total: number; readonly copied: number; readonly embedded: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  /** Null: nothing was embedded here yet to go by. */
  readonly hours: number | null
  readonly speed: { readonly tokensPerSecond: number; readonly of: 'this model' | 'other model' } | null
  readonly bytes: number
  readonly changes: readonly Change[]
  /** False: what is taken over are codes of a coarser form, which the finer one cannot mend. */
  readonly exact: boolean
  /** That coarser form, which may be one that the live generation's vectors were in before; null where it is exact. */
  readonly copiedFrom: StorageForm | null
  /** Documents that the figures rest on; null: all were counted. */
  readonly sampled: number | null
  readonly adapted: Wanted['adapted']
}

export interface PlanDeps {
  readonly db: Db
  readonly engine: Pick<Engine, 'dir'>
  readonly preparer: Preparer
  readonly settings: Pick<Settings, 'indexRowsMin'>
}

export interface Planned {
  readonly wanted: Wanted
  readonly changes: readonly Change[]
  /** Undefined: nothing is taken over. */
  readonly copies: Copies | undefined
  readonly copySince: Date | null
}

/** Documents that are counted in one statement, and statements of a plan: beyond that it goes by those it has counted. */
const SLICE = 5_000
const SLICES_MAX = 100
/** Documents that are divided to see what comes of them, how many are read at once, their longest text, and for how long. */
const SAMPLE = 200
const READ_AT_ONCE = 10
const SAMPLE_BYTES_MAX = 1_048_576
const SAMPLE_MS = 20_000

/**
 * Says what a generation would cost: documents are counted; chunks and tokens too where the recipe stays, else some of the
 * documents are divided as they would be, and their texts are looked up by their hash. Nothing is written and no model runs.
 */
export async function planGeneration(
  deps: PlanDeps,
  live: Domain,
  planned: Planned,
): Promise<GenerationPlan> {
  const { wanted, changes, copies, copySince } = planned
  const [counts = NO_DOCUMENTS] = (await countDocuments(deps.db, [live.id])).values()
  const counted = await count(deps.db, live, counts.ready, copies === undefined ? null : copySince)
  const isSameRecipe = wanted.recipeHash === live.recipeHash
  const sample = isSameRecipe ? undefined : await divideSample(deps, live, planned, counted.picked)
  const share =
    sample === undefined
      ? keptAs(counted, copies !== undefined, await countTexts(deps.db, live))
      : sharesOf(counted, sample)
  // Those that are on their way now will be there, and those that were not counted.
  const coming = counts.total - counts.cancelled - counts.failed
  const scale = counted.documents === 0 ? 0 : coming / counted.documents
  const scaled = (value: number) => Math.round(value * scale)
  const tokens = { total: scaled(share.tokens), embedded: scaled(share.embeddedTokens) }
  const volume: Volume = { chunks: scaled(share.chunks), tokens: tokens.total }
  const speed = await measuredSpeed(deps.db, wanted.model)
  const indexed = deps.db.kind === 'server' && volume.chunks >= deps.settings.indexRowsMin
  const rows = await rowBytes(deps.db, live.generationId)
  const behind = copies === undefined ? [] : await formsOf(deps.db, live)
  const copiedFrom = copiedThrough(wanted.storage, behind)
  return {
    documents: counts.total - counts.cancelled,
    chunks: { total: volume.chunks, copied: scaled(share.copied), embedded: scaled(share.embedded) },
    tokens,
    hours: hoursOf(tokens.embedded, speed?.tokensPerSecond),
    speed:
      speed === undefined
        ? null
        : {
            tokensPerSecond: Math.round(speed.tokensPerSecond * 10) / 10,
            of: speed.isModel ? 'this model' : 'other model',
          },
    bytes: estimateBytes(wanted, volume, { ...counted, rows, lexical: live.lexical }, indexed),
    changes,
    exact: copiedFrom === null,
    copiedFrom,
    sampled: sampledOf(counted.documents, sample?.documents, scale),
    adapted: wanted.adapted,
  }
}

/** Its own, and those that its vectors came through. */
async function formsOf(db: Db, { generationId, storage }: Domain): Promise<readonly StorageForm[]> {
  const behind = await formsBehind(db, [generationId])
  return [storage, ...(behind.get(generationId) ?? [])]
}

/** Null where every document that will be there was looked at. */
function sampledOf(counted: number, divided: number | undefined, scale: number): number | null {
  if (divided !== undefined && divided < counted) return divided
  return counted === 0 || scale === 1 ? null : counted
}

/** To some milliseconds, and never 0 where something is embedded, however fast. */
function hoursOf(tokens: number, tokensPerSecond: number | undefined): number | null {
  if (tokens === 0) return 0
  if (tokensPerSecond === undefined || tokensPerSecond <= 0) return null
  return Math.max(Math.round((tokens / tokensPerSecond / 3_600) * 1e6), 1) / 1e6
}

/** What was counted of the live generation. */
interface Counted extends Volume {
  readonly documents: number
  readonly copied: Volume
  readonly picked: readonly number[]
}

async function count(db: Db, live: Domain, ready: number, publishedSince: Date | null): Promise<Counted> {
  const step = Math.max(1, Math.ceil(Math.min(ready, SLICE * SLICES_MAX) / SAMPLE))
  const sum = { documents: 0, chunks: 0, tokens: 0, copied: { chunks: 0, tokens: 0 } }
  const picked: number[] = []
  let after: string | null = null
  for (let slices = 0; slices < SLICES_MAX; slices++) {
    const slice = await countSlice(
      db,
      { domainId: live.id, generationId: live.generationId },
      { after, limit: SLICE, step, publishedSince },
    )
    sum.documents += slice.documents
    sum.chunks += slice.chunks
    sum.tokens += slice.tokens
    sum.copied.chunks += slice.copied.chunks
    sum.copied.tokens += slice.copied.tokens
    picked.push(...slice.picked)
    after = slice.after
    if (after === null) break
  }
  return { ...sum, picked }
}

/** Chunks and tokens of the documents that were counted. */
interface Share extends Volume {
  readonly copied: number
  readonly embedded: number
  readonly embeddedTokens: number
}

/** A text that several chunks have is there once. */
async function countTexts(db: Db, { generationId }: Domain): Promise<number> {
  return (await tableSizes(db, generationId)).find(({ name }) => name === 'vectors')?.rows ?? 0
}

/** With the same recipe they are the same chunks, of as many texts. */
function keptAs({ chunks, tokens, copied }: Counted, isCopied: boolean, texts: number): Share {
  const all = { chunks, tokens }
  if (!isCopied) return { ...all, copied: 0, embedded: Math.min(chunks, texts), embeddedTokens: tokens }
  const young = Math.min(copied.chunks, texts)
  const embedded = Math.min(chunks - copied.chunks, texts - young)
  return { ...all, copied: young, embedded, embeddedTokens: tokens - copied.tokens }
}

/** What came of the documents that were divided. */
interface Sample extends Share {
  readonly documents: number
  /** What they have in the live generation. */
  readonly was: Volume
}

/** All counted documents as those of the sample: by what these have now, which is known of all, else by their number. */
function sharesOf(counted: Counted, sample: Sample): Share {
  const ratio = (all: number, some: number) =>
    some > 0 ? all / some : sample.documents > 0 ? counted.documents / sample.documents : 0
  const chunks = ratio(counted.chunks, sample.was.chunks)
  const tokens = ratio(counted.tokens, sample.was.tokens)
  return {
    chunks: sample.chunks * chunks,
    tokens: sample.tokens * tokens,
    copied: sample.copied * chunks,
    embedded: sample.embedded * chunks,
    embeddedTokens: sample.embeddedTokens * tokens,
  }
}

async function divideSample(
  deps: PlanDeps,
  live: Domain,
  { wanted, copies, copySince }: Planned,
  picked: readonly number[],
): Promise<Sample> {
  const end = performance.now() + SAMPLE_MS
  const sum = { documents: 0, chunks: 0, tokens: 0, copied: 0, embedded: 0, embeddedTokens: 0 }
  const was = { chunks: 0, tokens: 0 }
  /** Texts that are paid for already in this plan. */
  const paid = new Set<string>()
  for (let from = 0; from < picked.length && performance.now() < end; from += READ_AT_ONCE) {
    const ids = picked.slice(from, from + READ_AT_ONCE)
    const documents = await sampleDocuments(deps.db, live.generationId, ids, SAMPLE_BYTES_MAX)
    const divided: { readonly document: SampledDocument; readonly preparation: Preparation }[] = []
    for (const document of documents) {
      const preparation = await divide(deps, wanted, document)
      if (preparation !== undefined) divided.push({ document, preparation })
    }
    const taken = divided.flatMap(({ document, preparation }) =>
      copies !== undefined && isSince(document, copySince) ? preparation.chunks.map(({ hash }) => hash) : [],
    )
    const missing = new Set((await missingTexts(deps.db, live.generationId, taken)).map(keyOf))
    const there = new Set(taken.map(keyOf).filter((key) => !missing.has(key)))
    for (const { document, preparation } of divided) {
      sum.documents++
      was.chunks += document.chunks
      was.tokens += document.tokens
      for (const { hash, tokens } of preparation.chunks) {
        const key = keyOf(hash)
        sum.chunks++
        sum.tokens += tokens
        if (there.has(key)) sum.copied++
        else if (!paid.has(key)) {
          paid.add(key)
          sum.embedded++
          sum.embeddedTokens += tokens
        }
      }
    }
  }
  return { ...sum, was }
}

const isSince = ({ publishedAt }: SampledDocument, since: Date | null): boolean =>
  since === null || (publishedAt !== null && publishedAt >= since)

const keyOf = (hash: Buffer): string => hash.toString('latin1')

/** Undefined for a document that cannot be prepared: it will fail, and costs nothing. */
async function divide(
  { engine, preparer }: PlanDeps,
  { model, recipe }: Wanted,
  { title, text, layout }: SampledDocument,
): Promise<Preparation | undefined> {
  try {
    return await preparer.prepare({
      modelDir: engine.dir(model),
      recipe,
      document: { title, text, layout: layout ?? undefined },
    })
  } catch (error) {
    if (!(error instanceof CodedError) || error.retryable) throw error
    return undefined
  }
}
