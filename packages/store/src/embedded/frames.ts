/** A peer that does not keep to the protocol; its connection cannot go on. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** One message of the Postgres wire protocol (version 3), as it travels: type letter, length, body. */
export interface Frame {
  readonly type: string
  /** The whole message, header included; only the header when `oversize` is set. */
  readonly bytes: Buffer
  /** Set when the message was longer than allowed and its body was thrown away: its full length in bytes. */
  readonly oversize?: number
}

/** Type letter and int32 length, which counts itself but not the letter. */
export const HEADER_BYTES = 5

/**
 * Cuts a byte stream, in whatever pieces it arrives, into messages. Holds at most one incomplete message, so at
 * most `bytesMax` bytes; a longer message is skipped as it arrives and reported by its `oversize`.
 */
export class FrameReader {
  readonly #bytesMax: number
  #held: Buffer[] = []
  #heldBytes = 0
  #needBytes = HEADER_BYTES
  #skipBytes = 0

  constructor(bytesMax: number = Number.POSITIVE_INFINITY) {
    this.#bytesMax = bytesMax
  }

  /** The messages that this piece completes; they may share its memory. */
  push(piece: Buffer): Frame[] {
    const skipped = Math.min(this.#skipBytes, piece.length)
    this.#skipBytes -= skipped
    if (skipped < piece.length) this.#hold(piece.subarray(skipped))
    // Pieces are joined only once they complete a message: joining at each would be quadratic in its length.
    if (this.#heldBytes < this.#needBytes) return []
    return this.#cut(this.#held.length === 1 ? this.#held : [Buffer.concat(this.#held)])
  }

  #hold(piece: Buffer): void {
    this.#held.push(piece)
    this.#heldBytes += piece.length
  }

  #cut([buffer = Buffer.alloc(0)]: Buffer[]): Frame[] {
    const frames: Frame[] = []
    let at = 0
    this.#needBytes = HEADER_BYTES
    while (buffer.length - at >= HEADER_BYTES) {
      const bytes = frameBytes(buffer, at)
      if (bytes > this.#bytesMax) {
        frames.push({ ...frame(buffer.subarray(at, at + HEADER_BYTES)), oversize: bytes })
        this.#skipBytes = Math.max(0, at + bytes - buffer.length)
        at = Math.min(buffer.length, at + bytes)
      } else if (buffer.length - at < bytes) {
        this.#needBytes = bytes
        break
      } else {
        frames.push(frame(buffer.subarray(at, at + bytes)))
        at += bytes
      }
    }
    this.#held = []
    this.#heldBytes = 0
    if (at < buffer.length) this.#hold(buffer.subarray(at))
    return frames
  }
}

const frame = (bytes: Buffer): Frame => ({ type: String.fromCharCode(bytes[0] ?? 0), bytes })

function frameBytes(buffer: Buffer, at: number): number {
  const length = buffer.readUInt32BE(at + 1)
  if (length < 4) throw new ProtocolError(`A message of ${length} bytes: the length counts its own 4`)
  return length + 1
}

/** A message of one type from the parts of its body. */
export function message(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const body = parts.reduce((sum, part) => sum + part.length, 0)
  const header = Buffer.alloc(HEADER_BYTES)
  header.write(type, 0, 'latin1')
  header.writeUInt32BE(body + 4, 1)
  return Buffer.concat([header, ...parts])
}

/** A string as the protocol writes it: UTF-8, ended by a zero byte. */
export const cstring = (text: string): Buffer => Buffer.from(`${text}\0`)

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** The zero-ended string that starts at `at`, and where the next field starts. */
export function readCstring(buffer: Buffer, at: number): { readonly text: string; readonly next: number } {
  const end = buffer.indexOf(0, at)
  if (end < 0) throw new ProtocolError('A string in a message is not ended by a zero byte')
  return { text: buffer.toString('utf8', at, end), next: end + 1 }
}
