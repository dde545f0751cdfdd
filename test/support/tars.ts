import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { extract, pack } from 'tar-stream'

/** An entry of a tar, whole. */
export interface TarEntry {
  readonly name: string
  readonly bytes: Buffer
}

export async function untar(tar: Buffer): Promise<TarEntry[]> {
  const entries: TarEntry[] = []
  const from = extract()
  from.end(tar)
  for await (const source of from) {
    const pieces: Buffer[] = []
    for await (const piece of source as AsyncIterable<Buffer>) pieces.push(piece)
    entries.push({ name: source.header.name, bytes: Buffer.concat(pieces) })
  }
  return entries
}

export async function tar(entries: readonly TarEntry[]): Promise<Buffer> {
  const into = pack()
  for (const { name, bytes } of entries) {
    if (name.endsWith('/')) into.entry({ name, type: 'directory' })
    else into.entry({ name }, bytes)
  }
  into.finalize()
  return buffer(into as unknown as NodeJS.ReadableStream)
}

/** With the checksums that what is there has now: as a program would write it that means what it writes. */
export function resealed(entries: readonly TarEntry[]): TarEntry[] {
  return entries.map((entry) => {
    if (entry.name !== 'checksums.json') return entry
    const { counts } = JSON.parse(entry.bytes.toString()) as { counts: object }
    const sums = entries
      .filter(({ name }) => name !== 'checksums.json' && !name.includes('/files/'))
      .map(({ name, bytes }) => [
        name,
        { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
      ])
    return { ...entry, bytes: Buffer.from(JSON.stringify({ entries: Object.fromEntries(sums), counts })) }
  })
}

/** With another text in the entries of that name. */
export const changed = (
  entries: readonly TarEntry[],
  name: string | RegExp,
  change: (text: string) => string,
): TarEntry[] =>
  entries.map((entry) =>
    (typeof name === 'string' ? entry.name === name : name.test(entry.name))
      ? { ...entry, bytes: Buffer.from(change(entry.bytes.toString('latin1')), 'latin1') }
      : entry,
  )
