import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dot, embedAll, openEngine, parseFolder, verifyModel } from '@millrace/embed'
import { findModels } from '@millrace/embed/catalog'
import { withRemotes } from '@millrace/embed/remote/engine'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'
import { DIMS, remoteFolder, startServer, type TestServer } from './remote-server.js'

const local = openEngine({ modelDirs: [MODELS_DIR] })
let server: TestServer
let modelsDir: string
const opened: { close(): Promise<void> }[] = []

beforeAll(() => local.load(MINILM))
afterAll(() => local.close())
beforeEach(async () => {
  server = await startServer()
  modelsDir = await mkdtemp(join(tmpdir(), 'millrace-remote-'))
})
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close()
  await server.close()
  await rm(modelsDir, { recursive: true, force: true })
})

/** A folder of a model as its owner would make it: a manifest and the tokenizer. */
async function addModel(remote: object, fields: object = {}): Promise<void> {
  const folder = remoteFolder(server, remote, fields)
  const dir = join(modelsDir, folder.id)
  await mkdir(dir)
  await cp(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(folder))
}

function open() {
  const engine = openEngine({ modelDirs: [modelsDir, MODELS_DIR] })
  opened.push(engine)
  return engine
}

/** The server has all-minilm, computed by an engine as ours. */
function serveMinilm(): void {
  server.answer = ({ texts, reply }) => {
    const request = { model: MINILM, texts, kind: 'document' } as const
    void embedAll(local, request).then((found) => reply.vectors(found.map(({ vector }) => [...vector])))
  }
}

describe.each(['openai', 'tei'])('a folder with a manifest of the kind %s', (kind) => {
  const url = () => (kind === 'tei' ? server.url : `${server.url}/v1`)

  test('is a model like any other: the vectors are those of the model on the server', async () => {
    serveMinilm()
    await addModel({ kind, url: url() }, { dims: 384 })
    const engine = open()
    expect(engine.models().map(({ id }) => id)).toContain('elsewhere')
    expect(engine.state('elsewhere')).toBe('absent')
    const { dims, precision, revision } = await engine.load('elsewhere')
    expect({ dims, precision, revision }).toEqual({ dims: 384, precision: 'remote', revision: '1' })
    expect(engine.state('elsewhere')).toBe('ready')
    expect(engine.memory('elsewhere')).toBeNull()
    const texts = ['How do I reset my password?', 'x', prose(60), prose(300, 3), prose(1_200, 5)]
    const there = await embedAll(engine, { model: 'elsewhere', texts, kind: 'document' })
    const here = await embedAll(local, { model: MINILM, texts, kind: 'document' })
    for (const [i, { vector, tokens, windows }] of there.entries()) {
      expect(dot(vector, here[i]?.vector ?? new Float32Array())).toBeGreaterThan(0.9999)
      expect({ tokens, windows }).toEqual({ tokens: here[i]?.tokens, windows: here[i]?.windows })
    }
    expect(await engine.count('elsewhere', texts)).toEqual(here.map(({ tokens }) => tokens))
    expect(engine.stats()).toMatchObject({ waiting: 0, texts: 5, failures: 0, crashes: 0 })
  })
})

