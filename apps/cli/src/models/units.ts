const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** 0 B, 724.9 kB, 2.27 GB: three digits or so, in thousands. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1_000
    unit += 1
  }
  const digits = unit === 0 ? 0 : value < 10 ? 2 : 1
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** 9 s, 1 min 05 s, 2 h 03 min. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  const two = (value: number) => String(value).padStart(2, '0')
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
}

export interface SpeedMeter {
  add(bytes: number): void
  /** Bytes a second over the last few seconds; 0 until something came. */
  perSecond(): number
}

const WINDOW_MS = 5_000

/** @param now milliseconds of a clock that only goes forward */
export function speedMeter(now: () => number): SpeedMeter {
  const begun = now()
  let samples: { readonly at: number; readonly bytes: number }[] = []
  const recent = () => {
    const from = now() - WINDOW_MS
    samples = samples.filter(({ at }) => at >= from)
    return samples
  }
  return {
    add: (bytes) => {
      const at = now()
      const last = samples.at(-1)
      // A sample a tenth of a second: a fast disk brings thousands of pieces.
      if (last !== undefined && at - last.at < 100)
        samples[samples.length - 1] = { at: last.at, bytes: last.bytes + bytes }
      else samples.push({ at, bytes })
    },
    perSecond: () => {
      const sum = recent().reduce((all, { bytes }) => all + bytes, 0)
      const ms = Math.min(WINDOW_MS, now() - begun)
      return ms <= 0 ? 0 : (sum / ms) * 1_000
    },
  }
}
