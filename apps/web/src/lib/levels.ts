import type { Level } from '../api/client.ts'
import type { Language } from './language.ts'

export type Tone = 'good' | 'fair' | 'poor'

/** How a level is coloured: the highest good, the lowest poor, those between fair. Levels come highest first or last. */
export function toneOf(levels: readonly Pick<Level, 'key' | 'above'>[], key: string | null): Tone {
  const ordered = [...levels].sort((a, b) => (b.above ?? -Infinity) - (a.above ?? -Infinity))
  const at = ordered.findIndex((level) => level.key === key)
  if (at === -1) return 'poor'
  if (at === 0 && ordered.length > 1) return 'good'
  return at === ordered.length - 1 ? 'poor' : 'fair'
}

/** The level of a score: the highest that it is strictly above. */
export const levelOf = <L extends Pick<Level, 'above'>>(levels: readonly L[], score: number): L | undefined =>
  [...levels]
    .sort((a, b) => (b.above ?? -Infinity) - (a.above ?? -Infinity))
    .find(({ above }) => above === null || score > above)

export const nameOf = (level: Pick<Level, 'name'>, language: Language): string => level.name[language]
