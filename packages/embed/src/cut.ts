import {
  DataType,
  type GraphProto,
  indexGraph,
  makeNode,
  makeTensor,
  makeValueInfo,
  type NodeProto,
  prune,
} from './onnx/index.js'

const FIRST = 'first_token'

/**
 * Leaves out of a graph's last layer what only the vectors of tokens other than the first need: their queries, what
 * attention gives for them, and the linear layers behind it. Keys and values of all tokens stay. In place; the
 * output is [rows, 1, dims] afterwards.
 *
 * The way leads back from the output, along the left sides of attention's two products: from its result over the
 * scores to the queries. Where it meets a value that keys or values are made from too, the first token is taken.
 * @returns whether there was such a layer; whether it was one is seen by what the graph gives then
 */
export function cutToFirst(graph: GraphProto, output: string): boolean {
  const { producers, initializers } = indexGraph(graph)
  const variablesOf = (name: string): string[] =>
    producers
      .get(name)
      ?.input.filter(
        (input) => input !== '' && !initializers.has(input) && producers.get(input)?.opType !== 'Constant',
      ) ?? []
  /** Names and all that they are made from; `stop`: the way does not go beyond these. */
  const backFrom = (names: readonly string[], stop: ReadonlySet<string> = new Set()): Set<string> => {
    const found = new Set(names)
    for (const name of found) if (!stop.has(name)) for (const input of variablesOf(name)) found.add(input)
    return found
  }
  /** The nearest product of two values that both come from the text. */
  const productBefore = (name: string): NodeProto | undefined => {
    for (const found of backFrom([name])) {
      const node = producers.get(found)
      if (node?.opType === 'MatMul' && variablesOf(found).length === 2) return node
    }
    return undefined
  }

  const mixed = productBefore(output)
  const scores = mixed && productBefore(mixed.input[0] ?? '')
  const [, values] = mixed?.input ?? []
  const [queries, keys] = scores?.input ?? []
  const result = mixed?.output[0]
  if (!values || !queries || !keys || !result) return false

  const whole = backFrom([keys, values])
  // Scores, masks and weights between the two products are not touched: they have fewer rows by themselves.
  const way = new Set([...backFrom([output], new Set([...whole, result])), ...backFrom([queries], whole)])
  const cut = new Set([...way].filter((name) => whole.has(name)))
  for (const name of way) {
    const node = whole.has(name) || name === result ? undefined : producers.get(name)
    if (node !== undefined) node.input = node.input.map((input) => (cut.has(input) ? first(input) : input))
  }
  graph.initializer.push(makeTensor(FIRST, [1], BigInt64Array.of(0n)))
  graph.node = graph.node.flatMap((node) => [
    node,
    ...node.output
      .filter((name) => cut.has(name))
      .map((name) => makeNode('Gather', [name, FIRST], [first(name)], { attributes: { axis: 1 } })),
  ])
  graph.output = [makeValueInfo(output, DataType.FLOAT)]
  prune(graph)
  return cut.size > 0
}

const first = (name: string): string => `${name}_${FIRST}`
