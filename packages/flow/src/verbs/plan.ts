import type { Engine } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  compareDocuments,
  countSource,
  type Db,
  externalChunks,
  type LayoutPart,
  missingTexts,
} from '@millrace/store'
import { type Accepted, type Given, type Rejection, sortDocuments } from '../accept.js'
import { externalDims } from '../external.js'
import type { Preparation } from '../preparation.js'
import type { Preparer } from '../preparer.js'
import type { Settings } from '../settings.js'
import type { Domain } from './domains.js'
import { type FileReader, textOfFile } from './read.js'
import { type FileBytes, REJECTED_SHOWN, type SubmitOptions } from './submit.js'

/** What a submission would do. */
export interface Plan {
  readonly documents: {
    readonly added: number
    readonly changed: number
    readonly unchanged: number
    /** What a sync would delete. */
    readonly deleted: number
    readonly rejected: number
    /** Behind a URL: not known before it is fetched. */
    readonly unknown: number
  }
  /** Of the added and changed ones; `embed`: what the model would have to compute. */
  readonly chunks: { readonly total: number; readonly embed: number }
  readonly tokens: { readonly total: number; readonly embed: number }
  /** The first REJECTED_SHOWN of them. */
  readonly rejected: readonly Rejection[]
}

export interface OpenPlan {
  add(slice: readonly Given[], bytes?: FileBytes): Promise<void>
  end(): Promise<Plan>
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly preparer: Preparer
  readonly files: FileReader
  readonly settings: Pick<Settings, 'limits'>
}

/**
 * Says what a submission would add, change and delete and how many tokens that costs. Documents are cleaned and
 * chunked as they would be, texts are looked up by their hash; nothing is written and no model runs.
 */
export function openPlan(deps: Deps, domain: Domain, options: SubmitOptions): OpenPlan {
  const counts = { added: 0, changed: 0, unchanged: 0, rejected: 0, unknown: 0 }
  const chunks = { total: 0, embed: 0 }
  const tokens = { total: 0, embed: 0 }
  const shown: Rejection[] = []
  /** Texts that are paid for already in this plan. */
  const paid = new Set<string>()
  /** Documents of the source that are in it. */
  const kept = new Set<number>()

  const refuse = (rejected: readonly Rejection[]) => {
    counts.rejected += rejected.length
    shown.push(...rejected.slice(0, Math.max(0, REJECTED_SHOWN - shown.length)))
  }

  /** What the texts of these documents cost, with one look at the vectors that are there. */
  const price = async (prepared: readonly Preparation[]): Promise<void> => {
    const all = prepared.flatMap((document) => document.chunks)
    const missing = await missingTexts(
      deps.db,
      domain.generationId,
      all.map((chunk) => chunk.hash),
    )
    const absent = new Set(missing.map(keyOf))
    for (const chunk of all) {
      chunks.total++
      tokens.total += chunk.tokens
      const key = keyOf(chunk.hash)
      if (!absent.has(key) || paid.has(key)) continue
      paid.add(key)
      chunks.embed++
      tokens.embed += chunk.tokens
    }
  }

  return {
    add: async (slice, bytes) => {
      const sorted = sortDocuments(slice, deps.settings.limits, externalDims(domain))
      refuse(sorted.rejected)
      const there = await compareDocuments(deps.db, domain.id, sorted.accepted)
      const prepared: Preparation[] = []
      for (const document of sorted.accepted) {
        const known = there.get(document.externalId)
        if (known !== undefined && known.source === options.source) kept.add(known.id)
        if (known?.unchanged === true) {
          counts.unchanged++
          continue
        }
        if (document.origin === 'url') {
          counts.unknown++
          continue
        }
        const { vectors } = document
        const outcome =
          vectors === undefined
            ? await prepare(deps, domain, document, bytes)
            : { chunks: externalChunks(known?.id ?? NO_ID, vectors), parents: [], cut: 0, warnings: [] }
        if ('code' in outcome) {
          refuse([{ index: document.index, id: document.externalId, ...outcome }])
          continue
        }
        counts[known === undefined ? 'added' : 'changed']++
        prepared.push(outcome)
      }
      await price(prepared)
    },
    end: async () => {
      const before =
        options.sync === null || options.source === null
          ? 0
          : await countSource(deps.db, domain.id, options.source)
      const deleted = options.sync === null || counts.rejected > 0 ? 0 : before - kept.size
      return { documents: { ...counts, deleted }, chunks, tokens, rejected: shown }
    },
  }
}

/** Of a document that is not there yet: none of its vectors are. */
const NO_ID = 0

const keyOf = (hash: Buffer): string => hash.toString('latin1')

async function prepare(
  deps: Deps,
  domain: Domain,
  document: Accepted,
  bytes: FileBytes | undefined,
): Promise<Preparation | { readonly code: string; readonly message: string }> {
  try {
    const read = await readGiven(deps, document, bytes)
    return await deps.preparer.prepare({
      modelDir: deps.engine.dir(domain.model),
      recipe: domain.recipe,
      document: { title: document.title ?? read.title, text: read.text, layout: read.layout },
    })
  } catch (error) {
    if (error instanceof CodedError && error.retryable) throw error
    return { code: codeOf(error), message: messageOf(error) }
  }
}

async function readGiven(
  deps: Deps,
  document: Accepted,
  bytes: FileBytes | undefined,
): Promise<{
  readonly title: string | null
  readonly text: string
  readonly layout: readonly LayoutPart[] | undefined
}> {
  if (document.file === null || bytes === undefined) {
    return { title: document.title, text: document.text, layout: undefined }
  }
  const parts: Buffer[] = []
  for await (const part of bytes(document.index)) parts.push(part)
  const { name, type } = document.file
  return textOfFile(deps, { name, mediaType: type ?? undefined, bytes: Buffer.concat(parts) })
}
