import { setTimeout as sleep } from 'node:timers/promises'
import { type EmbeddedDatabase, openEmbedded } from '@millrace/store/embedded/index'
import { createPostgresBackend, type Processor, withBackend } from 'bullmq'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { madeFolder, removeFolders } from './embedded/folders.js'

const { Queue, Worker } = withBackend(createPostgresBackend)

let database: EmbeddedDatabase

beforeAll(async () => {
  database = await openEmbedded({ dataDir: await madeFolder() })
})

afterAll(async () => {
  await database.close()
  await removeFolders()
})

const connection = () => ({ connectionString: database.url, migrate: true, max: 3 })

async function newQueue(name: string) {
  const queue = new Queue(name, { connection: connection() })
  queue.on('error', () => undefined)
  await queue.waitUntilReady()
  onTestFinished(() => queue.close())
  return queue
}

async function startWorker(name: string, work: Processor, concurrency: number) {
  const worker = new Worker(name, work, { connection: connection(), concurrency, runRetryDelay: 500 })
  worker.on('error', () => undefined)
  await worker.waitUntilReady()
  onTestFinished(() => worker.close())
}

test('a job is picked up at once by a worker that has been idle', async () => {
  const queue = await newQueue('prompt')
  const started = new Map<number, number>()
  await startWorker('prompt', async (job) => started.set(job.data.turn, performance.now()), 2)
  const waits: number[] = []
  for (let turn = 0; turn < 5; turn++) {
    await sleep(200)
    const added = performance.now()
    await queue.add('job', { turn })
    await expect.poll(() => started.has(turn), { interval: 5 }).toBe(true)
    waits.push((started.get(turn) ?? Number.POSITIVE_INFINITY) - added)
  }
  waits.sort((a, b) => a - b)
  console.log(`pick-up, ms: ${waits.map((ms) => ms.toFixed(1)).join(' ')}`)
  expect(waits[2]).toBeLessThan(200)
})

test('200 jobs are done exactly once by 5 hands', async () => {
  const queue = await newQueue('many')
  const done: number[] = []
  await startWorker('many', async (job) => done.push(job.data.n), 5)
  const before = performance.now()
  const jobs = Array.from({ length: 200 }, (_, n) => ({ name: 'job', data: { n } }))
  await queue.addBulk(jobs)
  await expect.poll(() => done.length, { timeout: 20_000, interval: 10 }).toBe(200)
  console.log(`200 jobs: ${(performance.now() - before).toFixed(0)} ms`)
  await sleep(200)
  expect(done.toSorted((a, b) => a - b)).toEqual(jobs.map(({ data }) => data.n))
  expect(await queue.getJobCounts('completed', 'failed', 'active', 'waiting')).toEqual({
    completed: 200,
    failed: 0,
    active: 0,
    waiting: 0,
  })
})

test('a worker goes on after the database’s process was killed', async () => {
  const queue = await newQueue('again')
  const done: number[] = []
  await startWorker('again', async (job) => done.push(job.data.n), 2)
  await queue.add('job', { n: 1 })
  await expect.poll(() => done, { interval: 10 }).toEqual([1])
  process.kill(database.pid ?? 0, 'SIGKILL')
  const added = async () =>
    await queue.add('job', { n: 2 }, { jobId: 'two' }).then(
      () => true,
      () => false,
    )
  await expect.poll(added, { timeout: 25_000 }).toBe(true)
  await expect.poll(() => done, { timeout: 25_000, interval: 10 }).toEqual([1, 2])
})
