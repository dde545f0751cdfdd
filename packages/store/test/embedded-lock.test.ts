import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { link, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { takeLock } from '@millrace/store/embedded/lock'
import { identify, isRunning, placeOf } from '@millrace/store/embedded/processes'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { newFolder, removeFolders } from './embedded/folders.js'

afterAll(removeFolders)

const TAKE = fileURLToPath(new URL('./embedded/take.mjs', import.meta.url))
const lockOf = (folder: string): string => join(folder, 'millrace.lock')

function holder(parent: object, more: object = {}) {
  return { token: randomUUID(), place: placeOf(), parent, startedAt: '2026-01-01T00:00:00.000Z', ...more }
}

async function folderLockedBy(text: string): Promise<string> {
  const folder = await newFolder()
  await writeFile(lockOf(folder), text)
  return folder
}

/** A process that is surely there; ended with the test. */
function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => end(child))
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

const bystander = (): ChildProcess => start('-e', 'setInterval(() => {}, 1000)')

async function deadPid(): Promise<number> {
  const child = bystander()
  await end(child)
  return child.pid ?? 0
}

test('a lock names its holder, and is gone when given back', async () => {
  const folder = await newFolder()
  const lock = await takeLock(folder)
  await lock.noteChild(process.ppid)
  expect(JSON.parse(await readFile(lockOf(folder), 'utf8'))).toMatchObject({
    parent: identify(process.pid),
    child: identify(process.ppid),
    startedAt: expect.stringMatching(/^20/),
  })
  await expect(takeLock(folder)).rejects.toMatchObject({
    code: 'DATA_DIR_LOCKED',
    message: expect.stringContaining(`in use by process ${process.pid}, since 20`),
    hint: expect.stringContaining('DATA_DIR'),
  })
  await lock.release()
  expect(await readdir(folder)).toEqual([])
})

test('the lock of a dead process is taken over', async () => {
  const folder = await folderLockedBy(JSON.stringify(holder({ pid: await deadPid() })))
  await (await takeLock(folder)).release()
  expect(await readdir(folder)).toEqual([])
})

test.skipIf(process.platform !== 'linux')(
  'a pid that belongs to another process by now does not hold it',
  async () => {
    const { pid } = bystander()
    const folder = await folderLockedBy(JSON.stringify(holder({ pid, started: 'another boot:1' })))
    await (await takeLock(folder)).release()
  },
)

test.each(['', '{"token":', 'null', '[]', '{"token":"x","parent":{"pid":1}}'])(
  'a file that is not a lock (%j) does not brick the folder',
  async (text) => {
    const folder = await folderLockedBy(text)
    await (await takeLock(folder)).release()
    expect(await readdir(folder)).toEqual([])
  },
)

test('it waits for the database’s process of a dead holder to end', async () => {
  const child = bystander()
  const text = JSON.stringify(holder({ pid: await deadPid() }, { child: identify(child.pid ?? 0) }))
  const folder = await folderLockedBy(text)
  setTimeout(() => child.kill('SIGTERM'), 300)
  const lock = await takeLock(folder)
  expect(isRunning({ pid: child.pid ?? 0 })).toBe(false)
  await lock.release()
})

test.skipIf(process.platform !== 'linux')('one that does not end is killed', async () => {
  const child = bystander()
  const text = JSON.stringify(holder({ pid: await deadPid() }, { child: identify(child.pid ?? 0) }))
  const folder = await folderLockedBy(text)
  const ended = once(child, 'exit')
  await (await takeLock(folder)).release()
  expect(await ended).toEqual([null, 'SIGKILL'])
})

test('a successor that died before it wrote itself down is succeeded in turn', async () => {
  const [first, second, third] = [holder({ pid: 0 }), holder({ pid: await deadPid() }), holder({ pid: 0 })]
  const folder = await folderLockedBy(JSON.stringify(first))
  await writeFile(`${lockOf(folder)}.${first.token}.next`, JSON.stringify(second))
  await writeFile(`${lockOf(folder)}.${second.token}.next`, JSON.stringify(third))
  const lock = await takeLock(folder)
  expect(await readdir(folder)).toEqual(['millrace.lock'])
  await lock.release()
})

test('a successor that lives holds it, though the file still names the dead one', async () => {
  const [dead, alive] = [holder({ pid: 0 }), holder(identify(bystander().pid ?? 0))]
  const folder = await folderLockedBy(JSON.stringify(dead))
  await writeFile(`${lockOf(folder)}.${dead.token}.next`, JSON.stringify(alive))
  await expect(takeLock(folder)).rejects.toMatchObject({
    code: 'DATA_DIR_LOCKED',
    details: { pid: alive.parent && (alive.parent as { pid: number }).pid },
  })
})

test('a holder in another container is respected while its heart beats, and succeeded in silence', async () => {
  const folder = await folderLockedBy(JSON.stringify(holder({ pid: 1 }, { place: 'another container' })))
  const beat = setInterval(() => void utimes(lockOf(folder), new Date(), new Date()), 1_000)
  await expect(takeLock(folder)).rejects.toMatchObject({
    code: 'DATA_DIR_LOCKED',
    message: expect.stringContaining('on another container'),
  })
  clearInterval(beat)
  await (await takeLock(folder)).release()
})

test('a lock that was taken away is noticed, and not given back', async () => {
  const folder = await newFolder()
  const lock = await takeLock(folder)
  await rm(lockOf(folder))
  const other = `${lockOf(folder)}.other`
  await writeFile(other, JSON.stringify(holder({ pid: 1 })))
  await link(other, lockOf(folder))
  await expect(lock.noteChild(process.pid)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' })
  await lock.release()
  expect(await readdir(folder)).toContain('millrace.lock')
})

test('of several processes that find a dead holder at the same moment, exactly one succeeds it', async () => {
  const folder = await folderLockedBy(JSON.stringify(holder({ pid: await deadPid() })))
  for (let round = 0; round < 6; round++) {
    const moment = String(Date.now() + 700)
    const rivals = Array.from({ length: 6 }, () => start(TAKE, folder, moment))
    const said = await Promise.all(
      rivals.map(async ({ stdout }) => {
        if (stdout === null) throw new Error('no output to read')
        const [line] = (await once(createInterface(stdout), 'line')) as [string]
        return JSON.parse(line) as { pid: number; taken: boolean; code?: string; message?: string }
      }),
    )
    const winners = said.filter(({ taken }) => taken)
    expect(winners).toHaveLength(1)
    for (const { taken, code, message } of said) {
      if (taken) continue
      expect(code).toBe('DATA_DIR_LOCKED')
      expect(message).toContain(`process ${winners[0]?.pid},`)
    }
    // The next round finds this winner dead.
    await Promise.all(rivals.map(end))
    expect(await readdir(folder)).toEqual(['millrace.lock'])
  }
})
