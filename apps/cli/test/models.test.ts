import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folderFiles, type ModelFolder, readFolder } from '@millrace/embed'
import { durationText, sizeText, speedMeter } from 'millrace/models/units'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeHub, openHub, REVISION, slowly, status } from '../../../packages/models/test/hub.js'
import { millrace } from './command.js'

const PROGRAM = fileURLToPath(new URL('../bin/millrace.js', import.meta.url))
const REPO_MODELS = fileURLToPath(new URL('../../../models/', import.meta.url))
const SMALL = 'all-minilm-l6-v2'
const MINE = 'my-minilm'

let root: string
let modelsDir: string
let env: Readonly<Record<string, string>>
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-cli-models-'))
  modelsDir = join(root, 'models')
  env = { MODELS_DIR: modelsDir, HF_ENDPOINT: 'http://127.0.0.1:9' }
})
afterEach(() => rm(root, { recursive: true }))

describe('models list', () => {
  test('what is here with its folder, what is not with the command that fetches it', async () => {
    const { code, out, err } = await millrace(['models', 'list'], env)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^all-minilm-l6-v2 +int8-row +dense +384 +512 tokens +en +Apache-2\.0 +24\.1 MB +\//m)
    expect(out).toMatch(
      /^bge-m3 +float32 +dense,sparse,colbert +1024 +8192 tokens +mul +MIT +2\.29 GB +not here: millrace models pull bge-m3$/m,
    )
  })

  test('--json: one document', async () => {
    const { models } = JSON.parse((await millrace(['models', '--json'], env)).out)
    expect(models.map(({ id, dir }: { id: string; dir: string | null }) => [id, dir !== null])).toEqual([
      [SMALL, true],
      ['bge-m3', false],
      ['bge-small-zh-v1.5', true],
    ])
  })
})

describe('a folder whose manifest cannot be read', () => {
  test('is named by list and verify, which go on with the others', async () => {
    await mkdir(join(modelsDir, 'broken'), { recursive: true })
    await writeFile(join(modelsDir, 'broken', 'manifest.json'), '{')
    const list = await millrace(['models', 'list'], env)
    expect(list.code).toBe(0)
    expect(list.out).toContain(SMALL)
    expect(list.out).toContain(`${join(modelsDir, 'broken')} has a manifest that cannot be read: `)
    const verify = await millrace(['models', 'verify', '--json'], env)
    expect(verify.code).toBe(1)
    expect(JSON.parse(verify.out)).toMatchObject({ ok: false, broken: [{ dir: join(modelsDir, 'broken') }] })
    expect((await millrace(['models', 'verify', SMALL], env)).code).toBe(0)
  })
})

describe('models verify', () => {
  test('every bad file by name, exit code 1', async () => {
    const dir = join(modelsDir, SMALL)
    await cp(join(REPO_MODELS, SMALL), dir, { recursive: true })
    expect(await millrace(['models', 'verify', SMALL], env)).toMatchObject({ code: 0, err: '' })
    await truncate(join(dir, 'model.onnx'), 1_000)
    await rm(join(dir, 'config.json'))
    const tokenizer = await readFile(join(dir, 'tokenizer.json'))
    tokenizer[1_000] = (tokenizer[1_000] ?? 0) ^ 1
    await writeFile(join(dir, 'tokenizer.json'), tokenizer)
    const { code, out } = await millrace(['models', 'verify', SMALL], env)
    expect(code).toBe(1)
    expect(out).toContain(`${SMALL}: 3 of 6 files are wrong (${dir})`)
    expect(out).toMatch(/^ {2}model\.onnx +has 1000 bytes, its manifest says 23673880$/m)
    expect(out).toMatch(/^ {2}config\.json +is missing$/m)
    expect(out).toMatch(/^ {2}tokenizer\.json +has sha256 [0-9a-f]{64}, its manifest says [0-9a-f]{64}$/m)
    const all = await millrace(['models', 'verify', '--json'], env)
    expect(all.code).toBe(1)
    expect(JSON.parse(all.out)).toMatchObject({
      ok: false,
      models: [
        { id: SMALL, bad: [{}, {}, {}] },
        { id: 'bge-small-zh-v1.5', bad: [] },
      ],
    })
  })

  test.each([
    ['bge-m3', 'MODEL_NOT_HERE: bge-m3 is not here', 'millrace models pull bge-m3'],
    ['nothing', 'UNKNOWN_MODEL: There is no model "nothing": there are all-minilm-l6-v2, bge-m3', 'import'],
    [`${SMALL}@float32`, 'UNKNOWN_MODEL: There is no model', 'import'],
    ['../x', 'UNKNOWN_MODEL: There is no model', 'import'],
  ])('%s: an error with a way out', async (id, message, hint) => {
    const { code, out, err } = await millrace(['models', 'verify', id], env)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain(message)
    expect(err).toContain(hint)
  })

  test('a copy without its manifest is told so', async () => {
    await mkdir(join(modelsDir, 'bge-m3'), { recursive: true })
    const { code, out } = await millrace(['models', 'verify', 'bge-m3'], env)
    expect(code).toBe(1)
    expect(out).toMatch(/^ {2}manifest\.json +is missing$/m)
  })
})