describe('an engine with a model elsewhere', () => {
  test('has those in the process beside it', async () => {
    await addModel({})
    const engine = open()
    const [[here], [there]] = await Promise.all([
      embedAll(engine, { model: MINILM, texts: ['a'], kind: 'query' }),
      embedAll(engine, { model: 'elsewhere@remote', texts: ['a'], kind: 'query' }),
    ])
    expect([here?.vector.length, there?.vector.length]).toEqual([384, DIMS])
    expect(engine.stats().texts).toBe(2)
    await expect(engine.load('none')).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' })
  })

  test('counts terms here, beside the vectors from there or alone', async () => {
    await addModel({})
    const engine = open()
    const texts = ['one two two', prose(700)]
    const terms = (model: string, outputs: readonly ('dense' | 'terms')[]) =>
      embedAll(engine, { model, texts, kind: 'document', outputs }).then((all) => all.map((one) => one.terms))
    const here = await terms(MINILM, ['terms'])
    expect(await terms('elsewhere', ['terms'])).toEqual(here)
    expect(engine.state('elsewhere')).toBe('absent')
    expect(await terms('elsewhere', ['dense', 'terms'])).toEqual(here)
    expect(here[0]?.weights.reduce((sum, count) => sum + count)).toBe(3)
    expect(await embedAll(engine, { model: 'elsewhere', texts, kind: 'document' })).not.toContainEqual(
      expect.objectContaining({ terms: expect.anything() }),
    )
  })

  test('says why it did not load, and loads it when the server is back', async () => {
    await addModel({ attempts: 1 })
    const models = findModels([modelsDir])
    const engine = withRemotes(models, { reloadMs: 20 }, local)
    server.answer = ({ reply }) => reply.raw('', 503)
    await expect(engine.load('elsewhere')).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' })
    expect(engine.state('elsewhere')).toBe('failed')
    expect(engine.failure('elsewhere')).toMatchObject({ code: 'REMOTE_UNAVAILABLE' })
    server.answer = undefined
    while (engine.state('elsewhere') !== 'ready') await new Promise((resolve) => setTimeout(resolve, 5))
    expect(engine.failure('elsewhere')).toBeUndefined()
  })

  test('closes while it loads one', async () => {
    await addModel({})
    server.answer = () => undefined
    const engine = open()
    const seen = expect(engine.load('elsewhere')).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    await engine.close()
    await seen
    const request = { model: 'elsewhere', texts: ['a'], kind: 'query' } as const
    await expect(engine.embed(request)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  test('does not hold a caller who gives up while it loads one', async () => {
    await addModel({})
    server.answer = () => undefined
    const abort = new AbortController()
    const given = open().embed({ model: 'elsewhere', texts: ['a'], kind: 'query', signal: abort.signal })
    setTimeout(() => abort.abort(), 20)
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('refuses a tokenizer that is not the one of its manifest', async () => {
    await addModel({})
    await writeFile(join(modelsDir, 'elsewhere', 'tokenizer.json'), '{}')
    await expect(open().load('elsewhere')).rejects.toMatchObject({ code: 'MODEL_FILE_ALTERED' })
    await expect(verifyModel(join(modelsDir, 'elsewhere'))).rejects.toMatchObject({
      code: 'MODEL_FILE_ALTERED',
    })
  })
})

describe('a manifest with a server', () => {
  const parse = (remote: object, fields: object = {}) =>
    parseFolder(remoteFolder({ url: 'http://tei:8080' }, remote, fields), 'the test')

  test('has defaults, and is the same when it is written and read again', () => {
    const folder = parse({})
    expect(folder.remote).toMatchObject({ batchTexts: 32, concurrency: 2, timeoutMs: 30_000, attempts: 5 })
    expect(folder).toMatchObject({ variants: [], hub: null, heads: {}, pooling: 'graph' })
    expect(parseFolder(JSON.parse(JSON.stringify(folder)), 'the test')).toEqual(folder)
  })

  test('is in the documentation, one of each kind', async () => {
    const docs = await readFile(new URL('../../../docs/remote-models.md', import.meta.url), 'utf8')
    const [openai = '', tei = ''] = [...docs.matchAll(/```json\n(.*?)```/gs)].map(([, json]) => json ?? '')
    const folder = parseFolder(JSON.parse(openai), 'the docs')
    expect(folder.remote?.kind).toBe('openai')
    const { remote } = parseFolder({ ...folder, ...JSON.parse(`{${tei}}`) }, 'the docs')
    expect(remote).toMatchObject({ kind: 'tei', batchTexts: 64, concurrency: 4 })
  })

  test.each([
    ['a key in the URL', { url: 'https://me:secret@host/v1' }, {}, /keyEnv/],
    ['another protocol', { url: 'ftp://host' }, {}, /url/],
    ['no name of the model for OpenAI', { model: undefined }, {}, /remote\.model/],
    ['an unknown field', { colour: 'red' }, {}, /colour/],
    ['an output that no server gives', {}, { outputs: ['dense', 'sparse'] }, /dense vectors only/],
    ['no tokenizer', {}, { files: [{ path: 'a', bytes: 1, sha256: 'a'.repeat(64) }] }, /tokenizer\.json/],
  ])('with %s is refused', (_, remote, fields, message) => {
    expect(() => parse(remote, fields)).toThrow(
      expect.objectContaining({ code: 'INVALID_MANIFEST', message: expect.stringMatching(message) }),
    )
  })
})
