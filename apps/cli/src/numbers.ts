import { InvalidArgumentError } from 'commander'

/** An option's value as a number from `min` to `max`. */
export const within =
  (min: number, max: number, whole: boolean) =>
  (value: string): number => {
    const number = Number(value)
    if (value.trim() === '' || !(number >= min && number <= max) || (whole && !Number.isInteger(number))) {
      throw new InvalidArgumentError(
        `It must be ${whole ? 'a whole number' : 'a number'} from ${min} to ${max}.`,
      )
    }
    return number
  }

/** Whole numbers with commas between, as they were written. */
export const numberList =
  (min: number, max: number, most: number) =>
  (value: string): string => {
    const parts = value.split(',')
    const isGood = (part: string) => /^\s*\d+\s*$/.test(part) && Number(part) >= min && Number(part) <= max
    if (parts.length <= most && parts.every(isGood)) return parts.map((part) => part.trim()).join(',')
    throw new InvalidArgumentError(
      `It must be whole numbers from ${min} to ${max} with commas between, at most ${most}.`,
    )
  }

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** `90s`, `10m`, `2h` or `1d` in seconds, from `min` to `max` of them. A number alone may have been meant as any of these. */
export const timeWithin =
  (min: number, max: number) =>
  (value: string): number => {
    const [, number, unit = ''] = /^(\d{1,9})([smhd])$/.exec(value.trim()) ?? []
    const found = Number(number) * (UNITS[unit] ?? Number.NaN)
    if (found >= min && found <= max) return found
    throw new InvalidArgumentError(
      `It must be a number with its unit, such as 90s, 10m, 2h or 1d, from ${min}s to ${max / 86_400}d.`,
    )
  }
