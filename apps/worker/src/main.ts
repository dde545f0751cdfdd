#!/usr/bin/env node
import { openBackends, openLog, readSettings, runProgram, startEngine } from '@millrace/flow'
import { startWorker } from './worker.js'

await runProgram(async () => {
  const settings = readSettings(process.env)
  const log = openLog(settings.logLevel, 'worker')
  const backends = await openBackends(settings, log)
  const engine = await startEngine(settings, log)
  const worker = await startWorker({ ...backends, engine, log }, settings)
  log.info({ backends: backends.description, slots: settings.slots }, 'the worker is up')
  return async () => {
    await worker.drain(settings.drainSeconds)
    await engine.close()
    await backends.close()
  }
})
