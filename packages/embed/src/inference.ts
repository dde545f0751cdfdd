import { memoryUsage } from 'node:process'
import { CodedError } from '@millrace/errors'
import type { BatchLimits } from './batch.js'
import { createIntake, type IntakeModel } from './intake.js'
import { isCounted } from './outputs.js'
import { runRows } from './pass.js'
import { toPlain } from './plain.js'
import type { FromThread, ThreadData, ToThread } from './protocol.js'
import { type DoneText, packResults } from './results.js'
import { type Batch, createRows } from './rows.js'
import { saturates } from './saturation.js'
import { openSession, type Session } from './session.js'
import { addWindow, outcomeOf, type Text } from './texts.js'
import { openTokenizer } from './tokenizer.js'
import { checkFiles } from './verify.js'

interface LoadedModel extends IntakeModel {
  readonly session: Session
}

type LoadMessage = Extract<ToThread, { type: 'load' }>
type Post = (message: FromThread, transfer: ArrayBuffer[]) => void

export interface Inference {
  receive(message: ToThread): void
}

/**
 * Everything that happens in the inference thread: owns the sessions and the rows that wait for them.
 * The next batch is chosen when the one before is done, out of all that came until then, so that a query waits
 * for one pass at most and the thread never for anyone while there is work.
 * @param closed is called once the sessions are released
 */
export function createInference(data: ThreadData, post: Post, closed: () => void): Inference {
  const models = new Map<string, LoadedModel>()
  const rows = createRows<Text>()
  const intake = createIntake(rows, modelOf)
  /** What the self-check of this processor found; made once, at the first model that asks. */
  let overflow: Promise<boolean> | undefined
  /** The load that is under way, and all before it: two at once would measure each other's memory. */
  let loading: Promise<void> = Promise.resolve()
  let isWorking = false
  let isClosing = false

  function modelOf(id: string): LoadedModel {
    const model = models.get(id)
    if (model === undefined) throw new CodedError('INTERNAL', `The model ${id} is not loaded in this thread`)
    return model
  }

  async function load({ dir, manifest }: LoadMessage): Promise<void> {
    const started = performance.now()
    try {
      await checkFiles(dir, manifest.files)
      const opened = loading.then(() => open(dir, manifest))
      loading = opened.then(
        () => undefined,
        () => undefined,
      )
      const { bytes, sevenBits } = await opened
      const ms = Math.round(performance.now() - started)
      post({ type: 'loaded', model: manifest.id, ms, bytes, sevenBits }, [])
    } catch (error) {
      post({ type: 'notLoaded', model: manifest.id, error: toPlain(error) }, [])
    }
  }

  async function open(dir: string, manifest: LoadMessage['manifest']) {
    const before = memoryUsage.rss()
    const tokenizer = await openTokenizer(dir)
    if (manifest.precision === 'int8-row') overflow ??= saturates()
    const sevenBits = manifest.precision === 'int8-row' && (await overflow) === true
    const session = await openSession(dir, manifest, tokenizer, { ...data, saturates: sevenBits })
    models.set(manifest.id, { manifest, tokenizer, session })
    return { bytes: Math.max(0, memoryUsage.rss() - before), sevenBits }
  }

  const limitsOf = (id: string): BatchLimits => ({
    paddedTokens: data.batchTokens ?? modelOf(id).manifest.batchTokens,
    attention: data.attentionBudget,
  })

  async function work(): Promise<void> {
    if (isWorking) return
    isWorking = true
    for (;;) {
      await messages()
      await intake.interactive()
      const batch = isClosing ? undefined : rows.take(limitsOf)
      if (batch === undefined) break
      await pass(batch)
    }
    isWorking = false
    if (isClosing) await release()
  }

  async function pass({ model, rows: batch }: Batch<Text>): Promise<void> {
    const { session, tokenizer } = modelOf(model)
    const special = tokenizer.special.before.length + tokenizer.special.after.length
    const started = performance.now()
    const outcomes = await runRows(
      session,
      batch.map(({ ids }) => ids),
      new Set(batch.flatMap(({ text }) => text.encoding.outputs.filter((output) => !isCounted(output)))),
    )
    const ms = performance.now() - started
    const done: DoneText[] = []
    outcomes.forEach((outcome, i) => {
      const row = batch[i]
      if (row !== undefined && addWindow(row.text, row.window, outcome, row.length - special)) {
        done.push({ ...row.text, outcome: outcomeOf(row.text) })
      }
    })
    const longest = Math.max(...batch.map(({ length }) => length))
    send(done, { rows: batch.length, paddedTokens: longest * batch.length, ms })
  }

  function send(
    done: readonly DoneText[],
    figures?: { rows: number; paddedTokens: number; ms: number },
  ): void {
    const message = packResults(done, figures)
    post(message, [message.floats.buffer, message.ids.buffer])
  }

  async function release(): Promise<void> {
    for (const { session } of models.values()) await session.close()
    models.clear()
    closed()
  }

  return {
    receive: (message) => {
      switch (message.type) {
        case 'load':
          void load(message)
          break
        case 'texts':
        case 'pairs':
          void intake.take(message).then((done) => {
            if (done.length > 0) send(done)
            return work()
          })
          break
        case 'drop':
          intake.drop(message.request)
          rows.drop(message.request)
          break
        case 'close':
          isClosing = true
          void work()
          break
      }
    },
  }
}

/** Lets in what has arrived: a pass blocks this thread, messages queue up meanwhile. */
const messages = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