describe('models pull', () => {
  let hub: FakeHub
  let folder: ModelFolder
  let children: ChildProcess[]
  beforeEach(async () => {
    children = []
    const small = join(REPO_MODELS, SMALL)
    folder = { ...readFolder(small), id: MINE, hub: { repo: 'me/minilm', revision: REVISION } }
    const files = await Promise.all(
      folderFiles(folder).map(async ({ path }) => [path, await readFile(join(small, path))] as const),
    )
    hub = await openHub('me/minilm', new Map(files))
    env = { ...env, HF_ENDPOINT: hub.url }
    // Only its manifest is here.
    await mkdir(join(modelsDir, MINE), { recursive: true })
    await writeFile(join(modelsDir, MINE, 'manifest.json'), JSON.stringify(folder))
  })
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    await hub.close()
  })

  test('fetches what is missing, and the model is right', async () => {
    expect((await millrace(['models'], env)).out).toMatch(
      /lacks tokenizer\.json.*: millrace models pull my-minilm/,
    )
    const { code, out, err } = await millrace(['models', 'pull', MINE], env)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^my-minilm: 6 files, 24\.1 MB in [\d.]+ s, [\d.]+ MB\/s \(/)
    expect((await millrace(['models', 'verify', MINE], env)).code).toBe(0)
    const again = await millrace(['models', 'pull', MINE, '--json'], env)
    expect(JSON.parse(again.out)).toMatchObject({ id: MINE, fetched: [], bytes: 0 })
  })

  test('says on standard error what it waits for, on none with --json', async () => {
    hub.next('config.json', status(503))
    const { err } = await millrace(['models', 'pull', MINE], env)
    expect(err).toBe('config.json: HTTP 503; again in 1 s\n')
  })

  test('an error: exit code 1, nothing on standard output', async () => {
    hub.always('config.json', status(401))
    const { code, out, err } = await millrace(['models', 'pull', MINE, '--json'], env)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/^DOWNLOAD_REFUSED: .*config\.json: HTTP 401 at http.*\nSet HF_TOKEN/)
  })

  test('Ctrl+C: stops, says that it goes on where it stopped, and does', async () => {
    hub.next('model.onnx', slowly(50_000))
    const child = spawn(process.execPath, [PROGRAM, 'models', 'pull', MINE], {
      env: { ...env, PATH: process.env.PATH },
    })
    children.push(child)
    let err = ''
    child.stderr.on('data', (data) => {
      err += data
    })
    const ended = once(child, 'close')
    while (hub.sent() < 2_000_000) await new Promise((resolve) => setTimeout(resolve, 20))
    child.kill('SIGINT')
    expect(await ended).toEqual([1, null])
    expect(err).toBe('INTERRUPTED: Stopped before it was done\nRun it again: it goes on where it stopped\n')
    expect(await readdir(modelsDir)).toEqual([`.${MINE}.partial`, MINE])
    expect((await millrace(['models', 'pull', MINE], env)).code).toBe(0)
    expect(hub.seen.filter(({ path }) => path === 'model.onnx').at(-1)?.range).toMatch(/^bytes=\d+-$/)
    expect((await millrace(['models', 'verify', MINE], env)).code).toBe(0)
  })

  test('of OWNER/NAME imports what the hub has', async () => {
    const { code, out, err } = await millrace(
      ['models', 'pull', 'me/minilm', '--id', 'theirs', '--json'],
      env,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(JSON.parse(out)).toMatchObject({
      id: 'theirs',
      manifest: { pooling: 'mean', licence: 'apache-2.0', hub: { repo: 'me/minilm', revision: REVISION } },
    })
    expect((await millrace(['models', 'verify', 'theirs'], env)).code).toBe(0)
  })

  test('of BAAI/bge-m3 means the one that is known', async () => {
    const { code, err } = await millrace(['models', 'pull', 'BAAI/bge-m3'], env)
    expect(code).toBe(1)
    expect(err).toMatch(/^DOWNLOAD_REFUSED: .*\/BAAI\/bge-m3\/resolve\/5617a9f61b02/m)
  })

  test('with options that are for a repository, of one that is none, is refused', async () => {
    const { code, err } = await millrace(['models', 'pull', MINE, '--pooling', 'cls'], env)
    expect(code).toBe(1)
    expect(err).toContain('the other options are for OWNER/NAME')
  })

  test('of a model of the repository compares it', async () => {
    const { code, out } = await millrace(['models', 'pull', SMALL], env)
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^all-minilm-l6-v2: 6 files, 24\.1 MB, all as/),
    })
  })
})

