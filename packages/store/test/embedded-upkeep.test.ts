import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, openEngine } from '@millrace/store/embedded/engine'
import { cstring, message } from '@millrace/store/embedded/frames'
import { upkeep } from '@millrace/store/embedded/maintain'
import { errorResponse, queryMessage } from '@millrace/store/embedded/replies'
import { WireServer } from '@millrace/store/embedded/server'
import { afterAll, expect, test } from 'vitest'
import { RawClient } from './embedded/client.js'
import { madeFolder, removeFolders } from './embedded/folders.js'

afterAll(removeFolders)

const credentials = { user: 'postgres', password: 'secret', database: 'postgres' }

function serve(engine: Engine, onBroken: (error: Error) => void): WireServer {
  return new WireServer({
    engine,
    credentials,
    host: '127.0.0.1',
    port: 0,
    idleInTransactionMs: 10_000,
    bytesMax: 1_000_000,
    onBroken,
  })
}

test('upkeep keeps the write-ahead log from growing, frees dead rows and counts the living, between transactions', async () => {
  const engine = await openEngine(join(await madeFolder(), 'pg'))
  const server = serve(engine, (error) => expect.unreachable(error.message))
  const client = await RawClient.open({ ...credentials, host: '127.0.0.1', port: await server.listen() })
  const run = (sql: string) => client.say('ZI', queryMessage(sql))
  const walFile = async () => {
    const [row] = await engine.query<{ name: string }>('select pg_walfile_name(pg_current_wal_lsn()) as name')
    return String(row?.name)
  }
  /** Files of the log, 16 MB each, that were full before `file` was begun. */
  const walFilesBefore = async (file: string) => {
    const [row] = await engine.query<{ n: number }>(
      `select count(*)::int as n from pg_ls_waldir() where name < '${file}'`,
    )
    return row?.n
  }
  const keepUp = () => new Promise<void>((done) => server.chore(() => upkeep(server, engine).finally(done)))
  await run('create table public.big (id int, body text)')
  for (let round = 0; round < 8; round++) {
    await run('insert into public.big select g, repeat(md5(g::text), 30) from generate_series(1, 20000) g')
  }
  const now = await walFile()
  expect(await walFilesBefore(now)).toBeGreaterThan(5)
  await keepUp()
  expect(await walFilesBefore(now)).toBe(0)

  await run('delete from public.big where id % 2 = 0')
  // Statistics are counted together once a second.
  await sleep(1_100)
  await run('select 1')
  await keepUp()
  await run('select 1')
  const counts = await engine.query(
    "select n_dead_tup::int as dead, (select reltuples::int from pg_class where oid = relid) as estimated from pg_stat_user_tables where relname = 'big'",
  )
  expect(counts).toEqual([{ dead: 0, estimated: 80_000 }])

  await client.say('ZT', queryMessage('begin'))
  let kept = false
  server.chore(async () => {
    kept = true
  })
  await client.say('ZT', queryMessage('select 1'))
  expect(kept).toBe(false)
  await client.say('ZI', queryMessage('commit'))
  await expect.poll(() => kept).toBe(true)
  await server.close()
  await engine.close()
})

test('an engine that ends its session is reported, and the client that was asking hears why', async () => {
  const ending: Engine = {
    parameters: {},
    query: async () => [],
    run: async (_, onData) => onData(errorResponse({ severity: 'FATAL', code: '08P01', message: 'over' })),
    close: async () => undefined,
  }
  let broken: Error | undefined
  const server = serve(ending, (error) => {
    broken = error
  })
  const client = await RawClient.open({ ...credentials, host: '127.0.0.1', port: await server.listen() })
  expect(await client.say('E08P01', queryMessage('select 1'))).toBe('E08P01')
  await expect.poll(() => broken).toMatchObject({ code: 'DATABASE_BROKEN' })
  const late = message('Q', cstring('select 2'))
  client.socket.write(late)
  client.socket.destroy()
  await once(client.socket, 'close')
  await server.close()
})
