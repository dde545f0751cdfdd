import { cp, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine, readFolder } from '@millrace/embed'
import { chooseModel } from '@millrace/flow'
import { modelPlaces } from '@millrace/models/place'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SMALL = 'all-minilm-l6-v2'
const [OWN = ''] = modelPlaces(undefined, '/nowhere').dirs

let modelsDir: string
beforeEach(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'millrace-choose-'))
})
afterEach(() => rm(modelsDir, { recursive: true }))

/** A small model under the name of the large one. */
async function standIn(folder: string): Promise<string> {
  const dir = join(modelsDir, folder)
  await cp(join(OWN, SMALL), dir, { recursive: true })
  await writeFile(join(dir, 'manifest.json'), JSON.stringify({ ...readFolder(dir), id: 'bge-m3' }))
  return dir
}

const choose = (wanted?: string) => chooseModel(openEngine({ modelDirs: [modelsDir, OWN] }), wanted)

test('without bge-m3 it is bge-small-zh-v1.5', () => {
  expect(choose()).toBe('bge-small-zh-v1.5')
})

test('with it, bge-m3, unless the setting names another', async () => {
  await standIn('bge-m3')
  expect(choose()).toBe('bge-m3')
  expect(choose(SMALL)).toBe(SMALL)
})

test('half a copy of it does not count', async () => {
  const dir = await standIn('bge-m3')
  await truncate(join(dir, 'model.onnx'), 1_000)
  expect(choose()).toBe('bge-small-zh-v1.5')
  await rm(join(dir, 'model.onnx'))
  expect(choose()).toBe('bge-small-zh-v1.5')
})

test('a hidden folder is one on its way, and does not count', async () => {
  await standIn('.bge-m3.partial')
  expect(choose()).toBe('bge-small-zh-v1.5')
})
