import { once } from 'node:events'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type EmbeddedDatabase, openEmbedded } from '@millrace/store/embedded/index'
import pg from 'pg'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { madeFolder, newFolder, removeFolders } from './embedded/folders.js'
import { expectEnded, startOwner } from './embedded/owner.js'

afterAll(removeFolders)

/** Opened here, closed with the test. */
async function open(
  dataDir: string,
  log?: Parameters<typeof openEmbedded>[0]['log'],
): Promise<EmbeddedDatabase> {
  const database = await openEmbedded(log === undefined ? { dataDir } : { dataDir, log })
  onTestFinished(() => database.close())
  return database
}

async function query(
  url: string | undefined,
  sql: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url ?? '' })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql, values)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

describe('one folder', () => {
  test('keeps what was written over a restart, and after closing there is no process and no lock', async () => {
    const folder = await newFolder()
    const first = await openEmbedded({ dataDir: join(folder, 'new', 'data') })
    const { pid } = first
    await query(first.url, 'create table public.kept as select 1 as one')
    await Promise.all([first.close(), first.close()])
    await expectEnded(pid, 0)
    expect(await readdir(join(folder, 'new', 'data'))).toEqual(['pg'])
    const second = await open(join(folder, 'new', 'data'))
    expect(await query(second.url, 'select one from public.kept')).toEqual([{ one: 1 }])
  })

  test('a second process is refused at once with the first one’s pid, as is the same one again', async () => {
    const folder = await madeFolder()
    const owner = await startOwner(folder)
    const before = Date.now()
    await expect(openEmbedded({ dataDir: folder })).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: expect.stringContaining(`process ${owner.pid},`),
      hint: expect.stringContaining('DATA_DIR'),
    })
    expect(Date.now() - before).toBeLessThan(500)
    owner.process.kill('SIGTERM')
    await once(owner.process, 'exit')

    await open(folder)
    await expect(openEmbedded({ dataDir: folder })).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      details: { pid: process.pid },
    })
  })

  test('clients of a database that is closed are told so', async () => {
    const database = await open(await madeFolder())
    const client = new pg.Client({ connectionString: database.url })
    const told: unknown[] = []
    client.on('error', (error) => told.push(error))
    await client.connect()
    await database.close()
    await expect.poll(() => told[0]).toMatchObject({ code: '57P01' })
  })

  test('Ctrl+C does not reach the database: it answers until it is closed', async () => {
    const owner = await startOwner(await madeFolder())
    process.kill(owner.databasePid ?? 0, 'SIGINT')
    process.kill(owner.databasePid ?? 0, 'SIGTERM')
    await sleep(100)
    expect(await query(owner.url, 'select 1 as one')).toEqual([{ one: 1 }])
    owner.process.kill('SIGTERM')
    expect(await once(owner.process, 'exit')).toEqual([0, null])
    await expectEnded(owner.databasePid)
  })
})

describe('kill -9', () => {
  const WAIT = { timeout: 30_000, interval: 10 }

  /** Inserts one row after another until the connection breaks; `acknowledged` are the ids that were answered. */
  async function insertUntilBroken(url: string, acknowledged: number[]): Promise<void> {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => undefined)
    await client.connect()
    try {
      for (let id = 0; ; id++) {
        await client.query('insert into public.rows values ($1, $2)', [id, 'x'.repeat(2_000)])
        acknowledged.push(id)
      }
    } catch {
      // It was killed.
    }
  }

  test('of the program ends its database, and the next start finds every row that was answered', async () => {
    const folder = await madeFolder()
    for (const round of [1, 2]) {
      const owner = await startOwner(folder)
      await query(owner.url, 'create table if not exists public.rows (id int, body text)')
      await query(owner.url, 'truncate public.rows')
      const acknowledged: number[] = []
      const inserting = insertUntilBroken(owner.url ?? '', acknowledged)
      await expect.poll(() => acknowledged.length, WAIT).toBeGreaterThan(50 * round)
      owner.process.kill('SIGKILL')
      await once(owner.process, 'exit')
      // At once: it has to wait for the old database's process itself.
      const database = await open(folder)
      await inserting
      const rows = await query(database.url, 'select id from public.rows order by id')
      expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(acknowledged))
      await expectEnded(owner.databasePid, 0)
      await database.close()
    }
  })

  test('of the database: it is there again on the same port, pools reconnect, no answered row is lost', async () => {
    const lines: string[] = []
    const log = {
      info: (_: object, line: string) => lines.push(line),
      warn: (_: object, line: string) => lines.push(line),
    }
    const database = await open(await madeFolder(), log)
    const pool = new pg.Pool({ connectionString: database.url })
    pool.on('error', () => undefined)
    await pool.query('create table public.rows (id int, body text)')
    const acknowledged: number[] = []
    const inserting = insertUntilBroken(database.url, acknowledged)
    await expect.poll(() => acknowledged.length, WAIT).toBeGreaterThan(50)
    const { pid } = database
    process.kill(pid ?? 0, 'SIGKILL')
    await inserting
    await expect
      .poll(
        () =>
          pool.query('select 1').then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true)
    const { rows } = await pool.query<{ id: number }>('select id from public.rows')
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(acknowledged))
    expect(database.pid).not.toBe(pid)
    expect(lines).toEqual(['embedded database ended by itself', 'embedded database runs again'])
    await pool.end()
  })

  test('of the database again and again: it gives up, and says so', async () => {
    const database = await open(await madeFolder())
    const gaveUp = new Promise((resolve) => database.onExit(resolve))
    void gaveUp.then(() => clearInterval(killer))
    const killer = setInterval(() => {
      if (database.pid !== undefined) process.kill(database.pid, 'SIGKILL')
    }, 10)
    expect(await gaveUp).toMatchObject({ code: 'DATABASE_GONE' })
    expect(database.pid).toBeUndefined()
  })

  test('while a database is being made: what was begun is put aside, and made anew', async () => {
    const folder = await newFolder()
    await mkdir(join(folder, 'pg'))
    await writeFile(join(folder, 'pg', 'PG_VERSION'), '18\n')
    await writeFile(join(folder, 'pg.unfinished'), '')
    const database = await open(folder)
    expect(await query(database.url, 'select 1 as one')).toEqual([{ one: 1 }])
    const names = await readdir(folder)
    expect(names).toHaveLength(3)
    expect(names).toEqual(expect.arrayContaining(['millrace.lock', 'pg', expect.stringMatching(/^pg\.20/)]))
  })
})

describe('a folder that cannot be used says why', () => {
  test('another major version of Postgres', async () => {
    const folder = await madeFolder()
    await writeFile(join(folder, 'pg', 'PG_VERSION'), '17\n')
    await expect(openEmbedded({ dataDir: folder })).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('initialized by PostgreSQL version 17'),
    })
    expect(await readdir(folder)).toEqual(['pg'])
  })

  test('a damaged database', async () => {
    const folder = await madeFolder()
    await rm(join(folder, 'pg', 'global', 'pg_control'))
    await expect(openEmbedded({ dataDir: folder })).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('pg_control'),
    })
  })

  test('a file in its place', async () => {
    const path = join(await newFolder(), 'file')
    await writeFile(path, '')
    await expect(openEmbedded({ dataDir: path })).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('EEXIST'),
    })
  })

  test.skipIf(process.getuid?.() === 0)('one that may not be written to', async () => {
    const folder = await newFolder()
    await chmod(folder, 0o555)
    await expect(openEmbedded({ dataDir: folder })).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('EACCES'),
    })
  })
})
