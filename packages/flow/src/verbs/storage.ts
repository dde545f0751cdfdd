import type { Engine } from '@millrace/embed'
import {
  type Db,
  formsBehind,
  generationModel,
  type StorageForm,
  type StoredText,
  sampleStored,
  tableSizes,
} from '@millrace/store'
import { isExternal } from '../external.js'
import { copiedThrough } from '../generations/copies.js'
import { requireSameModel } from '../models.js'
import { bytesOf, type Comparison, compareStored, type Pair } from '../storage/compare.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

export interface StoragePart {
  /** vectors, terms (of sparse) or colbert. */
  readonly name: string
  readonly rows: number
  readonly tableBytes: number
  readonly indexBytes: number
  readonly indexes: readonly { readonly name: string; readonly bytes: number }[]
}

export interface StorageReport {
  readonly storage: StorageForm
  readonly dims: number
  readonly parts: readonly StoragePart[]
  /** Null: it was not measured, and a note says why. */
  readonly accuracy: (Comparison & { readonly sampled: number; readonly k: number }) | null
  /** The coarsest form that its vectors came through, whose precision they have; null: none coarser than their own. */
  readonly copiedFrom: StorageForm | null
  readonly notes: readonly string[]
}

export const STORAGE_SAMPLE_MAX = 2_000
const K = 10
/** Of the stored vectors that are scored, where bits find them. */
const CANDIDATES_SHARE = 0.05
/** Texts that are embedded at a time. */
const BATCH = 64
/** Of embedding texts again; then it says how far it came. */
const BUDGET_MS = 30_000

/**
 * What a domain's vectors take, and how far their form of storage is from float32. Float32 vectors that are not stored
 * are computed again by the model.
 * @throws CodedError MODEL_CHANGED, UNKNOWN_MODEL, and what the engine throws
 */
export async function reportStorage(
  deps: Deps,
  domain: Domain,
  { sample }: { readonly sample: number },
): Promise<StorageReport> {
  const parts = (await tableSizes(deps.db, domain.generationId)).map(({ indexes, ...size }) => {
    return { ...size, indexes, indexBytes: indexes.reduce((sum, { bytes }) => sum + bytes, 0) }
  })
  const behind = (await formsBehind(deps.db, [domain.generationId])).get(domain.generationId)
  const copiedFrom = copiedThrough(domain.storage, behind ?? [])
  const report = { storage: domain.storage, dims: domain.dims, parts, copiedFrom }
  const copied = copiedFrom === null ? [] : [copiedNote(domain, copiedFrom)]
  const isMeasured = !isExternal(domain) && (domain.storage !== 'full' || copiedFrom !== null)
  if (!isMeasured) {
    const lossless = 'Vectors are stored as float32, as they are: nothing is lost, and nothing was measured'
    const alone =
      'Vectors came with the documents and are stored in this form alone: there is nothing to compare with'
    const why = domain.storage !== 'full' ? [alone] : copiedFrom === null ? [lossless] : []
    return { ...report, accuracy: null, notes: [...copied, ...why] }
  }
  const { pairs, isCut } = await samplePairs(deps, domain, sample)
  const cut = [...copied, ...(isCut ? [`Its time was up after ${pairs.length} texts`] : [])]
  const compared = await compareStored(pairs, { k: K, share: CANDIDATES_SHARE })
  if (compared === undefined) {
    const few = pairs.length === 0 ? 'No text' : 'One text alone'
    return { ...report, accuracy: null, notes: [...cut, `${few}: there is nothing to compare`] }
  }
  return {
    ...report,
    accuracy: { ...compared, sampled: pairs.length, k: K },
    notes: ['Float32 vectors are not stored: the model computed those of the sampled texts again', ...cut],
  }
}

const copiedNote = (domain: Domain, from: StorageForm): string =>
  `Vectors were copied from ${from}: they keep its precision${isExternal(domain) ? '' : `. To compute them anew: millrace generations start ${domain.name} --no-copy`}`

async function samplePairs(
  { db, engine }: Deps,
  domain: Domain,
  sample: number,
): Promise<{ readonly pairs: Pair[]; readonly isCut: boolean }> {
  requireSameModel(engine, domain.recipe)
  const made = await generationModel(db, domain.generationId)
  const end = performance.now() + BUDGET_MS
  const pairs: Pair[] = []
  let after: Buffer | null = null
  let isCut = false
  while (pairs.length < sample) {
    const limit = Math.min(BATCH, sample - pairs.length)
    const page: { texts: StoredText[]; last: Buffer | null } = await sampleStored(
      db,
      domain.generationId,
      { storage: domain.storage, dims: domain.dims },
      { after, limit },
    )
    if (page.last === null) break
    after = page.last
    if (performance.now() >= end) {
      isCut = true
      break
    }
    const results = await engine.embed({
      model: domain.model,
      texts: page.texts.map(({ text }) => text),
      kind: 'document',
      priority: 'bulk',
      ...(made?.pooling == null ? {} : { windowPooling: made.pooling }),
    })
    results.forEach((result, i) => {
      const text = page.texts[i]
      if ('error' in result || text === undefined) return
      const bits = text.bits === null ? null : bytesOf(text.bits)
      pairs.push({ exact: result.vector, stored: text.vector, bits })
    })
  }
  return { pairs, isCut }
}
