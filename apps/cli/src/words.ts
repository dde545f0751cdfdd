/** 1,234 chunks; 1 chunk. */
export const count = (number: number, thing?: string): string =>
  `${number.toLocaleString('en')}${thing === undefined ? '' : ` ${thing}${number === 1 ? '' : 's'}`}`

const MINUTE = 60
const HOUR = 60 * MINUTE

/** 42 s; 3 min 20 s; 2 h 5 min; 3 d 4 h. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < MINUTE) return `${whole} s`
  if (whole < HOUR) return two(Math.floor(whole / MINUTE), 'min', whole % MINUTE, 's')
  const minutes = Math.round(whole / MINUTE)
  if (minutes < 24 * MINUTE) return two(Math.floor(minutes / MINUTE), 'h', minutes % MINUTE, 'min')
  const hours = Math.round(minutes / MINUTE)
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

const two = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
