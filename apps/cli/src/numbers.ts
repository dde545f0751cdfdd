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
