import { type Frame, HEADER_BYTES, message, ProtocolError, readCstring } from './frames.js'

/**
 * The prepared statements of one connection under names that no other connection uses: all connections share the
 * engine's one session, so two `s1` of different clients would be the same statement. Portals need none of this:
 * they end with their transaction, and a transaction has the engine to itself.
 */
export class StatementNames {
  readonly #prefix: string
  readonly #engineNames = new Map<string, string>()

  constructor(connectionId: number) {
    this.#prefix = `c${connectionId}_`
  }

  /** The engine's name for a client's; stays the same for the life of the connection. Unnamed stays unnamed. */
  engineName(name: string): string {
    if (name === '') return ''
    const known = this.#engineNames.get(name)
    if (known !== undefined) return known
    // Numbered, not prefixed: Postgres compares the first 63 bytes only.
    const fresh = `${this.#prefix}${this.#engineNames.size + 1}`
    this.#engineNames.set(name, fresh)
    return fresh
  }

  /** Every name the engine may still know, for when the connection ends. */
  used(): string[] {
    return [...this.#engineNames.values()]
  }
}

/** Which statement a message is about, and where its name stands. */
interface Mention {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** The prepared statement that Parse, Bind, Describe or Close mentions; undefined for a portal or other messages. */
export function statementOf(frame: Frame): Mention | undefined {
  const { type, bytes } = frame
  if (type === 'P') return mention(bytes, HEADER_BYTES)
  if (type === 'B') return mention(bytes, readCstring(bytes, HEADER_BYTES).next)
  if (type !== 'D' && type !== 'C') return undefined
  const kind = bytes[HEADER_BYTES]
  if (kind === 0x53) return mention(bytes, HEADER_BYTES + 1)
  if (kind === 0x50) return undefined
  throw new ProtocolError('Describe and Close are about a statement (S) or a portal (P)')
}

function mention(bytes: Buffer, start: number): Mention {
  const { text, next } = readCstring(bytes, start)
  return { name: text, start, end: next - 1 }
}

/** The same message about another statement. */
export function renamed(frame: Frame, at: Mention, name: string): Buffer {
  if (name === at.name) return frame.bytes
  return message(
    frame.type,
    frame.bytes.subarray(HEADER_BYTES, at.start),
    Buffer.from(name),
    frame.bytes.subarray(at.end),
  )
}
