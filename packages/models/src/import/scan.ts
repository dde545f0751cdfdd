import { readModel, type TensorProto } from '@millrace/embed/onnx'
import { CodedError } from '@millrace/errors'

/** What an ONNX file tells without being run. */
export interface Scan {
  /** Names of the files that hold its tensors, relative to the graph's folder, each once. */
  readonly externalData: readonly string[]
  /** Which of `OPERATORS` occur in it. */
  readonly operators: ReadonlySet<Operator>
}

/** Operators that say how a graph is quantized. */
const OPERATORS = ['DynamicQuantizeLinear', 'MatMulInteger', 'QLinearMatMul', 'MatMulNBits'] as const
export type Operator = (typeof OPERATORS)[number]

/**
 * Reads an ONNX file; it is run afterwards, so its size is no news to this process.
 * @throws CodedError INVALID_GRAPH when it is none, or names a file that is not below its folder
 */
export async function scanGraph(path: string): Promise<Scan> {
  const { graph } = await readModel(path)
  const externalData = new Set(graph.initializer.flatMap(locationOf))
  const operators = new Set(
    OPERATORS.filter((operator) => graph.node.some(({ opType }) => opType === operator)),
  )
  for (const name of externalData) {
    if (!/^[\w.-]+(\/[\w.-]+)*$/.test(name) || name.split('/').includes('..')) {
      throw new CodedError('INVALID_GRAPH', `${path} wants its tensors from "${name}"`, {
        hint: 'External data must be below the folder of the graph, in names of letters, digits, . _ and -',
      })
    }
  }
  return { externalData: [...externalData].sort(), operators }
}

const locationOf = ({ dataLocation, externalData }: TensorProto): string[] =>
  dataLocation === 1 ? externalData.flatMap(({ key, value }) => (key === 'location' ? [value] : [])) : []
