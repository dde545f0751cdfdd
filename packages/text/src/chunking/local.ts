/** Code units before a place that decide its hash: about half a sentence. */
const CONTEXT_CHARS = 32

/**
 * A hash (FNV-1a, 32 bits, mixed once more for its upper bits) of the text just before a place. It depends on nothing
 * else, so a place keeps its hash when text far from it changes: that is what makes boundaries content-defined.
 */
export function localHash(text: string, at: number, chars = CONTEXT_CHARS): number {
  let hash = 0x811c9dc5
  for (let index = Math.max(0, at - chars); index < at; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
