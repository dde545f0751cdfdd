import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { cstring, int32, message } from '@millrace/store/embedded/frames'
import { type EmbeddedDatabase, openEmbedded } from '@millrace/store/embedded/index'
import { queryMessage, syncMessage } from '@millrace/store/embedded/replies'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { RawClient } from './embedded/client.js'
import { madeFolder, removeFolders } from './embedded/folders.js'

const IDLE_MS = 1_500
const STATEMENT_BYTES = 1_000_000

let database: EmbeddedDatabase
let pool: pg.Pool

beforeAll(async () => {
  database = await openEmbedded({
    dataDir: await madeFolder(),
    idleInTransactionMs: IDLE_MS,
    statementBytesMax: STATEMENT_BYTES,
  })
  pool = new pg.Pool({ connectionString: database.url, max: 10 })
  pool.on('error', () => undefined)
  await pool.query('create schema t; create table t.notes (id int primary key, body text)')
})

afterAll(async () => {
  await pool.end()
  await database.close()
  await removeFolders()
})

beforeEach(async () => {
  await pool.query('truncate t.notes')
})

const ids = async (): Promise<number[]> => {
  const { rows } = await pool.query<{ id: number }>('select id from t.notes order by id')
  return rows.map(({ id }) => id)
}

async function newClient(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

test('it is Postgres 18 with pgvector, and BullMQ and everybody else find their tables', async () => {
  const { rows } = await pool.query(
    `select '[1,2]'::vector <=> '[2,1]'::vector as distance, current_setting('search_path') as path,
            current_setting('server_version') as version`,
  )
  expect(rows).toEqual([
    { distance: expect.closeTo(0.2, 5), path: 'bullmq, public', version: expect.stringMatching(/^18/) },
  ])
})

test('10 connections with small and 300 kB statements mixed: every answer is the right one', async () => {
  const md5 = (text: string) => createHash('md5').update(text).digest('hex')
  const work = Array.from({ length: 10 }, async (_, worker) => {
    const client = await newClient()
    for (let round = 0; round < 40; round++) {
      const text = `${worker}:${round}:`.repeat(round % 4 === 0 ? 50_000 : 1)
      const { rows } = await client.query(
        'select md5($1) as hash, $2::int as worker, repeat($3, $4) as back',
        [text, worker, `${worker}-${round} `, round % 5 === 0 ? 30_000 : 1],
      )
      expect(rows).toEqual([
        { hash: md5(text), worker, back: `${worker}-${round} `.repeat(round % 5 === 0 ? 30_000 : 1) },
      ])
    }
    await client.end()
  })
  await Promise.all(work)
})

test('a result far larger than a socket takes at once comes whole, to a reader and past one who does not read', async () => {
  const lazy = await RawClient.open(database)
  lazy.socket.pause()
  lazy.socket.write(queryMessage("select repeat('x', 1000) from generate_series(1, 20000)"))
  const { rows } = await pool.query("select g, repeat('y', 1000) as y from generate_series(1, 20000) g")
  expect(rows).toHaveLength(20_000)
  expect(rows.every(({ g, y }, index) => g === index + 1 && y.length === 1000)).toBe(true)
  lazy.socket.resume()
  const seen = await lazy.until('ZI')
  expect(seen.split(' ').filter((type) => type === 'D')).toHaveLength(20_000)
  lazy.socket.destroy()
})

describe('transactions', () => {
  test('of several connections run one after the other, none sees half of another', async () => {
    await pool.query('insert into t.notes select 0, $1', ['0'])
    const add = async () => {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const { rows } = await client.query('select body::int as n from t.notes where id = 0')
        await sleep(2)
        await client.query('update t.notes set body = $1 where id = 0', [String(rows[0].n + 1)])
        await client.query('commit')
      } finally {
        client.release()
      }
    }
    await Promise.all(Array.from({ length: 40 }, add))
    const { rows } = await pool.query('select body from t.notes')
    expect(rows).toEqual([{ body: '40' }])
  })

  test('others wait until it ends, in the order they came', async () => {
    const holder = await newClient()
    await holder.query('begin')
    const done: number[] = []
    const waiting: Promise<unknown>[] = []
    for (const id of [1, 2, 3]) {
      const client = await newClient()
      const insert = client.query('insert into t.notes values ($1)', [id])
      waiting.push(insert.then(() => done.push(id)).then(() => client.end()))
      await sleep(20)
    }
    expect(done).toEqual([])
    await holder.query('insert into t.notes values (9)')
    await holder.query('rollback')
    await Promise.all(waiting)
    expect(done).toEqual([1, 2, 3])
    expect(await ids()).toEqual([1, 2, 3])
    await holder.end()
  })

  test('a client that dies inside one is rolled back, the others go on', async () => {
    const client = await RawClient.open(database)
    await client.say('ZT', queryMessage('begin'))
    await client.say('ZT', queryMessage('insert into t.notes values (1)'))
    const other = pool.query('insert into t.notes values (2)')
    client.socket.resetAndDestroy()
    await other
    expect(await ids()).toEqual([2])
  })

  test('a client that leaves politely inside one is rolled back too', async () => {
    const client = await newClient()
    await client.query('begin')
    await client.query('insert into t.notes values (1)')
    await client.end()
    expect(await ids()).toEqual([])
  })

  test('a failed one says so until its rollback, and nothing of it stays', async () => {
    const client = await newClient()
    await client.query('begin')
    await client.query('insert into t.notes values (1)')
    await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
    await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' })
    await client.query('rollback')
    await expect(client.query('select 2 as two')).resolves.toMatchObject({ rows: [{ two: 2 }] })
    expect(await ids()).toEqual([])
    await client.end()
  })

  test('one left idle past the limit is rolled back and its client told why', async () => {
    const client = await newClient()
    const told = once(client, 'error')
    await client.query('begin')
    await client.query('insert into t.notes values (1)')
    const before = Date.now()
    await pool.query('insert into t.notes values (2)')
    expect(Date.now() - before).toBeGreaterThan(IDLE_MS / 2)
    expect(await told).toMatchObject([{ code: '25P03', message: expect.stringContaining(`${IDLE_MS} ms`) }])
    expect(await ids()).toEqual([2])
  })
})

