import { CodedError, messageOf } from '@millrace/errors'
import type { ModelManifest } from './manifest.js'
import { type Encoding, isCounted, type SparseVector } from './outputs.js'
import { pairSpecials, pairWindows, requirePair } from './pairs.js'
import type { PairsMessage, TextsMessage } from './protocol.js'
import { queryTokensMax, queryTooLong } from './reranked.js'
import type { DoneText } from './results.js'
import type { RowOwner, Rows } from './rows.js'
import { countTerms } from './terms.js'
import { emptyText, instructed, openText, refusal, type Text, tooLong, windowsOf } from './texts.js'
import type { Tokenizer } from './tokenizer.js'
import { countWords } from './words.js'

/** What the intake needs of a loaded model. */
export interface IntakeModel {
  readonly manifest: ModelManifest
  readonly tokenizer: Tokenizer
}

/** Turns texts into rows. The tokenizer works in native threads meanwhile, also while a pass is running. */
export interface Intake {
  /** Resolves when the rows are there, and to the texts that get none. */
  take(message: TextsMessage | PairsMessage): Promise<DoneText[]>
  /** Forgets a request: what is being tokenized for it makes no rows. */
  drop(request: number): void
  /** Resolves when the interactive texts that came until now are rows. */
  interactive(): Promise<unknown>
}

export function createIntake(rows: Rows<Text>, modelOf: (id: string) => IntakeModel): Intake {
  const running = new Map<TextsMessage | PairsMessage, Promise<unknown>>()
  const dropped = new WeakSet<TextsMessage | PairsMessage>()

  async function tokenize(message: TextsMessage): Promise<DoneText[]> {
    const { manifest, tokenizer } = modelOf(message.model)
    const refusals = message.texts.map(refusal)
    const given = message.texts.filter((_, i) => refusals[i] === undefined)
    const encoded = await tokenizer.encode(given.map((text) => instructed(text, message.kind, manifest)))
    const counts = await countsOf(message, given, encoded, { tokenizer, manifest })
    if (dropped.has(message)) return []
    const special = tokenizer.special.before.length + tokenizer.special.after.length
    const { encoding } = message
    const { window, longTexts } = encoding
    const done: DoneText[] = []
    let next = 0
    for (const [i, error] of refusals.entries()) {
      const index = message.first + i
      const terms = counts?.[next]
      const ids = error === undefined ? encoded[next++] : undefined
      const tokens = (ids?.length ?? 0) + special
      if (ids === undefined || ids.length === 0) done.push(refused(message, index, error ?? emptyText()))
      else if (longTexts === 'refuse' && tokens > window) {
        done.push({ ...refused(message, index, tooLong(tokens, window)), tokens })
      } else {
        const all = windowsOf(ids, tokenizer, window)
        const windows = longTexts === 'truncate' ? all.slice(0, 1) : all
        const truncated = windows.length < all.length
        const text = { index, tokens, windows: windows.length, truncated, encoding, isPair: false, terms }
        rows.add(openText(message, text), windows)
      }
    }
    return done
  }

  async function pair(message: PairsMessage): Promise<DoneText[]> {
    const { manifest, tokenizer } = modelOf(message.model)
    const template = requirePair(manifest.id, tokenizer)
    const refusals = message.texts.map(refusal)
    const given = message.texts.filter((_, i) => refusals[i] === undefined)
    const [query = new Int32Array(), ...encoded] = await tokenizer.encode([message.query, ...given])
    if (dropped.has(message)) return []
    const specials = pairSpecials(template)
    const most = queryTokensMax(manifest.tokensMax, specials)
    const wrong =
      query.length === 0 ? emptyText() : query.length > most ? queryTooLong(query.length, most) : undefined
    const done: DoneText[] = []
    let next = 0
    for (const [i, error] of refusals.entries()) {
      const index = message.first + i
      const ids = error === undefined ? encoded[next++] : undefined
      const refusedFor = wrong ?? error ?? (ids?.length ? undefined : emptyText())
      if (ids === undefined || refusedFor !== undefined) {
        done.push(refused(message, index, refusedFor ?? emptyText()))
        continue
      }
      const windows = pairWindows(query, ids, template, manifest.tokensMax)
      const tokens = specials + query.length + ids.length
      const text = {
        index,
        tokens,
        windows: windows.length,
        truncated: false,
        encoding: LOGIT,
        isPair: true,
        terms: undefined,
      }
      rows.add(openText(message, text), windows)
    }
    return done
  }

  return {
    take: async (message) => {
      const work = (message.type === 'texts' ? tokenize(message) : pair(message)).catch((error: unknown) =>
        message.texts.map((_, i) => refused(message, message.first + i, untokenized(error))),
      )
      running.set(message, work)
      try {
        return await work
      } finally {
        running.delete(message)
      }
    },
    drop: (request) => {
      for (const message of running.keys()) if (message.request === request) dropped.add(message)
    },
    interactive: () =>
      Promise.all(
        [...running].flatMap(([message, work]) => (message.priority === 'interactive' ? [work] : [])),
      ),
  }
}

/** What a model that reranks gives stands where others give the dense vector. */
const LOGIT: Encoding = { outputs: ['dense'], window: 0, windowPooling: 'max', longTexts: 'pool' }

/**
 * The terms of texts, where they are wanted: without the instruction that the model is given before each, since nobody
 * looks for its words.
 */
async function countsOf(
  { kind, encoding }: TextsMessage,
  texts: readonly string[],
  encoded: readonly Int32Array[],
  { manifest, tokenizer }: IntakeModel,
): Promise<SparseVector[] | undefined> {
  const as = encoding.outputs.find(isCounted)
  if (as === undefined) return undefined
  const { before, after } = tokenizer.special
  const own = instructed('', kind, manifest) === '' ? encoded : await tokenizer.encode(texts)
  const most = encoding.longTexts === 'truncate' ? encoding.window - before.length - after.length : undefined
  if (as === 'terms') return countWords(tokenizer, texts, own, most)
  return own.map((ids) => countTerms(ids.subarray(0, most), tokenizer))
}

const refused = ({ request }: RowOwner, index: number, outcome: CodedError): DoneText => ({
  request,
  index,
  tokens: 0,
  windows: 0,
  truncated: false,
  outcome,
})

const untokenized = (error: unknown): CodedError =>
  new CodedError('EMBED_FAILED', `The tokenizer failed: ${messageOf(error)}`, { cause: error })
