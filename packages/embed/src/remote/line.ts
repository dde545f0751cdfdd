import { CodedError } from '@millrace/errors'
import { nextPriority, type Priority } from '../batch.js'
import type { RowOutcome } from '../pass.js'
import { aborted } from './errors.js'
import { createRoom, type Guest } from './room.js'

/** Bounds of what the line sends at once and holds. */
export interface LineLimits {
  readonly batchTexts: number
  readonly batchTokens: number
  /** Bulk batches on their way at once; one more is kept for interactive ones. */
  readonly concurrency: number
}

/**
 * Sends a batch: an outcome a text, in order.
 * @throws CodedError when no text is at fault: all whose texts are in the batch get it
 */
export type SendBatch = (
  texts: readonly string[],
  tokens: number,
  signal: AbortSignal,
) => Promise<readonly RowOutcome[]>

/** A caller of the line, until `end`. */
export interface Caller {
  /** Rejects when a batch with a text of this caller failed as a whole, or the caller gave up; never resolves. */
  readonly failed: Promise<never>
  /** Resolves when there is room for so many more texts; bulk callers take turns. */
  room(texts: number): Promise<void>
  /** Puts a window into the line. Resolves when it is answered, never once the caller has failed or ended. */
  submit(text: string, tokens: number): Promise<RowOutcome>
  /** A text is answered: its room is free again. */
  leave(): void
  /** Takes out what is still in the line. */
  end(): void
}

export interface Line {
  call(priority: Priority, signal: AbortSignal | undefined): Caller
  /** Fails all callers. */
  close(error: CodedError): void
}

interface Piece {
  readonly text: string
  readonly tokens: number
  readonly owner: Owner
  readonly resolve: (outcome: RowOutcome) => void
}

interface Owner {
  readonly priority: Priority
  isGone: boolean
  readonly guest: Guest
  readonly fail: (error: CodedError) => void
}

/**
 * Texts of many callers on their way to a server: put together to batches, interactive ones first, so many batches
 * at once. Bulk callers wait when the line is long, so that what it holds is bounded whatever is submitted.
 */
export function createLine(limits: LineLimits, send: SendBatch): Line {
  const pieces: Record<Priority, Piece[]> = { interactive: [], bulk: [] }
  const flying = new Map<AbortController, readonly Piece[]>()
  const owners = new Set<Owner>()
  // Enough to fill every batch on its way and the ones after.
  const room = createRoom(4 * limits.concurrency * limits.batchTexts)
  let interactiveRun = 0
  let isPumping = false

  function pump(): void {
    if (isPumping) return
    isPumping = true
    // Not at once: callers of the same moment share a batch.
    setImmediate(() => {
      isPumping = false
      for (let priority = turn(); priority !== undefined; priority = turn()) {
        interactiveRun = priority === 'interactive' ? interactiveRun + 1 : 0
        void fly(takeBatch(pieces[priority], limits))
      }
    })
  }

  function turn(): Priority | undefined {
    if (flying.size > limits.concurrency) return undefined
    const bulk = [...flying.values()].filter(([first]) => first?.owner.priority === 'bulk').length
    const has = {
      interactive: pieces.interactive.length > 0,
      bulk: pieces.bulk.length > 0 && bulk < limits.concurrency,
    }
    return nextPriority(has, interactiveRun)
  }

  async function fly(batch: readonly Piece[]): Promise<void> {
    const abort = new AbortController()
    flying.set(abort, batch)
    try {
      const tokens = batch.reduce((sum, piece) => sum + piece.tokens, 0)
      const texts = batch.map(({ text }) => text)
      const outcomes = await send(texts, tokens, abort.signal)
      for (const [i, piece] of batch.entries()) {
        const outcome = outcomes[i]
        if (outcome === undefined) throw new CodedError('INTERNAL', 'A text of the batch has no outcome')
        if (!piece.owner.isGone) piece.resolve(outcome)
      }
    } catch (error) {
      const coded =
        error instanceof CodedError ? error : new CodedError('INTERNAL', String(error), { cause: error })
      for (const { owner } of batch) owner.fail(coded)
    } finally {
      flying.delete(abort)
      pump()
    }
  }

  function drop(owner: Owner): void {
    if (owner.isGone) return
    owner.isGone = true
    owners.delete(owner)
    pieces[owner.priority] = pieces[owner.priority].filter((piece) => piece.owner !== owner)
    // Nobody waits for these answers any more.
    for (const [abort, batch] of flying) if (batch.every((piece) => piece.owner.isGone)) abort.abort()
    owner.guest.leaveAll()
  }

  function join(priority: Priority, signal: AbortSignal | undefined) {
    let reject: Owner['fail'] = () => undefined
    const failed = new Promise<never>((_, onError) => {
      reject = onError
    })
    failed.catch(() => undefined) // whoever waits for it has it; nobody does before the first await
    const fail = (error: CodedError) => {
      reject(error)
      drop(owner)
    }
    const owner: Owner = { priority, isGone: false, guest: room.guest(priority), fail }
    owners.add(owner)
    const abort = () => fail(aborted(signal))
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    const end = () => {
      signal?.removeEventListener('abort', abort)
      drop(owner)
    }
    return { owner, failed, end }
  }

  return {
    call: (priority, signal) => {
      const { owner, failed, end } = join(priority, signal)
      return {
        failed,
        room: owner.guest.enter,
        submit: (text, tokens) =>
          new Promise((resolve) => {
            if (owner.isGone) return
            pieces[priority].push({ text, tokens, owner, resolve })
            pump()
          }),
        leave: owner.guest.leave,
        end,
      }
    },
    close: (error) => {
      for (const owner of [...owners]) owner.fail(error)
    },
  }
}

/** The first pieces of a line, at least one, taken out: as many as a request takes. */
export function takeBatch<T extends { readonly tokens: number }>(
  line: T[],
  { batchTexts, batchTokens }: Pick<LineLimits, 'batchTexts' | 'batchTokens'>,
): T[] {
  let count = 0
  let tokens = 0
  for (const piece of line.slice(0, batchTexts)) {
    if (count > 0 && tokens + piece.tokens > batchTokens) break
    tokens += piece.tokens
    count++
  }
  return line.splice(0, count)
}