describe('errors', () => {
  test('after one the same connection answers the next query', async () => {
    const client = await newClient()
    for (let round = 0; round < 3; round++) {
      await expect(client.query('select nothing')).rejects.toMatchObject({ code: '42703' })
      await expect(client.query('select $1::int', ['x'])).rejects.toMatchObject({ code: '22P02' })
      await expect(client.query('select $1::int as one', [1])).resolves.toMatchObject({ rows: [{ one: 1 }] })
    }
    await client.end()
  })

  test('a wrong password is refused with 28P01', async () => {
    const client = new pg.Client({ connectionString: database.url.replace(database.password, 'wrong') })
    client.on('error', () => undefined)
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' })
  })

  test('COPY FROM STDIN is refused with a way out, in and out of a transaction, by both protocols', async () => {
    const refused = { code: '0A000', hint: expect.stringContaining('unnest') }
    const client = await newClient()
    await expect(client.query('copy t.notes from stdin')).rejects.toMatchObject(refused)
    await client.query('begin')
    await expect(client.query({ name: 'copy', text: 'copy t.notes from stdin' })).rejects.toMatchObject(
      refused,
    )
    await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' })
    await client.query('rollback')
    const text = 'a document about copy t.notes from stdin'
    await client.query(`insert into t.notes values (1, '${text}')`)
    expect((await client.query('select body from t.notes')).rows).toEqual([{ body: text }])
    await client.end()
  })

  test('a statement past the limit is refused with its size, the connection stays', async () => {
    const client = await newClient()
    await expect(client.query('select length($1)', ['x'.repeat(STATEMENT_BYTES + 1)])).rejects.toMatchObject({
      code: '54000',
      message: expect.stringContaining(`${STATEMENT_BYTES} bytes`),
    })
    await client.query('begin')
    await expect(client.query(`select '${'x'.repeat(STATEMENT_BYTES)}'`)).rejects.toMatchObject({
      code: '54000',
    })
    await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' })
    await client.query('rollback')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  test('bytes that are no protocol end their own connection only', async () => {
    const client = await RawClient.open(database)
    expect(await client.say('E08P01', message('?', Buffer.from('what')))).toBe('E08P01')
    await once(client.socket, 'close')
    expect(await ids()).toEqual([])
  })
})

describe('prepared statements', () => {
  test('of the same name belong to their own connection', async () => {
    const clients = await Promise.all([newClient(), newClient(), newClient()])
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(
        clients.map((client, index) =>
          client.query({ name: 'mine', text: `select $1::int + ${index} as n`, values: [10] }),
        ),
      )
      expect(answers.map(({ rows }) => rows[0].n)).toEqual([10, 11, 12])
    }
    await Promise.all(clients.map((client) => client.end()))
  })

  test('are dropped with their connection', async () => {
    const client = await newClient()
    await client.query({ name: 'gone', text: 'select 42 as prepared_to_go' })
    await client.end()
    await expect
      .poll(async () => {
        const sql =
          "select count(*)::int as n from pg_prepared_statements where statement like '%prepared_to_go' and name <> ''"
        return (await pool.query(sql)).rows[0].n
      })
      .toBe(0)
  })

  test('an unnamed one that another connection replaced is an error, never the wrong statement', async () => {
    const parse = message('P', cstring(''), cstring('select 1'), Buffer.alloc(2))
    const bind = message('B', cstring(''), cstring(''), Buffer.alloc(6))
    const execute = message('E', cstring(''), int32(0))
    const client = await RawClient.open(database)
    expect(await client.say('ZI', parse, syncMessage())).toBe('1 ZI')
    expect(await client.say('ZI', bind, execute, syncMessage())).toBe('2 D C ZI')
    await pool.query('select $1::int', [2])
    expect(await client.say('ZI', bind, execute, syncMessage())).toBe('E26000 ZI')
    client.socket.destroy()
  })
})

describe('Flush', () => {
  const parse = (sql: string) => message('P', cstring(''), cstring(sql), Buffer.alloc(2))
  const bind = message('B', cstring(''), cstring(''), Buffer.alloc(6))
  const execute = (rows: number) => message('E', cstring(''), int32(rows))
  const flush = message('H')

  test('a portal is read in steps, and nobody comes in between', async () => {
    const client = await RawClient.open(database)
    expect(await client.say('s', parse('select generate_series(1, 3)'), bind, execute(2), flush)).toBe(
      '1 2 D D s',
    )
    let others = 0
    const other = pool.query('select $1::int', [1]).then(() => others++)
    await sleep(50)
    expect(others).toBe(0)
    expect(await client.say('C', execute(2), flush)).toBe('D C')
    expect(await client.say('ZI', syncMessage())).toBe('ZI')
    await other
    client.socket.destroy()
  })

  test('an error is told at once, and all is well after the Sync', async () => {
    const client = await RawClient.open(database)
    expect(await client.say('E42703', parse('select nothing'), flush)).toBe('E42703')
    client.socket.write(Buffer.concat([bind, execute(0), flush]))
    expect(await client.say('ZI', syncMessage())).toBe('ZI')
    expect(await client.say('ZI', queryMessage('select 1'))).toBe('T D C ZI')
    client.socket.destroy()
  })

  test('a client that dies before its Sync leaves nothing behind', async () => {
    const client = await RawClient.open(database)
    await client.say('C', parse('insert into t.notes values (1)'), bind, execute(0), flush)
    client.socket.destroy()
    expect(await ids()).toEqual([])
  })
})

describe('LISTEN and NOTIFY', () => {
  test('reaches another connection at once', async () => {
    const listener = await newClient()
    await listener.query('listen bell')
    const heard = once(listener, 'notification')
    const before = performance.now()
    await pool.query("select pg_notify('bell', 'ding')")
    expect(await heard).toMatchObject([{ channel: 'bell', payload: 'ding' }])
    expect(performance.now() - before).toBeLessThan(100)
    await listener.end()
  })

  test('comes with the commit, in order, in between the answers of a busy connection', async () => {
    const listener = await newClient()
    await listener.query('listen bell')
    const payloads: string[] = []
    listener.on('notification', ({ payload }) => payloads.push(payload ?? ''))
    const sent = Array.from({ length: 50 }, (_, index) => String(index))
    const busy = (async () => {
      for (let round = 0; round < 50; round++) {
        const { rows } = await listener.query("select $1::int as round, repeat('x', 20000) as x", [round])
        expect(rows[0].round).toBe(round)
      }
    })()
    const client = await newClient()
    await client.query('begin')
    await client.query("select pg_notify('bell', 'never')")
    await client.query('rollback')
    for (const payload of sent) await client.query("select pg_notify('bell', $1)", [payload])
    await busy
    await expect.poll(() => payloads).toEqual(sent)
    await Promise.all([client.end(), listener.end()])
  })
})
