import { type Frame, ProtocolError } from './frames.js'
import { renamed, type StatementNames, statementOf } from './names.js'
import { type Complaint, copyFail } from './replies.js'

/** Messages of one connection that the engine takes in one go. */
export interface Batch {
  readonly bytes: Buffer
  /**
   * `flush`: the client wants to see what there is, but the exchange goes on until a Sync, so nobody else may
   * come in between. The others end an exchange: the answer closes with a ReadyForQuery.
   */
  readonly end: 'sync' | 'query' | 'flush'
  /** It binds or describes the unnamed statement of an earlier batch. */
  readonly needsUnnamed: boolean
  /** It defines the unnamed statement, or drops it (a simple Query does). */
  readonly setsUnnamed: boolean
  /** Not to be run: the client is told this in place of an answer. */
  readonly refused?: Complaint
}

/** Ends a COPY FROM STDIN at its first read; the engine ignores it when no COPY is under way. */
const COPY_FAIL = copyFail('COPY FROM STDIN is not supported by the embedded database')

/** Client messages of the protocol, extended and simple; 'd', 'c', 'f' (COPY) are dropped. */
const KNOWN = 'PBDCESHQFdcf'
const ENDS: Readonly<Record<string, Batch['end']>> = { S: 'sync', Q: 'query', F: 'query', H: 'flush' }

/**
 * Collects a connection's messages into batches. A batch ends at Sync, a simple Query, a function call or Flush;
 * more than `bytesMax` bytes before that, and the batch is refused as a whole, its bytes not kept.
 */
export class Collector {
  readonly #names: StatementNames
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #bytes = 0
  #needsUnnamed = false
  #setsUnnamed = false

  constructor(names: StatementNames, bytesMax: number) {
    this.#names = names
    this.#bytesMax = bytesMax
  }

  /** The batch that this message completes. Throws a ProtocolError for a message that no client sends. */
  take(frame: Frame): Batch | undefined {
    if (!KNOWN.includes(frame.type)) throw new ProtocolError(`Unknown message type "${frame.type}"`)
    this.#bytes += frame.oversize ?? frame.bytes.length
    if (this.#bytes > this.#bytesMax) this.#parts = []
    else this.#keep(frame)
    const end = ENDS[frame.type]
    return end === undefined ? undefined : this.#finish(end)
  }

  #keep(frame: Frame): void {
    // The engine would end the whole session at input that stops inside a COPY, so it is never left waiting for
    // data: the failure is already there when it asks. What a client sends to a COPY has no COPY to go to.
    if ('dcf'.includes(frame.type)) return
    const about = statementOf(frame)
    if (about?.name === '') this.#noteUnnamed(frame.type)
    if (frame.type === 'Q') this.#setsUnnamed = true
    this.#parts.push(
      about === undefined ? frame.bytes : renamed(frame, about, this.#names.engineName(about.name)),
    )
    if (frame.type === 'E' || frame.type === 'Q') this.#parts.push(COPY_FAIL)
  }

  #noteUnnamed(type: string): void {
    if (type === 'P') this.#setsUnnamed = true
    else if (type !== 'C' && !this.#setsUnnamed) this.#needsUnnamed = true
  }

  #finish(end: Batch['end']): Batch {
    const batch: Batch = {
      bytes: Buffer.concat(this.#parts),
      end,
      needsUnnamed: this.#needsUnnamed,
      setsUnnamed: this.#setsUnnamed,
      ...(this.#bytes > this.#bytesMax ? { refused: tooLong(this.#bytes, this.#bytesMax) } : {}),
    }
    this.#parts = []
    this.#bytes = 0
    this.#needsUnnamed = false
    this.#setsUnnamed = false
    return batch
  }
}

const tooLong = (bytes: number, bytesMax: number): Complaint => ({
  code: '54000',
  message: `A statement of ${bytes} bytes exceeds the ${bytesMax} bytes that the embedded database takes at once`,
  hint: 'Send fewer rows in one statement',
})
