import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  decodeModel,
  encodeModel,
  externalOf,
  indexGraph,
  makeNode,
  openTensorData,
  opsetOf,
  prune,
  readModel,
  replaceNodes,
} from '@millrace/embed/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { MINILM, MODELS_DIR, sharedFile } from '../models.js'

const MINILM_FILE = join(MODELS_DIR, MINILM, 'model.onnx')
const TOKENS = 7

/** The hidden states of seven tokens. */
async function hiddenOf(model: Uint8Array, output = 'last_hidden_state'): Promise<Float32Array> {
  const session = await InferenceSession.create(model)
  const tensor = (value: (at: number) => bigint) =>
    new Tensor(
      'int64',
      BigInt64Array.from({ length: TOKENS }, (_, at) => value(at)),
      [1, TOKENS],
    )
  const outputs = await session.run({
    input_ids: tensor((at) => BigInt(1_000 + 13 * at)),
    attention_mask: tensor(() => 1n),
    token_type_ids: tensor(() => 0n),
  })
  await session.release()
  const values = outputs[output]?.data
  if (!(values instanceof Float32Array)) throw new TypeError(`${output} is not float32`)
  return values
}

test('a model that was read and written again is the same to onnxruntime', async () => {
  const bytes = await readFile(MINILM_FILE)
  const again = encodeModel(decodeModel(bytes))
  expect(again.length).toBe(bytes.length)
  expect(await hiddenOf(again)).toEqual(await hiddenOf(bytes))
})

test('it says what the graph takes, gives and holds', async () => {
  const model = await readModel(MINILM_FILE)
  expect(model.graph.input.map(({ name }) => name)).toEqual(['input_ids', 'attention_mask', 'token_type_ids'])
  expect(model.graph.output.map(({ name }) => name)).toEqual(['last_hidden_state'])
  expect(opsetOf(model)).toBe(17)
  const { initializers, consumers } = indexGraph(model.graph)
  expect(initializers.get('m.embeddings.word_embeddings.weight_i8')?.dims).toEqual([30_522n, 384n])
  expect(consumers.get('input_ids')?.map(({ opType }) => opType)).toEqual(['Shape', 'Gather', 'Gather'])
})

test('nodes are put in the place of others, and what nobody needs any more goes', async () => {
  const model = await readModel(MINILM_FILE)
  const { graph } = model
  const before = graph.initializer.length
  const last = indexGraph(graph).producers.get('last_hidden_state')
  const [input = ''] = last?.input ?? []
  if (last === undefined) throw new Error('the graph has no last node')
  // Zeros in place of the last layer norm: everything before it is dead but for what gives the shape.
  replaceNodes(graph, new Map([[last, [makeNode('Sub', [input, input], last.output)]]]))
  prune(graph)
  expect(graph.initializer.length).toBe(before - 2)
  const values = await hiddenOf(encodeModel(model))
  expect(values.every((value) => value === 0)).toBe(true)
})

const tiny = sharedFile('models/tiny-bge-m3/onnx/model.onnx', 'the graph with external data')
test.skipIf(tiny === undefined)('external data is read in slices, from the folder alone', async () => {
  const path = tiny ?? ''
  const { graph } = await readModel(path)
  const table = graph.initializer.find(({ name }) => name === 'm.embeddings.word_embeddings.weight')
  if (table === undefined) throw new Error('the graph has no word embeddings')
  expect(externalOf(table)).toEqual({ location: 'model.onnx_data', offset: 0, length: 16_000_128 })
  const data = openTensorData(join(path, '..'))
  const whole = await readFile(`${path}_data`)
  expect(Buffer.compare(await data.read(table, 64, 192), whole.subarray(64, 192))).toBe(0)
  const location = table.externalData.find(({ key }) => key === 'location')
  if (location === undefined) throw new Error('it has no location')
  location.value = '../../bge-m3/config.json'
  await expect(data.read(table)).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
  location.value = 'gone.onnx_data'
  await expect(data.read(table)).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
  await data.close()
})

test('bytes that are no model are refused', async () => {
  expect(() => decodeModel(new TextEncoder().encode('not a model'))).toThrow(/no ONNX model/)
  expect(() => decodeModel(new Uint8Array())).toThrow(/no graph/)
  const bytes = await readFile(MINILM_FILE)
  expect(() => decodeModel(bytes.subarray(0, bytes.length >> 1))).toThrow(/no ONNX model/)
  await expect(readModel(join(MODELS_DIR, 'none.onnx'))).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
})
