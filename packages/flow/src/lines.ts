/** A line of a stream of bytes, without its end; `bytes` is null for one that was longer than the limit. */
export interface Line {
  /** From 0; blank lines are counted but not given. */
  readonly index: number
  readonly bytes: Buffer | null
}

const NEWLINE = 0x0a
const RETURN = 0x0d
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/**
 * The lines of a stream as they arrive. A line is held until its end and no further than `bytesMax`: of a longer one
 * the rest is read and dropped.
 */
export async function* linesOf(stream: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Line> {
  let parts: Buffer[] = []
  let size = 0
  let index = 0

  const take = (piece: Buffer) => {
    size += piece.length
    if (size <= bytesMax) parts.push(piece)
    else parts = []
  }
  const finish = (): Line | undefined => {
    const bytes = size > bytesMax ? null : trim(Buffer.concat(parts), index)
    const line = { index, bytes }
    parts = []
    size = 0
    index++
    return bytes?.length === 0 ? undefined : line
  }

  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, at))
      from = at + 1
      const line = finish()
      if (line !== undefined) yield line
    }
    take(chunk.subarray(from))
  }
  if (size === 0) return
  const last = finish()
  if (last !== undefined) yield last
}

/** Without the carriage return of Windows, blanks around it, and at the very start a byte order mark. */
function trim(line: Buffer, index: number): Buffer {
  const marked = index === 0 && line.subarray(0, 3).equals(BYTE_ORDER_MARK)
  let from = marked ? BYTE_ORDER_MARK.length : 0
  let to = line.length
  while (to > from && isBlank(line[to - 1])) to--
  while (from < to && isBlank(line[from])) from++
  return line.subarray(from, to)
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === RETURN
