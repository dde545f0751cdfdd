// A program with an embedded database, for tests to kill. Says one JSON line: how it went.
import { openEmbedded } from '@millrace/store/embedded/index'

const [dataDir, mode] = process.argv.slice(2)
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
try {
  const database = await openEmbedded({ dataDir })
  say({ pid: process.pid, databasePid: database.pid, url: database.url })
  // Nothing else keeps a short-lived one from holding the folder for ever.
  process.on('SIGTERM', () => database.close().then(() => process.exit(0)))
  process.on('SIGINT', () => undefined)
  if (mode === 'once') await database.close()
} catch (error) {
  say({ pid: process.pid, code: error.code, message: error.message })
  process.exitCode = 1
}
