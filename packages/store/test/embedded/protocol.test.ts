import { Answer } from '@millrace/store/embedded/answer'
import { type Batch, Collector } from '@millrace/store/embedded/batch'
import { cstring, FrameReader, int32, message, ProtocolError } from '@millrace/store/embedded/frames'
import { Handshake } from '@millrace/store/embedded/handshake'
import { StatementNames } from '@millrace/store/embedded/names'
import { errorResponse, queryMessage, severityOf, syncMessage } from '@millrace/store/embedded/replies'
import { Schedule } from '@millrace/store/embedded/schedule'
import { restartDelayMs } from '@millrace/store/embedded/supervise'
import { describe, expect, test } from 'vitest'

/** The bytes in pieces of every given length in turn. */
function* pieces(bytes: Buffer, ...lengths: number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1
    yield bytes.subarray(at, at + length)
    at += length
  }
}

const parse = (name: string, sql: string) => message('P', cstring(name), cstring(sql), Buffer.alloc(2))
const bind = (name: string) => message('B', cstring(''), cstring(name), Buffer.alloc(6))
const execute = () => message('E', cstring(''), int32(0))
const flush = () => message('H')

function collect(collector: Collector, ...messages: Buffer[]): Batch[] {
  const frames = new FrameReader().push(Buffer.concat(messages))
  return frames.flatMap((frame) => collector.take(frame) ?? [])
}

const types = (bytes: Buffer): string =>
  new FrameReader()
    .push(bytes)
    .map(({ type }) => type)
    .join('')

describe('frames', () => {
  const stream = [queryMessage('select 1'), syncMessage(), queryMessage('x'.repeat(5_000)), message('H')]

  test.each([[[1]], [[2, 3]], [[7, 1, 4096]], [[4]], [[5]], [[1_000_000]]])(
    'messages come out whole when they arrive in pieces of %j bytes',
    (lengths) => {
      const reader = new FrameReader()
      const frames = [...pieces(Buffer.concat(stream), ...lengths)].flatMap((piece) => reader.push(piece))
      expect(frames.map(({ bytes }) => bytes.toString('hex'))).toEqual(
        stream.map((one) => one.toString('hex')),
      )
      expect(frames.map(({ type }) => type).join('')).toBe('QSQH')
    },
  )

  test.each([[[1]], [[6]], [[100, 3]], [[1_000_000]]])(
    'a message past the limit is skipped and reported, its neighbours are kept (pieces of %j)',
    (lengths) => {
      const reader = new FrameReader(1_000)
      const frames = [...pieces(Buffer.concat(stream), ...lengths)].flatMap((piece) => reader.push(piece))
      expect(frames.map(({ type, oversize }) => [type, oversize])).toEqual([
        ['Q', undefined],
        ['S', undefined],
        ['Q', 5_006],
        ['H', undefined],
      ])
    },
  )

  test('a length shorter than itself is not a message', () => {
    expect(() => new FrameReader().push(Buffer.from('Q\0\0\0\x03'))).toThrow(ProtocolError)
  })
})

describe('batches', () => {
  const collector = () => new Collector(new StatementNames(7), 10_000)

  test('messages up to Sync, or one simple Query, are a batch', () => {
    const batches = collect(
      collector(),
      parse('', 'select 1'),
      bind(''),
      execute(),
      syncMessage(),
      queryMessage('select 2'),
      syncMessage(),
    )
    // 'f' follows whatever could be a COPY.
    expect(batches.map(({ bytes, end }) => [types(bytes), end])).toEqual([
      ['PBEfS', 'sync'],
      ['Qf', 'query'],
      ['S', 'sync'],
    ])
  })

  test('Flush hands over what there is, and says that more belongs to it', () => {
    const batches = collect(collector(), parse('', 'select 1'), flush(), bind(''), execute(), syncMessage())
    expect(batches.map(({ bytes, end, needsUnnamed }) => [types(bytes), end, needsUnnamed])).toEqual([
      ['PH', 'flush', false],
      ['BEfS', 'sync', true],
    ])
  })

  test('a named statement gets a name of its connection, the same in Parse, Bind, Describe and Close', () => {
    const [batch] = collect(
      collector(),
      parse('s', 'select 1'),
      bind('s'),
      message('D', Buffer.from('S'), cstring('s')),
      message('C', Buffer.from('S'), cstring('s')),
      message('C', Buffer.from('P'), cstring('s')),
      syncMessage(),
    )
    const bodies = new FrameReader()
      .push(batch?.bytes ?? Buffer.alloc(0))
      .map(({ bytes }) => bytes.toString('latin1', 5))
    expect(bodies).toEqual(['c7_1\0select 1\0\0\0', '\0c7_1\0\0\0\0\0\0\0', 'Sc7_1\0', 'Sc7_1\0', 'Ps\0', ''])
  })

  test('long names that differ past the 63rd byte stay different', () => {
    const names = new StatementNames(1)
    expect(names.engineName(`${'x'.repeat(70)}a`)).not.toBe(names.engineName(`${'x'.repeat(70)}b`))
    expect(names.used()).toHaveLength(2)
  })

  test('a batch that is too long is refused with its size and the limit, and the next is taken', () => {
    const [first, second] = collect(
      collector(),
      parse('', 'x'.repeat(6_000)),
      parse('', 'x'.repeat(6_000)),
      syncMessage(),
      queryMessage('select 1'),
    )
    expect(first?.refused).toMatchObject({ code: '54000', message: expect.stringContaining('10000 bytes') })
    expect(first?.bytes).toHaveLength(0)
    expect(second?.refused).toBeUndefined()
  })

  test('a message that no client sends ends the conversation', () => {
    expect(() => collect(collector(), message('Z', Buffer.from('I')))).toThrow(ProtocolError)
  })
})

