import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalManifest, normalize, openTokenizer } from '@millrace/embed'
import { cutToFirst } from '@millrace/embed/cut'
import { feeds } from '@millrace/embed/feeds'
import { openFirst } from '@millrace/embed/first'
import { buildGraph, encodeModel, readModel } from '@millrace/embed/onnx'
import { sessionOptions } from '@millrace/embed/session'
import { InferenceSession } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BGE_ZH, localManifest, MINILM, MODELS_DIR } from './models.js'

const options = sessionOptions({ threads: 1, provider: 'cpu' })
const TEXTS = [
  '你好',
  '如何重置密码？',
  `${'向量数据库可以按意思查找文本。'.repeat(8)}`,
  '今天天气很好，我们去公园吧。',
]

describe('the last layer for the first token alone', () => {
  const dir = join(MODELS_DIR, BGE_ZH)
  const manifest = localManifest(dir)
  const path = join(dir, manifest.onnx.file)
  const sessions: InferenceSession[] = []
  let rows: Int32Array[]
  beforeAll(async () => {
    const tokenizer = await openTokenizer(dir)
    const { before, after } = tokenizer.special
    rows = (await tokenizer.encode(TEXTS)).map((ids) => Int32Array.from([...before, ...ids, ...after]))
    sessions.push(await InferenceSession.create(path, options))
  })
  afterAll(async () => {
    for (const session of sessions) await session.release()
  })

  test('gives the vectors of the whole graph, alone and in a batch', async () => {
    const session = await openFirst(path, manifest, options)
    sessions.push(session)
    const [whole] = sessions
    const all = await firsts(whole, manifest, rows)
    const cut = await firsts(session, manifest, rows)
    expect(cut.dims).toEqual([TEXTS.length, 1, manifest.dims])
    for (const [i, row] of rows.entries()) {
      const alone = await firsts(session, manifest, [row])
      expect(largestDifference(cut.vectors[i], all.vectors[i])).toBeLessThan(1e-5)
      expect(largestDifference(alone.vectors[0], all.vectors[i])).toBeLessThan(1e-3)
    }
  })

  test('the result has fewer nodes of the last layer to run, and the mask as it was', async () => {
    const model = await readModel(path)
    expect(cutToFirst(model.graph, manifest.onnx.output)).toBe(true)
    const gathered = model.graph.node.filter(({ output }) => output[0]?.endsWith('_first_token'))
    // The layer's input, for the sum around attention, and its 8-bit form with its scales, for the queries.
    expect(
      gathered.map(({ input }) => input[0]?.includes('layer.2/output') || input[0]?.includes('rq')),
    ).toEqual([true, true, true])
  })

  test('a model that needs all tokens is left as it is', async () => {
    const other = join(MODELS_DIR, MINILM)
    const mean = localManifest(other)
    const session = await openFirst(join(other, mean.onnx.file), mean, options)
    sessions.push(session)
    expect((await firsts(session, mean, [Int32Array.of(101, 7592, 102)])).dims).toEqual([1, 3, mean.dims])
    const all: LocalManifest = { ...manifest, outputs: ['dense', 'sparse'] }
    const kept = await openFirst(path, all, options)
    sessions.push(kept)
    expect((await firsts(kept, all, rows)).dims[1]).toBe(Math.max(...rows.map(({ length }) => length)))
  })

  test('a graph without attention is left as it is', () => {
    const build = buildGraph('none')
    build.output(build.node('Relu', [build.input('x', ['rows', 'tokens', 4])], {}, 'y'), [
      'rows',
      'tokens',
      4,
    ])
    const { graph } = build.model()
    const before = graph.node.length
    expect(cutToFirst(graph, 'y')).toBe(false)
    expect(cutToFirst(graph, 'nowhere')).toBe(false)
    expect(graph.node.length).toBe(before)
  })

  test('a graph that gives something else once it is cut is used whole', async () => {
    // Tokens are mixed after attention: what the first one gets depends on all of them.
    const build = buildGraph('mixed')
    const ids = build.input('ids', ['rows', 'tokens'], 7)
    const mask = build.input('mask', ['rows', 'tokens'], 7)
    const table = build.constant(
      'table',
      [100, 4],
      Float32Array.from({ length: 400 }, (_, i) => Math.sin(i)),
    )
    const x = build.node('Gather', [table, ids])
    const scores = build.node('MatMul', [
      build.node('Relu', [x]),
      build.node('Transpose', [x], { perm: [0, 2, 1] }),
    ])
    const mixed = build.node('MatMul', [
      build.node('Softmax', [scores], { axis: -1 }),
      build.node('Abs', [x]),
    ])
    const twice = build.node('ReduceMean', [mixed], { axes: [1], keepdims: 1 })
    const float = build.node('Unsqueeze', [
      build.node('Cast', [mask], { to: 1 }),
      build.constant('axis', [1], BigInt64Array.of(2n)),
    ])
    build.output(build.node('Mul', [build.node('Add', [mixed, twice]), float], {}, 'y'), [
      'rows',
      'tokens',
      4,
    ])
    const folder = await mkdtemp(join(tmpdir(), 'millrace-cut-'))
    try {
      const file = join(folder, 'model.onnx')
      await writeFile(file, encodeModel(build.model()))
      const small: LocalManifest = {
        ...manifest,
        dims: 4,
        onnx: { file: 'model.onnx', inputs: { ids: 'ids', mask: 'mask', types: null }, output: 'y' },
      }
      const session = await openFirst(file, small, options)
      sessions.push(session)
      expect((await firsts(session, small, [Int32Array.of(1, 2, 3)])).dims).toEqual([1, 3, 4])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

async function firsts(
  session: InferenceSession | undefined,
  manifest: LocalManifest,
  rows: readonly Int32Array[],
) {
  const outputs = await session?.run(feeds(manifest, rows))
  const output = outputs?.[manifest.onnx.output]
  if (!(output?.data instanceof Float32Array)) throw new Error('There is no output')
  const values = output.data
  const size = values.length / rows.length
  return {
    dims: output.dims,
    vectors: rows.map((_, i) => normalize(values.slice(i * size, i * size + manifest.dims))),
  }
}

function largestDifference(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (a === undefined || a.length !== b?.length) return Number.POSITIVE_INFINITY
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))))
}
