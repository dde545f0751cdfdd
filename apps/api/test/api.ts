import { type RunningApi, startApi } from '@millrace/api'
import { openEngine } from '@millrace/embed'
import { type Env, openBackends, openLog, readSettings } from '@millrace/flow'
import { backends } from '../../../test/support/backends.js'
import { TEST_ENV } from '../../../test/support/world.js'

export interface OpenedApi extends RunningApi {
  readonly url: string
}

/** The API alone, embedded, without a worker: nothing that is submitted is ever embedded. */
export async function openApi(env: Env): Promise<OpenedApi> {
  const [embedded] = backends()
  if (embedded === undefined) throw new Error('there is no backend')
  const place = await embedded.open()
  const settings = readSettings({ ...TEST_ENV, ...place.env, ...env })
  const log = openLog(settings.logLevel, 'test')
  const opened = await openBackends(settings, log)
  const engine = openEngine({ ...settings, log })
  const api = await startApi({ backends: opened, engine, log }, settings)
  return {
    url: api.url,
    close: async () => {
      await api.close()
      await engine.close()
      await opened.close()
      await place.remove()
    },
  }
}
