import type { Part, SourceFile } from '../contract.js'
import type { Limits } from '../limits.js'

/** What a reader of one format gives back; `extract.ts` adds the rest. */
export interface Read {
  readonly text: string
  readonly title: string | null
  readonly encoding?: string
  readonly layout?: readonly Part[]
  readonly warnings?: readonly string[]
}

export type Reader = (file: SourceFile, limits: Limits) => Read | Promise<Read>
