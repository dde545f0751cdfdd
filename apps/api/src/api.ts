import type { Engine } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import type { Backends, Log, Settings } from '@millrace/flow'
import {
  chooseModel,
  listDomains,
  modelsOf,
  openKnownDomains,
  openPreparer,
  openQueryCache,
  openQueryLog,
  openReading,
} from '@millrace/flow'
import { loadAhead } from './models.js'
import { builtPage } from './page.js'
import { buildServer } from './server.js'

export interface RunningApi {
  readonly url: string
  /** Takes no new requests, answers those that are under way. */
  close(): Promise<void>
}

/** Listens, then loads the default model and those of every domain; /readyz says when they are up. */
export async function startApi(
  deps: {
    readonly backends: Pick<Backends, 'db' | 'queues'>
    readonly engine: Engine
    readonly log: Log
    /** What schedules go by. Default: the machine's clock. */
    readonly now?: (() => Date) | undefined
  },
  settings: Settings,
): Promise<RunningApi> {
  const { engine, log, now = () => new Date() } = deps
  const { db, queues } = deps.backends
  const defaultModel = chooseModel(engine, settings.defaultModel)
  const preparer = openPreparer(log)
  const reading = openReading(settings, log)
  const { files } = reading
  const cache = openQueryCache({ entries: settings.queryCache })
  const queryLog = openQueryLog({ db, log }, { mode: settings.queryLog })
  const app = await buildServer({
    db,
    queues,
    engine,
    cache,
    known: openKnownDomains({ db }),
    queryLog,
    preparer,
    files,
    log,
    now,
    defaultModel,
    settings,
    page: builtPage(),
  })
  const closing = new AbortController()
  loadAhead({ db, engine, log }, closing.signal)
  app.addHook('onClose', async () => {
    closing.abort()
    await preparer.close()
    await reading.close()
    await queryLog.close()
  })
  const url = await app.listen({ host: settings.host, port: settings.port }).catch((error: unknown) => {
    throw whyNot(error, settings)
  })
  const domains = await listDomains({ db })
  for (const id of new Set([defaultModel, ...domains.flatMap(modelsOf)])) {
    engine.load(id).catch((error: unknown) => {
      if (codeOf(error) !== 'ENGINE_CLOSED') log.error({ err: error, model: id }, 'the model did not load')
    })
  }
  log.info({ url, defaultModel }, 'the API listens')
  return { url, close: () => app.close() }
}

/** A port or an address that cannot be listened on, with the setting to change. */
function whyNot(error: unknown, { host, port }: Settings): unknown {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new CodedError('PORT_TAKEN', `Somebody listens on ${host}:${port} already`, {
        hint: 'Stop that program, or choose another PORT (0: any free one)',
        cause: error,
      })
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new CodedError('SETTING_INVALID', `Nobody can listen on ${host}:${port}: ${messageOf(error)}`, {
        hint: 'Change HOST or PORT',
        cause: error,
      })
    default:
      return error
  }
}
