import { dot, openTokenizer, type Pooling, type Task, type Tokenizer } from '@millrace/embed'
import { pairWindows } from '@millrace/embed/pairs'
import { allFinite } from '@millrace/embed/pool'
import { CodedError, messageOf } from '@millrace/errors'
import { type Decided, otherTokenizer, type TokenPooling } from './decide.js'
import { type Given, type Graph, type GraphInputs, isOutOfTable, openGraph } from './graph.js'
import { inWords, outputOf, poolingThatGives, shapesOf, vectorOf } from './outputs.js'
import type { Source } from './source.js'

/** What running a graph a few times says of it. */
export interface Probed {
  readonly task: Task
  readonly inputs: GraphInputs
  readonly output: string
  readonly pooling: Pooling
  readonly poolingWhy: string
  readonly dims: number
  /** Whether a text has the same vector (a pair the same logit) alone and beside longer and shorter ones. */
  readonly isInvariant: boolean
  /** How nearly: the least cosine, or the largest difference of logits. */
  readonly invariance: string
}

/** Cosine from which two passes gave the same vector (design, decision 8). */
const INVARIANT = 0.99999
/** Difference up to which two passes gave the same logit: far above float32's own, far below what changes an order. */
const LOGIT_INVARIANT = 1e-3

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
    const shapes = shapesOf(outputs, rows.length, Math.max(...rows.map((row) => row.length)))
    const isReranker = shapes.tokens === undefined && shapes.text === undefined && shapes.score !== undefined
    const found = isReranker
      ? await score(graph, ids, tokenizer, shapes.score ?? '', source, wishes)
      : await choose(graph, outputs, rows, source, wishes)
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

/** One number a pair: whether it is there for pairs, and the same whatever shares the batch. */
async function score(
  graph: Graph,
  ids: readonly Int32Array[],
  tokenizer: Tokenizer,
  output: string,
  { dir }: Source,
  { tokensMax, asked }: ProbeWishes,
): Promise<Omit<Probed, 'inputs'>> {
  if (asked !== undefined) throw unfit('gives one number a text, and no vectors to pool')
  if (tokenizer.pair === undefined) {
    throw otherTokenizer(dir, 'it does not say how a query and a text are read together')
  }
  const [question = new Int32Array()] = ids
  const template = tokenizer.pair
  const pairs = ids.flatMap((text) =>
    pairWindows(question.subarray(0, 4), text, template, tokensMax.value).slice(0, 1),
  )
  const together = (await graph.run(pairs)).get(output)?.values
  let most = 0
  for (const [i, pair] of pairs.entries()) {
    const [alone = Number.NaN] = (await graph.run([pair])).get(output)?.values ?? []
    const difference = Math.abs(alone - (together?.[i] ?? Number.NaN))
    if (!Number.isFinite(difference)) throw unfit(`gives no usable numbers in ${output}`)
    most = Math.max(most, difference)
  }
  return {
    task: 'rerank',
    output,
    pooling: 'graph',
    poolingWhy: 'one number a pair of texts',
    dims: 1,
    isInvariant: most <= LOGIT_INVARIANT,
    invariance: `logits differ by ${most.toPrecision(2)}`,
  }
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
  const isInvariant = leastCosine >= INVARIANT
  const invariance = `cosine ${leastCosine.toFixed(5)}`
  return { task: 'embed', output: name, pooling, poolingWhy: why, dims, isInvariant, invariance }
}
