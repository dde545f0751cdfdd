import type { Engine } from '@millrace/embed'
import type {
  FileReader,
  KnownDomains,
  Log,
  Preparer,
  QueryCache,
  QueryLog,
  Queues,
  Settings,
} from '@millrace/flow'
import type { Db } from '@millrace/store'

/** What the routes are handed. */
export interface ApiDeps {
  readonly db: Db
  readonly queues: Queues
  readonly engine: Engine
  /** Vectors of queries that were asked lately. */
  readonly cache: QueryCache
  /** What domains were when they were last searched. */
  readonly known: KnownDomains
  /** What was asked, as far as the settings want it kept. */
  readonly queryLog: QueryLog
  /** Cleans, chunks and counts, in a thread. */
  readonly preparer: Preparer
  /** Reads files, where it can be stopped. */
  readonly files: FileReader
  readonly log: Log
  /** What schedules go by. */
  readonly now: () => Date
  readonly defaultModel: string
  readonly settings: Settings
  /** The folder of the built web page; undefined: there is none. */
  readonly page: string | undefined
}
