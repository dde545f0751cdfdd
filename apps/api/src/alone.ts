import { CodedError } from '@millrace/errors'

/**
 * For what reads or embeds for seconds: done one at a time, whoever comes meanwhile is told to come back.
 * @throws CodedError OVERLOADED with this message and hint
 */
export function oneAtATime(message: string, hint: string): <T>(work: () => Promise<T>) => Promise<T> {
  let isRunning = false
  return async (work) => {
    if (isRunning) throw new CodedError('OVERLOADED', message, { hint, retryable: true })
    isRunning = true
    try {
      return await work()
    } finally {
      isRunning = false
    }
  }
}
