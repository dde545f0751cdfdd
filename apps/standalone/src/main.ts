#!/usr/bin/env node
import { openLog, readSettings, runProgram } from '@millrace/flow'
import { startStandalone } from './standalone.js'

await runProgram(async () => {
  const settings = readSettings(process.env)
  const log = openLog(settings.logLevel, 'millrace')
  const running = await startStandalone(settings, log)
  log.info({ url: running.api.url, backends: running.description }, 'Millrace is up')
  return () => running.stop()
})
