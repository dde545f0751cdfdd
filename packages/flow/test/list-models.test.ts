import { join } from 'node:path'
import { readManifest } from '@millrace/embed'
import { listModels } from '@millrace/flow'
import { expect, test } from 'vitest'
import { MODELS_DIR } from '../../embed/test/models.js'

const minilm = readManifest(join(MODELS_DIR, 'all-minilm-l6-v2'))
const [only] = minilm.levels.slice(-1)
if (only === undefined) throw new Error('there is no level')

test('a reranker is one, a model of one level has no threshold, one without a licence none', () => {
  const models = [
    minilm,
    { ...minilm, id: 'a-judge', task: 'rerank' as const, outputs: [], levels: [only], licence: 'unknown' },
  ]
  const listed = listModels({
    engine: { models: () => models, state: () => 'absent', memory: () => null },
  })
  expect(listed.map(({ id }) => id)).toEqual(['a-judge', 'all-minilm-l6-v2'])
  expect(listed[0]).toMatchObject({ reranker: true, outputs: [], threshold: null, license: null })
  expect(listed[1]).toMatchObject({ reranker: false, threshold: 0.4, memoryBytes: null })
})
