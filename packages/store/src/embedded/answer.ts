import { FrameReader } from './frames.js'
import { type Complaint, errorResponse, severityOf } from './replies.js'

/** What the engine answered to one batch, sorted by who it is for. */
export interface Answered {
  /** For the connection that asked, in order. */
  readonly bytes: readonly Buffer[]
  /** NotificationResponse messages; the asker has them among `bytes`, all other connections get them too. */
  readonly notifications: readonly Buffer[]
  /** Of the last ReadyForQuery: I idle, T in a transaction, E in a failed one; undefined when there was none. */
  readonly status: string | undefined
  /** The engine ended its session and answers nothing any more. */
  readonly fatal: boolean
}

const NO_COPY: Complaint = {
  code: '0A000',
  message: 'COPY FROM STDIN is not supported by the embedded database',
  hint: 'Insert from unnest($1::text[], …) instead',
}

/** Takes the engine's output in whatever pieces it comes. */
export class Answer {
  readonly #reader = new FrameReader()
  readonly #runs: Buffer[] = []
  readonly #notifications: Buffer[] = []
  #status: string | undefined
  #fatal = false
  #copying = false

  push(piece: Uint8Array): void {
    // A copy: the piece lies in the engine's memory, which it writes again.
    for (const { type, bytes } of this.#reader.push(Buffer.from(piece))) {
      if (type === 'G') this.#copying = true
      else this.#keep(type === 'E' ? this.#error(bytes) : bytes)
      if (type === 'A') this.#notifications.push(bytes)
      if (type === 'Z') this.#status = bytes.toString('latin1', 5, 6)
    }
  }

  /** The client never sees that a COPY began (CopyInResponse is left out), only why it cannot. */
  #error(bytes: Buffer): Buffer {
    const severity = severityOf(bytes)
    if (severity === 'FATAL' || severity === 'PANIC') this.#fatal = true
    if (!this.#copying) return bytes
    this.#copying = false
    return errorResponse(NO_COPY)
  }

  /** Neighbours in memory are sent as one: a result of many rows is a few writes, not one a row. */
  #keep(bytes: Buffer): void {
    const last = this.#runs.at(-1)
    if (last?.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset) {
      this.#runs[this.#runs.length - 1] = Buffer.from(
        last.buffer,
        last.byteOffset,
        last.length + bytes.length,
      )
    } else this.#runs.push(bytes)
  }

  finish(): Answered {
    return {
      bytes: this.#runs,
      notifications: this.#notifications,
      status: this.#status,
      fatal: this.#fatal,
    }
  }
}
