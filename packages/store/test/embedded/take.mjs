// Takes a folder's lock at a given moment (ms since 1970), for tests that let several processes race for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { takeLock } from '@millrace/store/embedded/lock'

const [dataDir, moment] = process.argv.slice(2)
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
await sleep(Number(moment) - Date.now() - 5)
while (Date.now() < Number(moment));
try {
  await takeLock(dataDir)
  say({ pid: process.pid, taken: true })
  await sleep(60_000)
} catch (error) {
  say({ pid: process.pid, taken: false, code: error.code, message: error.message })
}
