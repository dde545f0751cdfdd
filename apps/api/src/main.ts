#!/usr/bin/env node
import { openEngine } from '@millrace/embed'
import { openBackends, openLog, readSettings, runProgram } from '@millrace/flow'
import { startApi } from './api.js'

await runProgram(async () => {
  const settings = readSettings(process.env)
  const log = openLog(settings.logLevel, 'api')
  const backends = await openBackends(settings, log)
  const engine = openEngine({ ...settings, log })
  const api = await startApi({ backends, engine, log }, settings)
  return async () => {
    await api.close()
    await engine.close()
    await backends.close()
  }
})
