import type { GraphProto, NodeProto, TensorProto } from './schema.js'

/** Who makes a value and who takes it, by name. A snapshot: after an edit, make another one. */
export interface GraphIndex {
  readonly initializers: ReadonlyMap<string, TensorProto>
  /** The node that has a value among its outputs. */
  readonly producers: ReadonlyMap<string, NodeProto>
  /** The nodes that have a value among their inputs, or anywhere in a graph that is their attribute. */
  readonly consumers: ReadonlyMap<string, readonly NodeProto[]>
  /** Names of the graph's outputs. */
  readonly outputs: ReadonlySet<string>
}

export function indexGraph(graph: GraphProto): GraphIndex {
  const producers = new Map<string, NodeProto>()
  const consumers = new Map<string, NodeProto[]>()
  for (const node of graph.node) {
    for (const name of node.output) if (name !== '') producers.set(name, node)
    for (const name of takenBy(node)) consumers.set(name, [...(consumers.get(name) ?? []), node])
  }
  return {
    initializers: new Map(graph.initializer.map((tensor) => [tensor.name, tensor])),
    producers,
    consumers,
    outputs: new Set(graph.output.map(({ name }) => name)),
  }
}

/** Names of the values that a node reads, within its subgraphs too. */
function takenBy(node: NodeProto): Set<string> {
  const names = new Set(node.input.filter((name) => name !== ''))
  for (const { g, graphs } of node.attribute) {
    for (const graph of g === undefined ? graphs : [g, ...graphs]) {
      for (const inner of graph.node) for (const name of takenBy(inner)) names.add(name)
      for (const { name } of graph.output) names.add(name)
    }
  }
  return names
}

/**
 * Puts nodes in the place of others, all at once, in place: onnxruntime asks for an order in which a value is made
 * before it is taken, so the new ones stand where the old one stood.
 * @param replacements none (an empty list) removes the node
 */
export function replaceNodes(
  graph: GraphProto,
  replacements: ReadonlyMap<NodeProto, readonly NodeProto[]>,
): void {
  graph.node = graph.node.flatMap((node) => replacements.get(node) ?? [node])
}

/** Adds tensors, in place; one that has the name of another takes its place. */
export function setInitializers(graph: GraphProto, tensors: readonly TensorProto[]): void {
  const added = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const kept = graph.initializer.map((tensor) => {
    const other = added.get(tensor.name)
    added.delete(tensor.name)
    return other ?? tensor
  })
  graph.initializer = [...kept, ...added.values()]
}

/**
 * Removes, in place, what no output needs: nodes first, then initializers, then the types noted of values that are gone.
 * Graph inputs stay, even where older exporters list initializers among them, unless that initializer went.
 */
export function prune(graph: GraphProto): void {
  const { producers, initializers } = indexGraph(graph)
  const needed = new Set<string>()
  const open = graph.output.map(({ name }) => name)
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (needed.has(name)) continue
    needed.add(name)
    const producer = producers.get(name)
    if (producer !== undefined) open.push(...takenBy(producer))
  }
  graph.node = graph.node.filter(({ output }) => output.some((name) => needed.has(name)))
  graph.initializer = graph.initializer.filter(({ name }) => needed.has(name))
  graph.input = graph.input.filter(({ name }) => needed.has(name) || !initializers.has(name))
  const made = new Set(graph.node.flatMap(({ output }) => output))
  graph.valueInfo = graph.valueInfo.filter(({ name }) => made.has(name))
}
