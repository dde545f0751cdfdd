/** One side of a comparison; does the same work whenever it is called. */
export type Side = () => Promise<unknown>

/** One run of a side. */
export interface Lap {
  readonly ms: number
  /** Time on processors of all threads of this process; what other processes did is not in it. */
  readonly cpuMs: number
}

/** The laps of each side, a round each. */
export type Laps<Name extends string> = Readonly<Record<Name, readonly Lap[]>>

/**
 * Runs the sides in turns, so that whatever else the machine does hits all of them: there and back (A B, B A, …),
 * so that none always follows the same one.
 */
export async function race<Name extends string>(
  sides: Readonly<Record<Name, Side>>,
  rounds: number,
): Promise<Laps<Name>> {
  const names = Object.keys(sides) as Name[]
  const laps = Object.fromEntries(names.map((name) => [name, [] as Lap[]])) as Record<Name, Lap[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) laps[name].push(await timed(sides[name]))
  }
  return laps
}

async function timed(side: Side): Promise<Lap> {
  const cpu = process.cpuUsage()
  const started = performance.now()
  await side()
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  return { ms, cpuMs: (user + system) / 1_000 }
}

/** The undisturbed lap, or the least disturbed one, in milliseconds. */
export const best = (laps: readonly Lap[], clock: keyof Lap = 'ms'): number =>
  Math.min(...laps.map((lap) => lap[clock]))

/** The value below which a share of them lies: .5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
