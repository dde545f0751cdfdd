import { join } from 'node:path'
import { dot, openRemote, type Remote, type RemoteDeps } from '@millrace/embed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'
import {
  type Asked,
  bulk,
  DIMS,
  expectVectors,
  fakeDeps,
  NOW,
  outcomes,
  query,
  remoteManifest,
  startServer,
  type TestServer,
  unit,
  vectorFor,
} from './remote-server.js'

let server: TestServer
const opened: Remote[] = []

beforeEach(async () => {
  server = await startServer()
})
afterEach(async () => {
  for (const remote of opened.splice(0)) remote.close()
  await server.close()
})

/** Opens it, and forgets the probe. */
async function open(
  remote: object = {},
  fields: object = {},
  deps: RemoteDeps = fakeDeps().deps,
): Promise<Remote> {
  const one = await openRemote(remoteManifest(server, remote, fields), join(MODELS_DIR, MINILM), deps)
  opened.push(one)
  server.asked.length = 0
  return one
}

const TEI = { kind: 'tei', model: undefined }
const kinds: [string, () => object][] = [
  ['openai', () => ({})],
  ['tei', () => ({ ...TEI, url: server.url })],
]

describe.each(kinds)('a server of the kind %s', (kind, settings) => {
  test('gives a unit vector a text, in order, with tokens of the model’s own tokenizer', async () => {
    const remote = await open(settings())
    const texts = ['How do I reset my password?', 'short', prose(40)]
    const results = await remote.embed(bulk(...texts))
    expectVectors(results, texts)
    expect(results[0]).toMatchObject({ tokens: 9, windows: 1, truncated: false })
    expect(server.asked.map(({ path }) => path)).toEqual([kind === 'tei' ? '/embed' : '/v1/embeddings'])
  })

  test('is asked at the load, and refused there when its dims are others', async () => {
    server.answer = ({ reply, texts }) => reply.vectors(texts.map(() => [1, 2, 3]))
    await expect(open(settings())).rejects.toMatchObject({
      code: 'REMOTE_DIMS',
      message: expect.stringContaining('3 dims, the manifest says 4'),
    })
  })

  test('whose dims change later is refused then', async () => {
    const remote = await open(settings())
    server.answer = ({ reply, texts }) => reply.vectors(texts.map(() => [1, 2, 3]))
    await expect(remote.embed(bulk('a'))).rejects.toMatchObject({ code: 'REMOTE_DIMS' })
  })
})

describe('what is sent', () => {
  test('has the instruction of its kind before it', async () => {
    const remote = await open({}, { instructions: { query: 'query: ', document: null } })
    await remote.embed(query('parcel'))
    await remote.embed(bulk('parcel'))
    expect(server.asked.map(({ texts }) => texts)).toEqual([['query: parcel'], ['parcel']])
  })

  test('has the key of the variable that the manifest names', async () => {
    const { deps } = fakeDeps({ env: (name) => (name === 'MY_KEY' ? 'secret\n' : undefined) })
    const remote = await open({ keyEnv: 'MY_KEY' }, {}, deps)
    await remote.embed(bulk('a'))
    expect(server.asked[0]?.key).toBe('Bearer secret')
  })

  test('keeps what the URL has after a question mark', async () => {
    const remote = await open({ url: `${server.url}/v1/?api-version=3` })
    await remote.embed(bulk('a'))
    expect(server.asked[0]?.path).toBe('/v1/embeddings?api-version=3')
  })

  test('is nothing for texts that cannot be embedded, and their neighbours get their vectors', async () => {
    const remote = await open()
    const results = await remote.embed(bulk('fine', '', 'half \ud800 pair', 'nul \0', ' \n ', 'last'))
    const invalid = ['INVALID_TEXT', 'INVALID_TEXT']
    expect(outcomes(results)).toEqual(['vector', 'EMPTY_TEXT', ...invalid, 'EMPTY_TEXT', 'vector'])
    expect(server.asked.map(({ texts }) => texts)).toEqual([['fine', 'last']])
    expect(await remote.embed(bulk())).toEqual([])
    expect(remote.stats()).toMatchObject({ waiting: 0, texts: 6, failures: 4, batches: 1 })
  })
})

