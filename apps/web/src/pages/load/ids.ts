/** More than one drop ever has; an address that names more is not one of ours. */
const IDS_MAX = 10_000

/** Ingestions in an address, neighbours as a range: 12-14,17. */
export function writeIds(ids: readonly string[]): string {
  const numbers = [...new Set(ids.map(Number))].sort((a, b) => a - b)
  const ranges: [number, number][] = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && number === last[1] + 1) last[1] = number
    else ranges.push([number, number])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}

/** The ids again, ascending; what is none is left out. */
export function readIds(written: string): string[] {
  const ids: string[] = []
  for (const part of written.split(',')) {
    const [, first = '', last = first] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part.trim()) ?? []
    if (first === '') continue
    for (let id = Number(first); id <= Number(last) && ids.length < IDS_MAX; id++) ids.push(String(id))
  }
  return [...new Set(ids)]
}
