import type { Engine } from '@millrace/embed'
import { EXTERNAL, type Log } from '@millrace/flow'
import { type Db, modelsInUse } from '@millrace/store'

const PERIOD_MS = 5_000

interface Deps {
  readonly db: Db
  readonly engine: Pick<Engine, 'models' | 'state' | 'load'>
  readonly log: Log
}

/**
 * Loads the models of generations that are being built, whoever began them: after the switch the first search in this
 * process does not wait for that. Ends with `signal`.
 */
export function loadAhead(deps: Deps, signal: AbortSignal): void {
  const timer = setInterval(() => {
    loadIdle(deps).catch((error: unknown) => deps.log.debug({ err: error }, 'models were not looked at'))
  }, PERIOD_MS)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer))
}

async function loadIdle({ db, engine, log }: Deps): Promise<void> {
  const there = new Set(engine.models().map(({ id }) => id))
  for (const id of await modelsInUse(db)) {
    if (id === EXTERNAL || !there.has(id) || engine.state(id) !== 'absent') continue
    engine.load(id).catch((error: unknown) => log.error({ err: error, model: id }, 'the model did not load'))
  }
}
