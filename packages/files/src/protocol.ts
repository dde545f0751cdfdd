import type { Extracted, SourceFile } from './contract.js'
import type { Limits } from './limits.js'

/** To the process that reads files: one file at a time. */
export interface Job {
  readonly file: SourceFile
  readonly limits: Limits
}

/** An error without its class, which does not survive the way between processes. */
export interface PlainError {
  readonly code: string
  readonly message: string
  readonly hint: string | undefined
  readonly details: unknown
  readonly retryable: boolean
}

/** The answer to the job that was sent last. `isSpent`: the process has grown, and had better not read another file. */
export type Answer =
  | { readonly type: 'done'; readonly extracted: Extracted; readonly isSpent: boolean }
  | { readonly type: 'failed'; readonly error: PlainError; readonly isSpent: boolean }

/** What the watch in the process writes on standard error before it ends it. */
export const MEMORY_WORD = 'millrace-files: memory limit'
