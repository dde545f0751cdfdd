import { execFile } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { openLog, readSettings } from '@millrace/flow'
import { startStandalone } from '@millrace/standalone'
import { type Figure, figure } from './figure.js'
import { openServers, ROOT, shared } from './place.js'

const run = promisify(execFile)
const NS_PER_MS = 1e6

/** Event-loop lag of the API while the engine of its own process embeds; the client is another process. */
export async function benchLag(): Promise<Figure[]> {
  const place = await openServers()
  const settings = readSettings({ ...place.env, LOG_LEVEL: 'error' })
  const running = await startStandalone(settings, openLog('error', 'bench'))
  const env = { ...process.env, MILLRACE_URL: running.api.url }
  const cli = `${ROOT}apps/cli/bin/millrace.js`
  try {
    await run(process.execPath, [cli, 'domains', 'create', 'lag', '--model', 'all-minilm-l6-v2'], { env })
    await run(process.execPath, [cli, 'similarity', 'warm', 'up', '--domain', 'lag'], { env })
    const lag = monitorEventLoopDelay({ resolution: 1 })
    lag.enable()
    await run(
      process.execPath,
      [cli, 'ingest', shared('eval', 'corpus', 'apisix-docs', 'en'), '--domain', 'lag'],
      { env },
    )
    lag.disable()
    return [
      figure('event-loop lag while embedding, p50', lag.percentile(50) / NS_PER_MS, 'ms'),
      figure('event-loop lag while embedding, p99', lag.percentile(99) / NS_PER_MS, 'ms', '≤ 20'),
      figure('event-loop lag while embedding, largest', lag.max / NS_PER_MS, 'ms'),
    ]
  } finally {
    await running.stop()
    await place.remove()
  }
}
