import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ModelFolder } from '@millrace/embed'
import { checkFolder } from '@millrace/models'
import { type Holder, lockFolder } from '@millrace/models/pull/lock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { after, type FakeHub, manifestOf, openHub, slowly, someFiles } from './hub.js'

const CHILD = fileURLToPath(new URL('pull-child.mjs', import.meta.url))
const GRAPH = 'onnx/model.onnx'

let files: Map<string, Buffer>
let folder: ModelFolder
let hub: FakeHub
let root: string
let children: ChildProcess[]

beforeEach(async () => {
  files = someFiles()
  folder = manifestOf('some-model', files)
  hub = await openHub('some/model', files)
  root = await mkdtemp(join(tmpdir(), 'millrace-together-'))
  await writeFile(join(root, 'manifest.json'), JSON.stringify(folder))
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await hub.close()
  await rm(root, { recursive: true })
})

/** A process that pulls; `line` gets what it tells. */
function pullElsewhere(line: (told: Record<string, unknown>) => void = () => undefined) {
  const child = spawn(process.execPath, [CHILD, join(root, 'manifest.json'), join(root, 'models'), hub.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  createInterface({ input: child.stdout }).on('line', (text) => line(JSON.parse(text)))
  return { child, ended: once(child, 'close') }
}

async function expectWhole(): Promise<void> {
  expect(await checkFolder(join(root, 'models', folder.id), folder)).toEqual([])
  expect(await readdir(join(root, 'models'))).toEqual([folder.id])
}

describe('two processes on one folder', () => {
  test('one pulls, the other waits and then has nothing to fetch', async () => {
    let waits: (value: unknown) => void = () => undefined
    hub.next(
      GRAPH,
      after(
        new Promise((resolve) => {
          waits = resolve
        }),
      ),
    )
    const waitedFor: unknown[] = []
    const fetched: unknown[] = []
    const both = [1, 2].map(() =>
      pullElsewhere((told) => {
        if ('waiting' in told) {
          waitedFor.push(told.waiting)
          waits(told.waiting)
        }
        if ('fetched' in told) fetched.push(told.bytes)
      }),
    )
    for (const { ended } of both) expect(await ended).toEqual([0, null])
    expect(waitedFor).toHaveLength(1)
    expect(both.map(({ child }) => child.pid)).toContain(waitedFor[0])
    expect(fetched.sort()).toEqual([0, 630_002])
    expect(hub.sent()).toBe(630_002)
    await expectWhole()
  })

  test('kill -9 half-way: the next one does not wait, and fetches the rest only', async () => {
    hub.next(GRAPH, slowly(10_000))
    const killed = pullElsewhere((told) => {
      if (told.path === GRAPH && Number(told.bytes) >= 100_000) killed.child.kill('SIGKILL')
    })
    await killed.ended
    expect(await readdir(join(root, 'models'))).toEqual(expect.arrayContaining(['.some-model.lock']))
    const kept = (await stat(join(root, `models/.some-model.partial/${GRAPH}.partial`))).size
    expect(kept).toBeGreaterThanOrEqual(100_000)
    const waited: unknown[] = []
    const next = pullElsewhere((told) => {
      if ('waiting' in told) waited.push(told.waiting)
    })
    expect(await next.ended).toEqual([0, null])
    expect(waited).toEqual([])
    expect(
      hub.seen.filter(({ at, path }) => at === 'cdn' && path === GRAPH).map(({ range }) => range),
    ).toEqual([undefined, `bytes=${kept}-`])
    await expectWhole()
  })
})

describe('the lock', () => {
  let path: string
  beforeEach(() => {
    path = join(root, 'lock')
  })
  const take = (onWait: (holder: Holder) => void = () => undefined, signal?: AbortSignal) =>
    lockFolder(path, {
      sleep: (ms, stop) => setTimeout(Math.min(ms, 20), undefined, { ...(stop ? { signal: stop } : {}) }),
      onWait,
      silenceMs: 200,
      signal,
    })
  const write = (holder: Partial<Holder>) =>
    writeFile(path, JSON.stringify({ token: 't', pid: 1, host: 'elsewhere', since: 'today', ...holder }))

  test('of another host: waited for until its heartbeat has stopped', async () => {
    await write({})
    const seen: string[] = []
    const lock = await take(({ pid, host }) => seen.push(`${pid} on ${host}`))
    expect(seen).toEqual(['1 on elsewhere'])
    await lock.release()
    expect(await readdir(root)).toEqual(['manifest.json'])
  })

  test('of another host that is alive: the signal ends the waiting', async () => {
    await write({})
    const stop = new AbortController()
    const alive = setInterval(() => write({}), 30)
    const waiting = take(() => stop.abort(), stop.signal)
    await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' })
    clearInterval(alive)
  })

  test('of a process of this host that has ended, or that nobody of ours wrote: taken over', async () => {
    await write({ host: hostname(), pid: 2 ** 22 + 1 })
    await (await take()).release()
    await writeFile(path, 'half a li')
    await (await take()).release()
  })

  test.each([1, 2, 3, 4, 5])(
    'of many that find a dead one at once, one after the other (round %i)',
    async () => {
      await write({ host: hostname(), pid: 2 ** 22 + 1 })
      let inside = 0
      await Promise.all(
        Array.from({ length: 12 }, async () => {
          const lock = await take()
          inside += 1
          expect(inside).toBe(1)
          await setTimeout(2)
          inside -= 1
          await lock.release()
        }),
      )
      expect(await readdir(root)).toEqual(['manifest.json'])
    },
  )

  test('that somebody has taken over meanwhile: who had it is told, and leaves it alone', async () => {
    const lock = await take()
    await write({})
    await once(lock.lost, 'abort')
    await lock.release()
    expect(await readdir(root)).toEqual(['lock', 'manifest.json'])
  })

  test('of a dead one whose successor died before it took over', async () => {
    await write({ host: hostname(), pid: 2 ** 22 + 1 })
    const claim = createHash('sha256').update('t').digest('hex').slice(0, 32)
    await copyFile(path, `${path}.${claim}.next`)
    await (await take()).release()
    expect(await readdir(root)).toEqual(['manifest.json'])
  })
})
