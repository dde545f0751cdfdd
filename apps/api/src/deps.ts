import type { Engine } from '@millrace/embed'
import type { Log, Queues, Settings } from '@millrace/flow'
import type { Db } from '@millrace/store'

/** What the routes are handed. */
export interface ApiDeps {
  readonly db: Db
  readonly queues: Queues
  readonly engine: Engine
  readonly log: Log
  readonly defaultModel: string
  readonly settings: Settings
}
