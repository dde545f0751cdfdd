import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folderFiles, openEngine, readFolder } from '@millrace/embed'
import { checkFolder, pullModel, pullRepo, type RepoWishes, readHub } from '@millrace/models'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR } from '../../embed/test/models.js'
import { cutAfter, type FakeHub, instead, openHub, REVISION, status } from './hub.js'

const REPO = 'Some-One/Mini_LM-v2'

let files: Map<string, Buffer>
let hub: FakeHub
let root: string
let modelsDir: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-repo-'))
  modelsDir = join(root, 'models')
  const dir = join(MODELS_DIR, MINILM)
  files = new Map([['README.md', Buffer.from('not fetched')]])
  for (const { path } of folderFiles(readFolder(dir))) files.set(path, await readFile(join(dir, path)))
  hub = await openHub(REPO, files)
})
afterEach(async () => {
  await hub.close()
  await rm(root, { recursive: true })
})

const options = () => ({
  modelsDir,
  hub: readHub({ HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_x' }),
  deps: { sleep: async () => undefined },
})
const pull = (wishes: RepoWishes = {}, repo = REPO) => pullRepo(repo, wishes, options())

describe('a repository that is not known', () => {
  test('is fetched at the commit of its branch, imported, and runs', async () => {
    const { id, dir, folder, fetched } = await pull()
    expect(id).toBe('mini_lm-v2')
    expect([...fetched].sort()).toEqual([...files.keys()].filter((path) => path !== 'README.md').sort())
    expect(folder).toMatchObject({
      hub: { repo: REPO, revision: REVISION },
      source: `${REPO} at ${REVISION.slice(0, 12)}`,
      licence: 'apache-2.0',
      languages: ['en'],
      pooling: 'mean',
      dims: 384,
    })
    expect(await readdir(modelsDir)).toEqual([id])
    expect(await checkFolder(dir, folder)).toEqual([])
    const engine = openEngine({ modelDirs: [modelsDir] })
    expect((await engine.load(id)).dims).toBe(384)
    await engine.close()
    // From now on it is one like others: what is lost is fetched again.
    await rm(join(dir, 'tokenizer.json'))
    expect(await pullModel(folder, options())).toMatchObject({ fetched: ['tokenizer.json'] })
  })

  test('goes on where it stopped', async () => {
    hub.next('model.onnx', cutAfter(5_000_000))
    hub.always('model.onnx', cutAfter(0))
    await expect(pull({ id: 'mine' })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' })
    expect(await readdir(modelsDir)).toEqual(['.mine.partial'])
    hub.always('model.onnx', (request, response, content) =>
      cutAfter(content.length)(request, response, content),
    )
    await pull({ id: 'mine' })
    expect(hub.seen.filter(({ at, path }) => at === 'cdn' && path === 'tokenizer.json')).toHaveLength(1)
    expect(hub.seen.filter(({ path }) => path === 'model.onnx').at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
  })

  test.each([
    ['a small file, by its git hash', 'config.json', /git hash [0-9a-f]{40}, and should have [0-9a-f]{40}$/],
    ['a large one, by its sha256', 'model.onnx', /sha256 [0-9a-f]{64}, and should have [0-9a-f]{64}$/],
  ])('that gives other bytes is refused: %s', async (_, path, message) => {
    hub.always(path, instead(Buffer.alloc(files.get(path)?.length ?? 0, 32)))
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_ALTERED',
      message: expect.stringMatching(message),
    })
    expect(await readdir(modelsDir)).toEqual(['.mini_lm-v2.partial'])
  })

  test('without a graph is refused before anything is fetched', async () => {
    files.delete('model.onnx')
    await expect(pull()).rejects.toMatchObject({
      code: 'INVALID_MODEL_FOLDER',
      message: `${REPO} has no graph onnx/model.onnx or model.onnx: there is none`,
    })
    expect(hub.sent()).toBe(0)
  })

  test('that is not there, or under an id that cannot be one', async () => {
    await expect(pull({}, 'some/thing')).rejects.toMatchObject({
      code: 'DOWNLOAD_REFUSED',
      message: expect.stringMatching(/\/api\/models\/some\/thing\/revision\/main says HTTP 404$/),
    })
    for (const repo of ['../x', './my/model', 'a/b/c', 'a/..']) {
      await expect(pull({}, repo)).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' })
    }
    await expect(pull({ id: 'A/B' })).rejects.toMatchObject({ code: 'INVALID_MODEL_ID' })
  })

  test('whose pooling nobody says: it stays fetched for the next try', async () => {
    files.delete('1_Pooling/config.json')
    await expect(pull()).rejects.toMatchObject({ code: 'NO_POOLING' })
    const before = hub.sent()
    expect((await pull({ pooling: 'mean' })).folder.pooling).toBe('mean')
    expect(hub.sent()).toBe(before)
    await expect(pull()).rejects.toMatchObject({ code: 'MODEL_EXISTS' })
  })

  test('that needs a token says so', async () => {
    hub.always('config.json', status(403))
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_REFUSED',
      hint: expect.stringContaining('HF_TOKEN'),
    })
  })
})
