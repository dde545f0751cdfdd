import { buildGraph, DataType, decodeModel, encodeModel } from '@millrace/embed/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'

test('a small head: a linear layer and relu over the hidden states of a text', async () => {
  const build = buildGraph('head')
  const hidden = build.input('hidden', ['batch', 'tokens', 3])
  const weight = build.constant('weight', [3, 2], Float32Array.of(1, 0, 0, 1, 0, -1))
  const bias = build.constant('bias', [2], Float32Array.of(0.5, 0))
  const product = build.node('MatMul', [hidden, weight])
  build.output(build.node('Relu', [build.node('Add', [product, bias])], {}, 'weights'), [
    'batch',
    'tokens',
    2,
  ])
  const session = await InferenceSession.create(encodeModel(build.model()))
  const { weights } = await session.run({
    hidden: new Tensor('float32', Float32Array.of(1, 2, 3, -1, -2, -3), [1, 2, 3]),
  })
  await session.release()
  expect(weights?.dims).toEqual([1, 2, 2])
  expect(weights?.data).toEqual(Float32Array.of(1.5, 0, 0, 1))
})

test('attributes of every kind, an optional input left out, and integers', async () => {
  const build = buildGraph('attributes')
  const x = build.input('x', [2, 3], DataType.INT64)
  const floats = build.node('Cast', [x], { to: DataType.FLOAT })
  const clipped = build.node('Clip', [floats, '', build.constant('most', [], Float32Array.of(4))])
  const elu = build.node('Elu', [clipped], { alpha: { float: 0.5 } })
  const sum = build.node('ReduceMax', [elu], { axes: [-1], keepdims: 0 })
  build.output(build.node('Cast', [sum], { to: DataType.INT64 }, 'y'), [2], DataType.INT64)
  const model = decodeModel(encodeModel(build.model()))
  expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Cast', 'Clip', 'Elu', 'ReduceMax', 'Cast'])
  const session = await InferenceSession.create(encodeModel(model))
  const { y } = await session.run({
    x: new Tensor('int64', BigInt64Array.of(1n, 9n, 2n, 3n, 0n, 2n), [2, 3]),
  })
  await session.release()
  expect(y?.data).toEqual(BigInt64Array.of(4n, 3n))
})

test('values that do not fill the dims are refused', () => {
  expect(() => buildGraph('wrong').constant('c', [2, 2], Float32Array.of(1, 2, 3))).toThrow(RangeError)
})