describe('models import', () => {
  test('makes a model of a folder, and says what it decided', async () => {
    const source = join(root, 'source')
    await cp(join(REPO_MODELS, SMALL), source, { recursive: true })
    await rm(join(source, 'manifest.json'))
    const args = [
      'models',
      'import',
      source,
      '--id',
      MINE,
      '--licence',
      'Apache-2.0',
      '--languages',
      'en, de',
    ]
    const { code, out, err } = await millrace(args, env)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^my-minilm is in .*\/models\/my-minilm\n {2}outputs dense; 384 dims/)
    expect(out).toContain('pooling mean: 1_Pooling')
    expect(readFolder(join(modelsDir, MINE))).toMatchObject({
      licence: 'Apache-2.0',
      languages: ['en', 'de'],
    })
    expect((await millrace(['models', 'list'], env)).out).toMatch(/^my-minilm +int8-row +dense +384/m)
  })

  test('without 1_Pooling says that --pooling is needed; --json prints the manifest', async () => {
    const source = join(root, 'source')
    await cp(join(REPO_MODELS, 'bge-small-zh-v1.5'), source, { recursive: true })
    await rm(join(source, 'manifest.json'))
    const refused = await millrace(['models', 'import', source, '--id', MINE, '--json'], env)
    expect(refused).toMatchObject({ code: 1, out: '' })
    expect(refused.err).toMatch(/^NO_POOLING: .*\nAdd --pooling/)
    const { out } = await millrace(
      ['models', 'import', source, '--id', MINE, '--pooling', 'cls', '--json'],
      env,
    )
    expect(JSON.parse(out)).toMatchObject({
      id: MINE,
      manifest: { pooling: 'cls', dims: 512 },
      notes: expect.any(Array),
    })
  })

  test.each([
    [['--id', MINE, '--pooling', 'sum'], /Allowed choices are cls, mean, max/],
    [[], /required option '--id <id>' not specified/],
  ])('wrong options are refused: %j', async (options, message) => {
    const { code, err } = await millrace(['models', 'import', root, ...options], env)
    expect(code).toBe(1)
    expect(err).toMatch(message)
  })
})

describe('units', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [999_999, '1.00 MB'],
    [724_923, '724.9 kB'],
    [2_266_820_608, '2.27 GB'],
  ])('%i bytes: %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text)
  })

  test.each([
    [0.2, '1 s'],
    [59, '59 s'],
    [65, '1 min 05 s'],
    [7_380, '2 h 03 min'],
  ])('%d seconds: %s', (seconds, text) => {
    expect(durationText(seconds)).toBe(text)
  })

  test('speed is that of the last seconds', () => {
    let now = 0
    const meter = speedMeter(() => now)
    expect(meter.perSecond()).toBe(0)
    for (now = 100; now <= 10_000; now += 100) meter.add(now <= 5_000 ? 100_000 : 1_000)
    now = 10_000
    expect(meter.perSecond()).toBeGreaterThan(9_000)
    expect(meter.perSecond()).toBeLessThan(32_000)
    now = 20_000
    expect(meter.perSecond()).toBe(0)
  })
})
