import { writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { MEMORY_WORD } from './protocol.js'

/** How often it looks, in milliseconds: a gigabyte is not filled much faster. */
const EVERY_MS = 100

// A thread in the process that reads files. It ends the process when that is too large, or when nobody is left who
// would want its answer.
const { parent } = workerData as { parent: number }
let memoryBytes = Number.POSITIVE_INFINITY
parentPort?.on('message', (bytes: number) => {
  memoryBytes = bytes
})
setInterval(() => {
  if (process.memoryUsage.rss() > memoryBytes) {
    writeSync(2, `${MEMORY_WORD}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, EVERY_MS)
