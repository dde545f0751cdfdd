import { type RunningApi, startApi } from '@millrace/api'
import { type Backends, type Log, openBackends, type Settings, startEngine } from '@millrace/flow'
import { startWorker } from '@millrace/worker'

export interface Standalone {
  readonly api: RunningApi
  readonly backends: Backends
  /** In words: which database, which queue. */
  readonly description: string
  stop(): Promise<void>
}

/**
 * API and worker in one process with one engine, so that every model is in memory once.
 * @param now what schedules go by; default: the machine's clock
 */
export async function startStandalone(settings: Settings, log: Log, now?: () => Date): Promise<Standalone> {
  const backends = await openBackends(settings, log)
  const engine = await startEngine(settings, log)
  const stopBackends = async () => {
    await engine.close()
    await backends.close()
  }
  try {
    const api = await startApi({ backends, engine, log, now }, settings)
    const worker = await startWorker({ ...backends, engine, log, now }, settings)
    return {
      api,
      backends,
      description: backends.description,
      stop: async () => {
        await api.close()
        await worker.drain(settings.drainSeconds)
        await stopBackends()
      },
    }
  } catch (error) {
    await stopBackends()
    throw error
  }
}