describe('an answer', () => {
  test('in another order is put in order by its index', async () => {
    const remote = await open()
    server.answer = ({ reply, texts }) =>
      reply.json({ data: texts.map((text, index) => ({ index, embedding: vectorFor(text) })).reverse() })
    const texts = ['one', 'three', 'seventeen']
    expectVectors(await remote.embed(bulk(...texts)), texts)
  })

  test('may be base64', async () => {
    const remote = await open()
    server.answer = ({ reply, texts }) =>
      reply.vectors(
        texts.map((text) => Buffer.from(Float32Array.from(vectorFor(text)).buffer).toString('base64')),
      )
    expectVectors(await remote.embed(bulk('one', 'three')), ['one', 'three'])
  })

  test.each<[string, (asked: Asked) => void, RegExp]>([
    ['with too few vectors', ({ reply }) => reply.vectors([vectorFor('a')]), /each of 2 texts/],
    ['with too many', ({ reply }) => reply.vectors(['a', 'b', 'c'].map(vectorFor)), /each of 2 texts/],
    [
      'with an index twice',
      ({ reply }) => reply.json({ data: [0, 0].map((index) => ({ index, embedding: [1, 1, 1, 1] })) }),
      /each of 2 texts/,
    ],
    ['of another form', ({ reply }) => reply.json({ vectors: [] }), /data/],
    ['with words for numbers', ({ reply }) => reply.vectors([['x', 1, 1, 1], vectorFor('b')]), /no number/],
    ['that is no JSON', ({ reply }) => reply.raw('<html>starting</html>'), /JSON/],
    ['that does not end', ({ reply }) => reply.raw('['.repeat(100_000)), /more than \d+ bytes/],
  ])('%s is refused as a whole', async (_, answer, message) => {
    const remote = await open()
    server.answer = answer
    await expect(remote.embed(bulk('a', 'b'))).rejects.toMatchObject({
      code: 'REMOTE_BAD_ANSWER',
      message: expect.stringMatching(message),
    })
    expect(server.asked).toHaveLength(1)
  })

  test.each<[string, (asked: Asked) => void]>([
    ['null', ({ reply }) => reply.vectors([[1, null, 1, 1], vectorFor('b')])],
    ['zeros', ({ reply }) => reply.vectors([[0, 0, 0, 0], vectorFor('b')])],
    [
      'the NaN of Python',
      ({ reply }) =>
        reply.raw('{"data": [{"index": 0, "embedding": [NaN, 1, 1, 1]}, {"embedding": [1, 1, 1, 1]}]}'),
    ],
  ])('with %s in a vector fails that text alone', async (_, answer) => {
    const remote = await open()
    server.answer = answer
    expect(outcomes(await remote.embed(bulk('a', 'b')))).toEqual(['NAN_VECTOR', 'vector'])
  })
})

