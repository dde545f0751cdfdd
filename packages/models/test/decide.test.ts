import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildGraph, DataType, encodeModel, makeExternal } from '@millrace/embed/onnx'
import { architectureOf, padIdOf, poolingOf, tokensMaxOf } from '@millrace/models/import/decide'
import { outputOf } from '@millrace/models/import/outputs'
import { scanGraph } from '@millrace/models/import/scan'
import type { Source } from '@millrace/models/import/source'
import { pauseMs, retryAfterMs } from '@millrace/models/pull/retry'
import { describe, expect, test } from 'vitest'

const source = (some: Partial<Source>): Source => ({
  dir: '/somewhere',
  config: {},
  pooling: undefined,
  poolingFile: '1_Pooling/config.json',
  modules: [],
  maxSeqLength: undefined,
  modelMaxLength: undefined,
  tokenizer: { largestId: 9, size: 10, padId: undefined, truncation: undefined },
  heads: {},
  files: [],
  ...some,
})

describe('how much a model reads', () => {
  const positions = (model_type: string, max_position_embeddings: number, pad_token_id?: number) =>
    tokensMaxOf(source({ config: { model_type, max_position_embeddings, pad_token_id }, maxSeqLength: 128 }))
      .value

  test('bert: its positions; max_seq_length is a convention', () => {
    expect(positions('bert', 512, 0)).toBe(512)
    expect(tokensMaxOf(source({ config: { max_position_embeddings: 512 }, maxSeqLength: 256 })).why).toBe(
      'max_position_embeddings 512; max_seq_length 256 not used',
    )
  })

  test('xlm-roberta and its relatives: less the pad id and 1', () => {
    expect(positions('xlm-roberta', 8_194, 1)).toBe(8_192)
    expect(positions('xlm-roberta', 514)).toBe(512)
    expect(positions('roberta', 514, 1)).toBe(512)
    expect(positions('mpnet', 514, 1)).toBe(512)
  })

  test('without positions: what the other files say, in this order', () => {
    expect(tokensMaxOf(source({ maxSeqLength: 256, modelMaxLength: 512 })).value).toBe(256)
    expect(tokensMaxOf(source({ modelMaxLength: 2_048 })).value).toBe(2_048)
    expect(tokensMaxOf(source({ modelMaxLength: 1e30 }))).toEqual({
      value: 512,
      why: 'no file says how many; longer texts are read in windows',
    })
  })
})

test('the architecture is one of those that are known, or other', () => {
  expect(['bert', 'xlm-roberta', 'roberta', undefined].map(architectureOf)).toEqual([
    'bert',
    'xlm-roberta',
    'other',
    'other',
  ])
})

test('the pad id is that of config.json, else of the tokenizer, else 0', () => {
  const tokenizer = { largestId: 9, size: 10, padId: 3, truncation: undefined }
  expect(padIdOf(source({ config: { pad_token_id: 1 }, tokenizer }))).toBe(1)
  expect(padIdOf(source({ config: { pad_token_id: null }, tokenizer }))).toBe(3)
  expect(padIdOf(source({}))).toBe(0)
})

test.each(['cls', 'mean', 'max'])('1_Pooling says %s, in the old words and in the new', (pooling) => {
  const key = `pooling_mode_${pooling}_${pooling === 'cls' ? 'token' : 'tokens'}`
  expect(poolingOf(source({ pooling: { [key]: true, pooling_mode_x: false } }))).toBe(pooling)
  expect(poolingOf(source({ pooling: { pooling_mode: pooling } }))).toBe(pooling)
})

