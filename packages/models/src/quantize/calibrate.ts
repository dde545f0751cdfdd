import { create } from '@bufbuild/protobuf'
import { DataType, encodeModel, makeNode, makeTensor, makeValueInfo } from '@millrace/embed/onnx'
import { GraphSchema, ModelSchema } from '@millrace/embed/onnx/schema'
import type { Plan } from './plan.js'
import { AXES_AS_INPUT } from './rewrite.js'
import type { Runner } from './session.js'

/**
 * The bytes of the float graph with more outputs: of each group's input the largest absolute value of each channel.
 * Two messages of protobuf, one after the other, are one message with the lists of both
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so the graph is not written again: what it
 * lacks is put behind it.
 */
export function withMaxima(graph: Uint8Array, { groups }: Plan, opset: number): Uint8Array {
  const addition = create(ModelSchema, {
    graph: create(GraphSchema, {
      node: groups.flatMap(({ input }, g) => [
        // Whatever comes before the channels (texts, tokens) becomes one axis.
        makeNode('Reshape', [input, shapeName(g)], [`${maximaName(g)}.flat`]),
        makeNode('Abs', [`${maximaName(g)}.flat`], [`${maximaName(g)}.abs`]),
        opset < AXES_AS_INPUT
          ? makeNode('ReduceMax', [`${maximaName(g)}.abs`], [maximaName(g)], {
              attributes: { axes: [0], keepdims: 0 },
            })
          : makeNode('ReduceMax', [`${maximaName(g)}.abs`, AXIS], [maximaName(g)], {
              attributes: { keepdims: 0 },
            }),
      ]),
      initializer: [
        ...(opset < AXES_AS_INPUT ? [] : [makeTensor(AXIS, [1], BigInt64Array.of(0n))]),
        ...groups.map(({ k }, g) => makeTensor(shapeName(g), [2], BigInt64Array.of(-1n, BigInt(k)))),
      ],
      output: groups.map(({ k }, g) => makeValueInfo(maximaName(g), DataType.FLOAT, [k])),
    }),
  })
  return Buffer.concat([graph, encodeModel(addition)])
}

const maximaName = (group: number): string => `maxima.${group}`
const shapeName = (group: number): string => `maxima.${group}.shape`
const AXIS = 'maxima.axis'

/**
 * Runs texts through the graph with maxima, one at a time: a padded row would count its padding.
 * @param onText after each text
 * @returns of each group's input, by name, the largest absolute value of each channel over all texts
 */
export async function calibrate(
  runner: Runner,
  { groups }: Plan,
  rows: readonly Int32Array[],
  onText: (done: number) => void,
): Promise<Map<string, Float32Array>> {
  const maxima = groups.map(({ k }) => new Float32Array(k))
  const names = groups.map((_, g) => maximaName(g))
  for (const [i, row] of rows.entries()) {
    const outputs = await runner.run([row], names)
    for (const [g, { values }] of outputs.entries()) raise(maxima[g], values)
    onText(i + 1)
  }
  return new Map(groups.map(({ input, k }, g) => [input, maxima[g] ?? new Float32Array(k)]))
}

function raise(maxima: Float32Array | undefined, values: Float32Array): void {
  maxima?.forEach((most, i) => {
    maxima[i] = Math.max(most, values[i] ?? 0)
  })
}
