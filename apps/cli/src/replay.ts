import type { Readable } from 'node:stream'

/** A stream that is read once, and again from its beginning as long as little of it was read. */
export interface Replay {
  chunks(): AsyncIterable<Uint8Array>
  canRepeat(): boolean
}

/** What is kept for another try: a busy server mostly says so before it has taken more. */
const KEPT_BYTES = 8 * 1024 * 1024

export function openReplay(open: () => Readable): Replay {
  let source: AsyncIterator<Uint8Array> | undefined
  let kept: Uint8Array[] | undefined = []
  let size = 0
  return {
    canRepeat: () => kept !== undefined,
    async *chunks() {
      // By hand: a loop would close the stream when the first try is given up.
      source ??= open()[Symbol.asyncIterator]()
      if (kept !== undefined) yield* [...kept]
      for (;;) {
        const next = await source.next()
        if (next.done === true) return
        size += next.value.length
        if (size > KEPT_BYTES) kept = undefined
        kept?.push(next.value)
        yield next.value
      }
    },
  }
}
