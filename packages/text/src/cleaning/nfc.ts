import { Edits, type Rewritten } from '../edits.js'

// Code units below U+0300 are never changed by NFC and never join what stands before them (NFC_Quick_Check=Yes and
// combining class 0), so only runs from U+0300 up, with the character before them, need a look.
const SUSPECT = /[\s\S]?[\u0300-\uffff]+/g
// A character with what may compose with it: marks, and the vowels and final consonants of Hangul.
// Counted, not starred: V8 keeps a place to return to for each match of a starred class in a u expression, and a few
// million stacked marks would exhaust its stack.
const CLUSTER =
  /[^\p{M}\u1161-\u1175\u11a8-\u11c2][\p{M}\u1161-\u1175\u11a8-\u11c2]{0,64}|[\p{M}\u1161-\u1175\u11a8-\u11c2]{1,64}/gu

/** Unicode normalization form C. */
export function nfc(text: string): Rewritten | null {
  if (text.normalize('NFC') === text) return null
  const edits = new Edits(text)
  for (const match of text.matchAll(SUSPECT)) {
    const normal = match[0].normalize('NFC')
    if (normal !== match[0]) normalizeRun(edits, match[0], match.index, normal)
  }
  return edits.finish()
}

/** Edits cluster by cluster, for a fine way back; as a whole where the clusters alone would come out differently. */
function normalizeRun(edits: Edits, run: string, at: number, normal: string): void {
  const clusters = run.match(CLUSTER) ?? []
  const normals = clusters.map((cluster) => cluster.normalize('NFC'))
  if (normals.join('') !== normal || clusters.join('') !== run) {
    edits.replace(at, at + run.length, normal)
    return
  }
  let start = at
  clusters.forEach((cluster, index) => {
    const by = normals[index] ?? cluster
    if (by !== cluster) edits.replace(start, start + cluster.length, by)
    start += cluster.length
  })
}