describe('which output becomes the vector', () => {
  const both = { tokens: 't', text: 's' }
  const nothing = { asked: undefined, said: undefined, hasHeads: false }
  const choose = (
    shapes: Parameters<typeof outputOf>[0],
    wishes: Partial<Parameters<typeof outputOf>[1]> = {},
  ) => {
    const { name, pooling } = outputOf(shapes, { ...nothing, ...wishes }, () => 'mean', 'this and that')
    return `${name} ${pooling}`
  }

  test('what was asked for goes before 1_Pooling, and that before the graph', () => {
    expect(choose(both, { asked: 'max', said: 'cls' })).toBe('t max')
    expect(choose(both, { said: 'cls' })).toBe('t cls')
    expect(choose(both)).toBe('s graph')
  })

  test('a graph that gives texts only has pooled already, whatever 1_Pooling says', () => {
    expect(choose({ tokens: undefined, text: 's' }, { said: 'cls' })).toBe('s graph')
    expect(() => choose({ tokens: undefined, text: 's' }, { asked: 'cls' })).toThrow(
      /no vectors of tokens to pool/,
    )
  })

  test('heads need the tokens: what sentence_embedding does is found by trial', () => {
    expect(choose(both, { hasHeads: true })).toBe('t mean')
    expect(() => outputOf(both, { ...nothing, hasHeads: true }, () => undefined, '')).toThrow(
      expect.objectContaining({ code: 'NO_POOLING' }),
    )
  })

  test('tokens alone, and nobody says how', () => {
    expect(() => choose({ tokens: 't', text: undefined })).toThrow(
      expect.objectContaining({ code: 'NO_POOLING' }),
    )
  })
})

describe('a graph', () => {
  /** One with a tensor of a float in each of these files. */
  function graphWith(files: readonly string[], operator = 'Identity'): Uint8Array {
    const build = buildGraph('external')
    const tensors = files.map((location, i) =>
      build.tensor(makeExternal(`t${i}`, [1], DataType.FLOAT, { location, offset: 4 * i, length: 4 })),
    )
    const [first = build.constant('inside', [1], Float32Array.of(1))] = tensors
    build.output(build.node(operator, [first]), [1])
    return encodeModel(build.model())
  }

  async function scan(bytes: Uint8Array) {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-scan-'))
    try {
      await writeFile(join(dir, 'model.onnx'), bytes)
      return await scanGraph(join(dir, 'model.onnx'))
    } finally {
      await rm(dir, { recursive: true })
    }
  }

  test('names each file of external data once', async () => {
    const { externalData } = await scan(graphWith(['b/c.bin', 'a_data', 'b/c.bin']))
    expect(externalData).toEqual(['a_data', 'b/c.bin'])
    expect((await scan(graphWith([]))).externalData).toEqual([])
  })

  test('with data out of its folder is refused, by the name of the file', async () => {
    for (const name of ['../secret', '/etc/passwd', 'a/../../b']) {
      await expect(scan(graphWith([name]))).rejects.toMatchObject({
        code: 'INVALID_GRAPH',
        message: expect.stringContaining(`"${name}"`),
      })
    }
  })

  test('tells how it is quantized', async () => {
    expect([...(await scan(graphWith([], 'MatMulInteger'))).operators]).toEqual(['MatMulInteger'])
    expect([...(await scan(graphWith([]))).operators]).toEqual([])
  })
})

describe('pauses between tries', () => {
  test('double up to 30 s, the later half by chance', () => {
    expect([1, 2, 3, 7, 20].map((failures) => pauseMs(failures, 0))).toEqual([
      250, 500, 1_000, 15_000, 15_000,
    ])
    expect([1, 2, 3, 7, 20].map((failures) => pauseMs(failures, 1))).toEqual([
      500, 1_000, 2_000, 30_000, 30_000,
    ])
  })

  test('are at least what the server asks for, in seconds or until a date', () => {
    expect(pauseMs(1, 0.5, 9_000)).toBe(9_000)
    expect(retryAfterMs('120', 0)).toBe(120_000)
    expect(retryAfterMs('Tue, 01 Jan 2030 00:00:10 GMT', Date.UTC(2030, 0, 1))).toBe(10_000)
    expect(retryAfterMs('Tue, 01 Jan 2030 00:00:10 GMT', Date.UTC(2031, 0, 1))).toBe(0)
    expect(retryAfterMs('soon', 0)).toBeUndefined()
    expect(retryAfterMs(null, 0)).toBeUndefined()
  })
})
