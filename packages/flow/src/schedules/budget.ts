/** What was embedded since when, of a ceiling on tokens an hour. */
export interface Hour {
  /** As ISO 8601. */
  readonly since: string
  readonly tokens: number
}

const HOUR_MS = 3_600_000

/** The hour that it is now: what was spent above the ceiling counts in those that follow. */
function hourOf(hour: Hour | undefined, ceiling: number, now: Date): Hour {
  if (hour === undefined) return { since: now.toISOString(), tokens: 0 }
  const since = Date.parse(hour.since)
  const passed = Math.floor((now.getTime() - since) / HOUR_MS)
  if (passed < 1) return hour
  const tokens = Math.max(0, hour.tokens - passed * ceiling)
  const isOver = tokens === 0
  return { since: isOver ? now.toISOString() : new Date(since + passed * HOUR_MS).toISOString(), tokens }
}

/** The hour once `tokens` more were embedded. */
export function spend(hour: Hour | undefined, tokens: number, ceiling: number, now: Date): Hour {
  const current = hourOf(hour, ceiling, now)
  return { ...current, tokens: current.tokens + tokens }
}

/** How much more may be embedded in the hour that it is now. */
export const leftOf = (hour: Hour | undefined, ceiling: number, now: Date): number =>
  Math.max(0, ceiling - hourOf(hour, ceiling, now).tokens)

/** When more may be embedded; null: now. */
export function freeAt(hour: Hour | undefined, ceiling: number, now: Date): Date | null {
  const { since, tokens } = hourOf(hour, ceiling, now)
  const full = Math.floor(tokens / ceiling)
  return full === 0 ? null : new Date(Date.parse(since) + full * HOUR_MS)
}