describe('what passes is tried again', () => {
  test.each<[string, Record<string, string>, number]>([
    ['Retry-After in seconds', { 'retry-after': '7' }, 7_500],
    ['Retry-After as a date', { 'retry-after': new Date(NOW + 9_000).toUTCString() }, 9_500],
    ['a Retry-After of an hour, up to a minute', { 'retry-after': '3600' }, 60_500],
    ['a Retry-After that is neither', { 'retry-after': 'soon' }, 500],
    ['no Retry-After', {}, 500],
  ])('429 with %s', async (_, headers, ms) => {
    const { deps, slept } = fakeDeps()
    const remote = await open({}, {}, deps)
    server.answer = ({ reply, texts }, count) =>
      count === 1 ? reply.json({ error: 'busy' }, 429, headers) : reply.vectors(texts.map(vectorFor))
    expectVectors(await remote.embed(bulk('a')), ['a'])
    expect(slept).toEqual([ms])
  })

  test('later and later, with jitter, as often as the manifest says', async () => {
    const { deps, slept } = fakeDeps({ random: () => 0.5 })
    const remote = await open({ attempts: 4 }, {}, deps)
    server.answer = ({ reply }) => reply.json({ error: { message: 'the model\nis loading' } }, 503)
    await expect(remote.embed(bulk('a'))).rejects.toMatchObject({
      code: 'REMOTE_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/4 tries: 503 the model is loading$/),
    })
    expect(slept).toEqual([250, 500, 1_000])
    server.answer = undefined
    expectVectors(await remote.embed(bulk('a')), ['a'])
  })

  test('a broken connection', async () => {
    const remote = await open()
    server.answer = ({ reply, texts }, count) =>
      count < 3 ? reply.reset() : reply.vectors(texts.map(vectorFor))
    expectVectors(await remote.embed(bulk('a')), ['a'])
    expect(server.asked).toHaveLength(3)
  })

  test('an answer that does not come in time', async () => {
    const remote = await open({ timeoutMs: 300, attempts: 2 })
    server.answer = () => undefined
    await expect(remote.embed(bulk('a'))).rejects.toMatchObject({
      code: 'REMOTE_UNAVAILABLE',
      message: expect.stringContaining('nothing within 300 ms'),
    })
    expect(server.asked).toHaveLength(2)
  })

  test('a server that is not there', async () => {
    const gone = await startServer()
    await gone.close()
    await expect(open({ url: gone.url, attempts: 2 })).rejects.toMatchObject({
      code: 'REMOTE_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })
})

describe('what the server refuses', () => {
  const refusing =
    (bad: string) =>
    ({ reply, texts }: Asked) =>
      texts.some((text) => text.includes(bad))
        ? reply.json({ error: { message: 'too long' } }, 400)
        : reply.vectors(texts.map(vectorFor))

  test('is found in its batch, and its neighbours get their vectors', async () => {
    const remote = await open()
    server.answer = refusing('bad')
    const texts = Array.from({ length: 16 }, (_, i) => (i === 5 || i === 11 ? `bad ${i}` : `good ${i}`))
    const results = await remote.embed(bulk(...texts))
    expect(outcomes(results)).toEqual(
      texts.map((text) => (text.startsWith('bad') ? 'EMBED_FAILED' : 'vector')),
    )
    expect(results[5]).toMatchObject({ error: { message: expect.stringContaining('400 too long') } })
    expect(server.asked.length).toBeLessThan(20)
  })

  test('is no text’s fault when it refuses the probe too', async () => {
    const remote = await open()
    server.answer = refusing('')
    await expect(remote.embed(bulk('a', 'b', 'c'))).rejects.toMatchObject({ code: 'REMOTE_REFUSED' })
    expect(server.asked).toHaveLength(2)
  })

  test.each([404, 405, 301])('with %d is the manifest’s fault', async (status) => {
    server.answer = ({ reply }) => reply.json({}, status, { location: 'https://elsewhere.example/' })
    await expect(open()).rejects.toMatchObject({
      code: 'REMOTE_REFUSED',
      message: expect.stringContaining(`${status} redirects to`),
    })
  })

  test.each([401, 403])('with %d names the variable of the key, and not the key', async (status) => {
    server.answer = ({ reply }) => reply.json({ error: 'wrong key sk-123' }, status)
    const { deps } = fakeDeps({ env: () => 'sk-123' })
    const error: unknown = await open({ keyEnv: 'MY_KEY' }, {}, deps).catch((one: unknown) => one)
    expect(error).toMatchObject({ code: 'REMOTE_UNAUTHORIZED', hint: expect.stringContaining('MY_KEY') })
    expect(String(error)).not.toContain('sk-123')
    expect(server.asked).toHaveLength(1)
  })

  test('a key that is not set is found before anything is sent', async () => {
    await expect(open({ keyEnv: 'MY_KEY' })).rejects.toMatchObject({
      code: 'REMOTE_UNAUTHORIZED',
      message: expect.stringContaining('MY_KEY is not set'),
    })
    expect(server.asked).toHaveLength(0)
  })
})

describe('what text-embeddings-inference says of itself', () => {
  test('bounds the texts of a request', async () => {
    server.info = { max_input_length: 512, max_client_batch_size: 3 }
    const remote = await open({ ...TEI, url: server.url })
    const texts = Array.from({ length: 8 }, (_, i) => `text ${i}`)
    expectVectors(await remote.embed(bulk(...texts)), texts)
    expect(server.asked.map((asked) => asked.texts.length)).toEqual([3, 3, 2])
  })

  test('refuses a manifest that promises longer texts', async () => {
    server.info = { max_input_length: 256 }
    await expect(open({ ...TEI, url: server.url })).rejects.toMatchObject({
      code: 'REMOTE_TOKENS_MAX',
      message: expect.stringContaining('256 tokens a text, the manifest says 512'),
    })
  })
})

describe('a text longer than the model takes', () => {
  test.each([
    [510, 1],
    [511, 2],
    [2_000, 4],
  ])('of %d words is sent in %d windows, and says so', async (words, windows) => {
    const remote = await open()
    const text = prose(words)
    const [result] = await remote.embed(bulk(text))
    expect(result).toMatchObject({ tokens: words + 2, windows, truncated: false })
    expect(server.asked.flatMap(({ texts }) => texts).join(' ')).toBe(text)
  })

  test('is the mean of its windows, weighted by their tokens', async () => {
    const remote = await open()
    const [result] = await remote.embed(bulk(prose(700)))
    const [first = '', rest = ''] = server.asked.flatMap(({ texts }) => texts)
    const [a, b] = [unit(vectorFor(first)), unit(vectorFor(rest))]
    const mean = Float32Array.from(unit(a.map((value, i) => value * 510 + (b[i] ?? 0) * 190)))
    expect(
      dot(mean, result !== undefined && 'vector' in result ? result.vector : new Float32Array(DIMS)),
    ).toBeCloseTo(1, 5)
  })
})
