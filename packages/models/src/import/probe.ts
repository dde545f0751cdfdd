import { dot, openTokenizer, type Pooling, type Tokenizer } from '@millrace/embed'
import { allFinite } from '@millrace/embed/pool'
import { CodedError, messageOf } from '@millrace/errors'
import { type Decided, otherTokenizer, type TokenPooling } from './decide.js'
import { type Given, type Graph, type GraphInputs, isOutOfTable, openGraph } from './graph.js'
import { inWords, outputOf, poolingThatGives, shapesOf, vectorOf } from './outputs.js'
import type { Source } from './source.js'

/** What running a graph a few times says of it. */
export interface Probed {
  readonly inputs: GraphInputs
  readonly output: string
  readonly pooling: Pooling
  readonly poolingWhy: string
  readonly dims: number
  /** Least cosine between a text alone and the same text beside longer and shorter ones. */
  readonly leastCosine: number
}

export interface ProbeWishes {
  readonly graph: string
  readonly padId: number
  readonly tokensMax: Decided<number>
  readonly asked: TokenPooling | undefined
  readonly said: TokenPooling | undefined
}

/** Of different lengths, so that short ones are padded. */
const TEXTS = [
  'How do I reset my password when I no longer have access to the address I signed up with?',
  '我忘记了密码，怎么办？',
  'Yes, please',
]
/** Up to here the limit itself is tried; above, the pass would take gigabytes. */
const TRIED_TOKENS_MAX = 1_024

/**
 * Runs a model's graph on a few texts in this process: what it takes and gives, and whether it fits its tokenizer
 * and its limit.
 * @param dir where the files are; external data must not be symbolic links
 * @throws CodedError INVALID_GRAPH, INVALID_TOKENIZER, OTHER_TOKENIZER, NO_POOLING
 */
export async function probe(dir: string, source: Source, wishes: ProbeWishes): Promise<Probed> {
  const tokenizer = await openTokenizer(dir)
  const graph = await openGraph(dir, wishes.graph, wishes.padId)
  try {
    const run = (rows: readonly Int32Array[], what: string) =>
      graph.run(rows).catch((error: unknown) => {
        if (isOutOfTable(error)) throw otherTokenizer(source.dir, `the graph has no token of ${what}`, error)
        throw unfit(`fails on ${what}: ${messageOf(error)}`, error)
      })
    const { largestId } = source.tokenizer
    await run([framed(tokenizer, [largestId])], `id ${largestId}, its largest`)
    const ids = await tokenizer.encode(TEXTS)
    const room = wishes.tokensMax.value - specialCount(tokenizer)
    const rows = ids.map((row) => framed(tokenizer, row.subarray(0, room)))
    const outputs = await run(rows, 'a few texts')
    const found = await choose(graph, outputs, rows, source, wishes)
    await tryLimit(graph, tokenizer, ids, wishes.tokensMax)
    return { inputs: graph.inputs, ...found }
  } finally {
    await graph.close()
  }
}

const specialCount = ({ special }: Tokenizer): number => special.before.length + special.after.length

const framed = ({ special }: Tokenizer, ids: ArrayLike<number>): Int32Array =>
  Int32Array.from([...special.before, ...Array.from(ids), ...special.after])

const unfit = (why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `The graph ${why}`, {
    hint: 'Check that graph, config.json and tokenizer.json are of one model',
    cause,
  })

/** A text as long as the model is said to read: families count their positions differently. */
async function tryLimit(
  graph: Graph,
  tokenizer: Tokenizer,
  ids: readonly Int32Array[],
  { value, why }: Decided<number>,
): Promise<void> {
  if (value > TRIED_TOKENS_MAX) return
  const words = ids.flatMap((row) => Array.from(row))
  const length = value - specialCount(tokenizer)
  const inner = Array.from({ length }, (_, i) => words[i % words.length] ?? 0)
  await graph.run([framed(tokenizer, inner)]).catch((error: unknown) => {
    throw unfit(`does not take the ${value} tokens that it should (${why}): ${messageOf(error)}`, error)
  })
}

async function choose(
  graph: Graph,
  outputs: ReadonlyMap<string, Given>,
  rows: readonly Int32Array[],
  { config, heads }: Source,
  { asked, said }: ProbeWishes,
): Promise<Omit<Probed, 'inputs'>> {
  const lengths = rows.map((row) => row.length)
  const shapes = shapesOf(outputs, rows.length, Math.max(...lengths))
  const givenBy = (name: string | undefined) => (name === undefined ? undefined : outputs.get(name))
  const [tokens, texts] = [givenBy(shapes.tokens), givenBy(shapes.text)]
  const poolingSeen = () =>
    tokens === undefined || texts === undefined ? undefined : poolingThatGives(tokens, texts, lengths)
  const hasHeads = Object.keys(heads).length > 0
  const { name, pooling, why } = outputOf(shapes, { asked, said, hasHeads }, poolingSeen, inWords(outputs))
  const given = outputs.get(name)
  const dims = given?.dims.at(-1) ?? 0
  if (given === undefined || dims === 0) throw unfit(`gives ${inWords(outputs)}`)
  if (name === shapes.tokens && config.hidden_size !== undefined && config.hidden_size !== dims) {
    throw unfit(`gives vectors of ${dims} dims, config.json says hidden_size ${config.hidden_size}`)
  }
  let leastCosine = 1
  for (const [i, row] of rows.entries()) {
    const together = vectorOf(given, i, row.length, dims, pooling)
    const alone = (await graph.run([row])).get(name)
    if (alone === undefined || !allFinite(together)) throw unfit(`gives no usable numbers in ${name}`)
    leastCosine = Math.min(leastCosine, dot(together, vectorOf(alone, 0, row.length, dims, pooling)))
  }
  return { output: name, pooling, poolingWhy: why, dims, leastCosine }
}
