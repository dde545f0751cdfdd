import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type Db, migrate, openDb, openEmbedded, releaseOwners } from '@millrace/store'
import type { Log } from './log.js'
import { openQueues, type Queues, type QueueTarget } from './queue.js'
import type { Settings } from './settings.js'

/** The database and the queue, migrated and answering. */
export interface Backends {
  readonly db: Db
  readonly queues: Queues
  /** In words, for the log and the demo. */
  readonly description: string
  close(): Promise<void>
}

/**
 * The one place where the way to run is chosen: no settings, embedded; DATABASE_URL, that server with
 * BullMQ's Postgres backend; REDIS_URL too, BullMQ on Redis. `onGone` hears of an embedded database that ended
 * and could not be brought back; by default the program stops in order, with exit code 1.
 */
export async function openBackends(
  settings: Settings,
  log: Log,
  onGone: (error: Error) => void = stopProgram,
): Promise<Backends> {
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) {
      await closer().catch((error: unknown) => log.warn({ err: error }, 'closing'))
    }
  }
  try {
    const place = await openPlace(settings, log, closers, onGone)
    const db = openDb({
      url: place.url,
      kind: place.kind,
      onIdleError: (error) => log.warn({ err: error }, 'an idle database connection broke'),
    })
    closers.push(() => db.close())
    const applied = await migrate(db).catch((error: unknown) => {
      throw place.kind === 'server' ? whyNot(error) : error
    })
    if (applied.length > 0) log.info({ migrations: applied }, 'migrated')
    const queues = await openQueues(place.queue, log)
    closers.push(() => queues.close())
    if (place.kind === 'embedded') {
      // Nobody else can be at work here: what the last process left half-way is taken up now, from the rows.
      await queues.clear()
      await releaseOwners(db)
    }
    return { db, queues, description: place.description, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Place {
  readonly url: string
  readonly kind: Db['kind']
  readonly queue: QueueTarget
  readonly description: string
}

function stopProgram(): void {
  process.exitCode = 1
  process.kill(process.pid, 'SIGTERM')
}

async function openPlace(
  settings: Settings,
  log: Log,
  closers: (() => Promise<void>)[],
  onGone: (error: Error) => void,
): Promise<Place> {
  const { databaseUrl, redisUrl, queuePrefix: prefix } = settings
  if (databaseUrl === undefined) {
    const embedded = await openEmbedded({ dataDir: settings.dataDir, log })
    closers.push(() => embedded.close())
    embedded.onExit((error) => {
      log.error({ err: error }, 'the embedded database is gone')
      onGone(error)
    })
    return {
      url: embedded.url,
      kind: 'embedded',
      queue: { kind: 'postgres', url: embedded.url, prefix },
      description: `embedded PostgreSQL in ${settings.dataDir}`,
    }
  }
  const { host } = new URL(databaseUrl)
  if (redisUrl === undefined) {
    return {
      url: databaseUrl,
      kind: 'server',
      queue: { kind: 'postgres', url: databaseUrl, prefix },
      description: `PostgreSQL at ${host}, queue in PostgreSQL`,
    }
  }
  return {
    url: databaseUrl,
    kind: 'server',
    queue: { kind: 'redis', url: redisUrl, prefix },
    description: `PostgreSQL at ${host}, queue in Redis at ${new URL(redisUrl).host}`,
  }
}

/** What the system, the resolver and Postgres say of an address, a name or a password that is wrong. */
const WRONG_ADDRESS =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ETIMEDOUT|3D000|28000|28P01)$/

function whyNot(error: unknown): unknown {
  if (!WRONG_ADDRESS.test(codeOf(error)) && !/timeout|terminated/i.test(messageOf(error))) return error
  return new CodedError('DATABASE_UNREACHABLE', `The server of DATABASE_URL refused: ${messageOf(error)}`, {
    hint: 'Check host, port, user, password and database in DATABASE_URL, and that the server runs',
    retryable: true,
    cause: error,
  })
}
