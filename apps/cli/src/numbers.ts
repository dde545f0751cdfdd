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
