import type { Socket } from 'node:net'
import { type Batch, Collector } from './batch.js'
import { FrameReader } from './frames.js'
import { type Credentials, Handshake } from './handshake.js'
import { StatementNames } from './names.js'
import { type Complaint, errorResponse, welcome } from './replies.js'

export interface ConnectionOptions {
  readonly id: number
  readonly credentials: Credentials
  /** What a client is told at the start: server_version and the like. */
  readonly parameters: Readonly<Record<string, string>>
  /** Longest message, and longest batch of them, in bytes. */
  readonly bytesMax: number
  /** Called when there is a batch to run; once, until `take` was called. */
  readonly onReady: (connection: Connection) => void
  /** Called once, when the client is no longer there. */
  readonly onGone: (connection: Connection) => void
}

/** How long a client may take to say who it is. */
const HANDSHAKE_MS = 10_000
/** How long a client that was told off may take to read it. */
const LINGER_MS = 1_000

/** One client: its socket, and what it has asked for but not been answered. */
export class Connection {
  readonly names: StatementNames
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #handshake: Handshake
  readonly #reader: FrameReader
  readonly #collector: Collector
  readonly #batches: Batch[] = []
  readonly #deadline: NodeJS.Timeout
  #open = false
  #leaving = false
  #gone = false

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.names = new StatementNames(options.id)
    this.#handshake = new Handshake(options.credentials)
    this.#reader = new FrameReader(options.bytesMax)
    this.#collector = new Collector(this.names, options.bytesMax)
    this.#deadline = setTimeout(() => this.#end(), HANDSHAKE_MS)
    socket.setNoDelay(true)
    socket.on('data', (piece: Buffer) => this.#receive(piece))
    socket.on('drain', () => this.#proceed())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#end())
  }

  /** True once the client left or was told to: nothing it asked will be run. */
  get gone(): boolean {
    return this.#gone
  }

  /** The batch to run now. */
  take(): Batch | undefined {
    return this.#batches.shift()
  }

  /** Sends the answer to the batch taken last; the next batch is offered once the client reads it. */
  answer(bytes: readonly Buffer[]): void {
    this.#write(bytes)
    this.#proceed()
  }

  /** Sends a NotificationResponse. Called between answers only, so it is never inside one. */
  notify(bytes: Buffer): void {
    if (!this.#open) return
    this.#write([bytes])
    // A client that stopped reading would collect notifications for ever.
    if (this.#socket.writableLength > this.#options.bytesMax) this.#end()
  }

  /** Tells the client why, and hangs up. */
  fail(complaint: Omit<Complaint, 'severity'>): void {
    this.#write([errorResponse({ ...complaint, severity: 'FATAL' })])
    this.#leave()
  }

  #write(bytes: readonly Buffer[]): void {
    if (this.#gone || this.#socket.destroyed) return
    this.#socket.cork()
    for (const part of bytes) this.#socket.write(part)
    this.#socket.uncork()
  }

  #receive(piece: Buffer): void {
    try {
      if (this.#open) this.#collect(piece)
      else this.#greet(piece)
    } catch (error) {
      this.fail({ code: '08P01', message: error instanceof Error ? error.message : String(error) })
    }
  }

  #greet(piece: Buffer): void {
    const { reply, next, rest } = this.#handshake.push(piece)
    this.#write(reply)
    if (next === 'more') return
    if (next === 'close') this.#leave()
    else this.#admit(rest)
  }

  #admit(rest: Buffer): void {
    clearTimeout(this.#deadline)
    this.#open = true
    this.#write([welcome(this.#options.parameters, this.#options.id)])
    if (rest.length > 0) this.#collect(rest)
  }

  #collect(piece: Buffer): void {
    if (this.#leaving) return
    const idle = this.#batches.length === 0
    for (const frame of this.#reader.push(piece)) {
      if (frame.type === 'X') {
        this.#leaving = true
        break
      }
      const batch = this.#collector.take(frame)
      if (batch !== undefined) this.#batches.push(batch)
    }
    if (idle) this.#proceed()
  }

  /** One thing at a time: what was sent is read by the client, then what it asked is run, then more is read. */
  #proceed(): void {
    if (this.#gone || !this.#open || this.#socket.writableNeedDrain) return
    if (this.#batches.length > 0) {
      this.#socket.pause()
      this.#options.onReady(this)
    } else if (this.#leaving) this.#leave()
    else this.#socket.resume()
  }

  /** Hangs up once what was written is sent. */
  #leave(): void {
    this.#leaving = true
    this.#socket.end()
    // Read on, so that the end of the other side is seen; but not for long.
    this.#socket.resume()
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref()
    this.#announce()
  }

  #end(): void {
    this.#socket.destroy()
    this.#announce()
  }

  #announce(): void {
    if (this.#gone) return
    this.#gone = true
    clearTimeout(this.#deadline)
    this.#batches.length = 0
    this.#options.onGone(this)
  }
}
