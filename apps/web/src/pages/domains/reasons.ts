import { useMessages } from '../../lib/messages.ts'
import type { DocumentDetail } from './again.ts'
import { domainMessages } from './messages.ts'

/** Why a document failed, and what an open one waits for, as sentences. */
export function useReasons() {
  const { t, has } = useMessages(domainMessages)
  return {
    errorOf: ({ code, message }: NonNullable<DocumentDetail['error']>): string => {
      const key = `codes.${code}`
      return has(key) ? t(key) : message
    },
    waitingOf: (waiting: NonNullable<DocumentDetail['waiting']>): string =>
      t(`waiting.${waiting.code}`, {
        ahead: waiting.ahead ?? 0,
        attempts: waiting.attempts ?? 0,
        missing: waiting.missing ?? 0,
        leased: waiting.leased ?? 0,
      }),
  }
}
