import { CodedError } from '@millrace/errors'
import type { Lexical, SearchMode } from '@millrace/store'

/** @throws CodedError MODE_NEEDS_TERMS when the domain keeps no terms of its texts */
export function requireMode(lexical: Lexical | null, mode: SearchMode): void {
  if (mode === 'dense' || lexical !== null) return
  throw new CodedError(
    'MODE_NEEDS_TERMS',
    `Mode ${mode} needs the terms of the texts, and the domain keeps none`,
    {
      hint: 'Search with mode dense, or create a domain with outputs dense and sparse',
      details: { mode },
    },
  )
}
