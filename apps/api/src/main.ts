#!/usr/bin/env node
import { openBackends, openLog, readSettings, runProgram, startEngine } from '@millrace/flow'
import { startApi } from './api.js'

await runProgram(async () => {
  const settings = readSettings(process.env)
  const log = openLog(settings.logLevel, 'api')
  const backends = await openBackends(settings, log)
  const engine = await startEngine(settings, log)
  const api = await startApi({ backends, engine, log }, settings)
  return async () => {
    await api.close()
    await engine.close()
    await backends.close()
  }
})
