import { createHash, timingSafeEqual } from 'node:crypto'
import { ProtocolError, readCstring } from './frames.js'
import { askPassword, type Complaint, errorResponse, NO_ENCRYPTION, negotiateVersion } from './replies.js'

export interface Credentials {
  readonly user: string
  readonly password: string
  readonly database: string
}

/** What a piece of an opening conversation leads to; `rest` belongs to what comes after it. */
export interface Step {
  readonly reply: readonly Buffer[]
  readonly next: 'more' | 'welcome' | 'close'
  readonly rest: Buffer
}

/** Codes in place of a version: https://www.postgresql.org/docs/18/protocol-message-formats.html */
const CANCEL_REQUEST = 80877102
const SSL_REQUEST = 80877103
const GSSENC_REQUEST = 80877104
/** Postgres's own limit for a start-up packet (MAX_STARTUP_PACKET_LENGTH). */
const OPENING_BYTES_MAX = 10_000

const NOTHING = Buffer.alloc(0)

/** The conversation before the first statement: encryption declined, start-up packet, cleartext password. */
export class Handshake {
  readonly #credentials: Credentials
  #held: Buffer = NOTHING
  #startup: ReadonlyMap<string, string> | undefined

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  push(piece: Buffer): Step {
    this.#held = Buffer.concat([this.#held, piece])
    const reply: Buffer[] = []
    for (;;) {
      const packet = this.#take()
      if (packet === undefined) return { reply, next: 'more', rest: NOTHING }
      const next = this.#startup === undefined ? this.#open(packet, reply) : this.#check(packet, reply)
      if (next !== 'more') return { reply, next, rest: this.#held }
    }
  }

  /** The next packet without its length; the password message has a type letter in front, the others none. */
  #take(): Buffer | undefined {
    const lettered = this.#startup === undefined ? 0 : 1
    if (this.#held.length < lettered + 4) return undefined
    if (lettered === 1 && this.#held[0] !== 0x70) throw new ProtocolError('Expected a password message')
    const length = this.#held.readUInt32BE(lettered)
    if (length < 4 || length > OPENING_BYTES_MAX)
      throw new ProtocolError(`Start-up packet of ${length} bytes`)
    const end = lettered + length
    if (this.#held.length < end) return undefined
    const packet = this.#held.subarray(lettered + 4, end)
    this.#held = this.#held.subarray(end)
    return packet
  }

  #open(packet: Buffer, reply: Buffer[]): Step['next'] {
    if (packet.length < 4) throw new ProtocolError('Start-up packet without a version')
    const version = packet.readUInt32BE(0)
    if (version === SSL_REQUEST || version === GSSENC_REQUEST) {
      reply.push(NO_ENCRYPTION)
      return 'more'
    }
    // There is nothing to cancel: a statement runs to its end before the request can be read.
    if (version === CANCEL_REQUEST) return 'close'
    if (version >>> 16 !== 3) {
      return refuse(
        reply,
        '0A000',
        `Protocol ${version >>> 16}.${version & 0xffff} is not spoken here, 3.0 is`,
      )
    }
    const startup = readParameters(packet)
    const options = [...startup.keys()].filter((name) => name.startsWith('_pq_.'))
    if ((version & 0xffff) > 0 || options.length > 0) reply.push(negotiateVersion(options))
    this.#startup = startup
    reply.push(askPassword())
    return 'more'
  }

  #check(packet: Buffer, reply: Buffer[]): Step['next'] {
    const { user, password, database } = this.#credentials
    const asked = this.#startup?.get('user') ?? ''
    if (asked !== user || !same(readCstring(packet, 0).text, password)) {
      return refuse(reply, '28P01', `password authentication failed for user "${asked}"`)
    }
    const wanted = this.#startup?.get('database') ?? asked
    if (wanted !== database) return refuse(reply, '3D000', `database "${wanted}" does not exist`)
    return 'welcome'
  }
}

function refuse(reply: Buffer[], code: Complaint['code'], message: string): 'close' {
  reply.push(errorResponse({ severity: 'FATAL', code, message }))
  return 'close'
}

function readParameters(packet: Buffer): Map<string, string> {
  const parameters = new Map<string, string>()
  for (let at = 4; at < packet.length && packet[at] !== 0; ) {
    const name = readCstring(packet, at)
    const value = readCstring(packet, name.next)
    parameters.set(name.text, value.text)
    at = value.next
  }
  return parameters
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
/** Takes the same time wherever the two differ, and whatever their lengths. */
const same = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))