describe('answers', () => {
  const row = (text: string) => message('D', Buffer.from(text))
  const ready = (status: string) => message('Z', Buffer.from(status))
  const notification = message('A', int32(42), cstring('jobs'), cstring('hello'))

  test.each([1, 3, 8192])(
    'notifications are set apart, in order, whatever the pieces (%i bytes)',
    (length) => {
      const whole = Buffer.concat([row('a'), notification, row('b'), notification, ready('T')])
      const answer = new Answer()
      for (const piece of pieces(whole, length)) answer.push(piece)
      const { bytes, notifications, status, fatal } = answer.finish()
      expect(Buffer.concat(bytes)).toEqual(whole)
      expect(notifications).toEqual([notification, notification])
      expect([status, fatal]).toEqual(['T', false])
    },
  )

  test('a COPY that begins becomes an error with a way out', () => {
    const answer = new Answer()
    answer.push(message('G', Buffer.alloc(3)))
    answer.push(errorResponse({ code: '57014', message: 'COPY from stdin failed' }))
    answer.push(ready('I'))
    const text = Buffer.concat(answer.finish().bytes).toString()
    expect(text).toMatch(/^E.*0A000.*unnest/s)
  })

  test('the end of the session is seen', () => {
    const fatal = errorResponse({ severity: 'FATAL', code: '08P01', message: 'over' })
    expect(severityOf(fatal)).toBe('FATAL')
    const answer = new Answer()
    answer.push(fatal)
    expect(answer.finish()).toMatchObject({ fatal: true, status: undefined })
  })
})

describe('the opening', () => {
  const credentials = { user: 'postgres', password: 'right', database: 'postgres' }
  const packet = (code: number, body = Buffer.alloc(0)) =>
    Buffer.concat([int32(8 + body.length), int32(code), body])
  const startup = (user = 'postgres', database = 'postgres') =>
    packet(196608, Buffer.from(`user\0${user}\0database\0${database}\0options\0-c search_path=x\0\0`))
  const password = (text: string) => message('p', cstring(text))

  test.each([1, 5, 1000])('TLS is declined, the password asked for and checked (pieces of %i)', (length) => {
    const handshake = new Handshake(credentials)
    const all = Buffer.concat([
      packet(80877103),
      packet(80877104),
      startup(),
      password('right'),
      syncMessage(),
    ])
    const steps = [...pieces(all.subarray(0, all.length - 5), length)].map((piece) => handshake.push(piece))
    expect(Buffer.concat(steps.flatMap(({ reply }) => reply)).toString('latin1')).toBe(
      'NNR\0\0\0\x08\0\0\0\x03',
    )
    expect(steps.at(-1)?.next).toBe('welcome')
  })

  test('what follows the password in the same piece is not lost', () => {
    const step = new Handshake(credentials).push(Buffer.concat([startup(), password('right'), syncMessage()]))
    expect([step.next, step.rest]).toEqual(['welcome', syncMessage()])
  })

  test.each([
    ['a wrong password', startup(), password('wrong'), '28P01'],
    ['another user', startup('root'), password('right'), '28P01'],
    ['another database', startup('postgres', 'shop'), password('right'), '3D000'],
    ['protocol 2', packet(131072), Buffer.alloc(0), '0A000'],
  ])('%s is refused', (_, first, second, code) => {
    const step = new Handshake(credentials).push(Buffer.concat([first, second]))
    expect(step.next).toBe('close')
    expect(Buffer.concat(step.reply).toString()).toContain(`C${code}\0`)
  })

  test('a request to cancel is closed without a word', () => {
    expect(new Handshake(credentials).push(packet(80877102, Buffer.alloc(8)))).toMatchObject({
      reply: [],
      next: 'close',
    })
  })

  test('something that is not Postgres is a protocol error', () => {
    expect(() => new Handshake(credentials).push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toThrow(
      ProtocolError,
    )
  })
})

describe('whose turn it is', () => {
  test('first come, first served, and again to the end of the line', () => {
    const schedule = new Schedule<string>()
    for (const name of ['a', 'b', 'a', 'c']) schedule.ready(name)
    const order: string[] = []
    for (let next = schedule.next(); next !== undefined; next = schedule.next()) {
      order.push(next)
      schedule.done(next, false)
      if (next === 'a' && order.length === 1) schedule.ready('a')
    }
    expect(order).toEqual(['a', 'b', 'c', 'a'])
  })

  test('inside a transaction only its connection goes on', () => {
    const schedule = new Schedule<string>()
    schedule.ready('a')
    schedule.ready('b')
    expect(schedule.next()).toBe('a')
    schedule.done('a', true)
    expect(schedule.next()).toBeUndefined()
    schedule.ready('a')
    expect(schedule.next()).toBe('a')
    schedule.done('a', false)
    expect(schedule.next()).toBe('b')
  })

  test('one that dies while it holds the engine says so, another just leaves the line', () => {
    const schedule = new Schedule<string>()
    schedule.ready('a')
    schedule.ready('b')
    schedule.next()
    schedule.done('a', true)
    expect(schedule.gone('b')).toBe(false)
    expect(schedule.gone('a')).toBe(true)
    expect(schedule.holder).toBeUndefined()
    expect(schedule.next()).toBeUndefined()
  })
})

test('a database that ends is started at once, then later and later, and at the fifth end in a minute no more', () => {
  const ends = [0, 1_000, 2_000, 3_000]
  expect([1, 2, 3, 4].map((count) => restartDelayMs(ends.slice(0, count), 3_000))).toEqual([0, 200, 400, 800])
  expect(restartDelayMs([...ends, 4_000], 4_000)).toBeUndefined()
  expect(restartDelayMs([...ends, 70_000], 70_000)).toBe(0)
})
