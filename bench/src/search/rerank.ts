import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ColbertVectors,
  colbertScore,
  type Engine,
  embedAll,
  type LocalManifest,
  normalize,
  openEngine,
  openTokenizer,
  readManifest,
  rerankAll,
  signScorer,
  signsOf,
} from '@millrace/embed'
import { feeds } from '@millrace/embed/feeds'
import { importModel } from '@millrace/models'
import { InferenceSession } from 'onnxruntime-node'
import { z } from 'zod'
import { best, race } from '../engine/race.js'
import { mean, spearman } from '../engine/spearman.js'
import { type Figure, figure } from '../figure.js'
import { ROOT, shared } from '../place.js'
import { inTemporary } from '../temporary.js'
import { makeReranker, makeTiny } from './rerankers.js'

const ENGLISH = 'all-minilm-l6-v2'
const CHINESE = 'bge-small-zh-v1.5'
const ROUNDS = 3
const TOPS = [20, 50]

/** What a query is reranked out of: questions, paragraphs, and which paragraph is right. */
interface Questions {
  readonly questions: readonly string[]
  readonly paragraphs: readonly string[]
  /** For each question, the place of its paragraph. */
  readonly right: readonly number[]
}

const line = z.object({ id: z.string(), text: z.string() })

async function readQuestions(name: string): Promise<Questions> {
  const read = async (file: string) =>
    (await readFile(shared('eval', 'retrieval', name, file), 'utf8'))
      .split('\n')
      .filter((text) => text !== '')
  const jsonl = async (file: string) => (await read(file)).map((text) => line.parse(JSON.parse(text)))
  const [questions, paragraphs] = [await jsonl('queries.jsonl'), await jsonl('corpus.jsonl')]
  const places = new Map(paragraphs.map(({ id }, place) => [id, place]))
  const wanted = new Map(
    (await read('qrels.tsv')).slice(1).map((text) => {
      const [question = '', paragraph = ''] = text.split('\t')
      return [question, places.get(paragraph) ?? -1]
    }),
  )
  return {
    questions: questions.map(({ text }) => text),
    paragraphs: paragraphs.map(({ text }) => text),
    right: questions.map(({ id }) => wanted.get(id) ?? -1),
  }
}

/** What reranking by a cross-encoder takes beside the query's own vector, and what the signs of token vectors lose. */
export async function benchRerank(): Promise<Figure[]> {
  const english = await readQuestions('xquad-a-en')
  const chinese = await readQuestions('xquad-a-zh')
  return inTemporary(async (modelsDir) => {
    await makeTiny(modelsDir, 'tiny')
    await makeReranker(modelsDir, 'minilm-size', ENGLISH)
    await makeReranker(modelsDir, 'bge-small-size', CHINESE)
    await importModel(await tinyM3(modelsDir), { id: 'tiny-bge-m3', modelsDir })
    // In a thread, so that its time on processors is this process's, whatever else the machine does.
    const engine = openEngine({ modelDirs: [modelsDir, join(ROOT, 'models')], isolation: 'thread' })
    try {
      return [
        ...(await crossEncoder(engine, 'tiny', 'random, 62 tokens', ENGLISH, english)),
        ...(await crossEncoder(engine, 'minilm-size', '6 layers of 384, int8-row', ENGLISH, english)),
        ...(await crossEncoder(engine, 'bge-small-size', '4 layers of 512, int8-row', CHINESE, chinese)),
        ...(await tinySigns(engine)),
        ...(await realSigns(english)),
      ]
    } finally {
      await engine.close()
    }
  })
}

async function crossEncoder(
  engine: Engine,
  model: string,
  what: string,
  embedder: string,
  { questions, paragraphs }: Questions,
): Promise<Figure[]> {
  const query = questions[0] ?? ''
  const top = (count: number) => () => rerankAll(engine, { model, query, texts: paragraphs.slice(0, count) })
  const embed = () => embedAll(engine, { model: embedder, texts: [query], kind: 'query' })
  const most = paragraphs.slice(0, Math.max(...TOPS))
  // As a query's: ahead of bulk work, one pass after the other.
  const embedAsMany = () =>
    embedAll(engine, { model: embedder, texts: most, kind: 'document', priority: 'interactive' })
  const scored = await rerankAll(engine, { model, query, texts: most })
  await embed()
  const sides = Object.fromEntries(TOPS.map((count) => [String(count), top(count)]))
  const laps = await race({ embed, embedAsMany, ...sides }, ROUNDS)
  const name = `cross-encoder, ${what}`
  return [
    figure(`${name}: tokens a pair`, mean(scored.map(({ tokens }) => tokens)), ''),
    ...TOPS.map((count) => figure(`${name}: top ${count}`, best(laps[String(count) as 'embed']), 'ms')),
    figure(`${name}: the query's vector by ${embedder}`, best(laps.embed), 'ms'),
    figure(
      `${name}: top 50 over the vectors of the same texts, time on processors`,
      best(laps['50' as 'embed'], 'cpuMs') / best(laps.embedAsMany, 'cpuMs'),
      'x',
    ),
  ]
}

/** Where every pair of texts has a score by exact vectors and by signs: the mean over queries of the rank correlation. */
function correlation(queries: readonly ColbertVectors[], documents: readonly ColbertVectors[]): number {
  const signs = documents.map(signsOf)
  return mean(
    queries.map((query) => {
      const score = signScorer(query)
      return spearman(
        documents.map((document) => colbertScore(query, document)),
        signs.map(score),
      )
    }),
  )
}

const referenceTexts = z.object({ texts: z.array(z.object({ text: z.string() })) })

/** bge-m3's files with 16 dims and random weights, with its tokenizer, as a folder to import. */
async function tinyM3(modelsDir: string): Promise<string> {
  const source = join(modelsDir, '.tiny-bge-m3-source')
  await cp(shared('models', 'tiny-bge-m3'), source, { recursive: true })
  await cp(shared('models', 'bge-m3', 'tokenizer.json'), join(source, 'tokenizer.json'))
  return source
}

async function tinySigns(engine: Engine): Promise<Figure[]> {
  const file = await readFile(shared('models', 'tiny-bge-m3', 'reference.json'), 'utf8')
  const texts = referenceTexts.parse(JSON.parse(file)).texts.map(({ text }) => text)
  const embedded = await embedAll(engine, {
    model: 'tiny-bge-m3',
    texts,
    kind: 'document',
    outputs: ['colbert'],
  })
  const vectors = embedded.flatMap(({ colbert }) => (colbert === undefined ? [] : [colbert]))
  return [
    figure(
      'colbert by signs, tiny-bge-m3 (16 dims, random): rank correlation',
      correlation(vectors, vectors),
      '',
    ),
    figure('colbert by signs, tiny-bge-m3 (16 dims): a token', 16 / 8, 'bytes'),
  ]
}

/**
 * Token vectors that mean something: all-minilm's own, which it makes for their mean and not for this. Each question
 * against all paragraphs of xquad.
 */
async function realSigns({ questions, paragraphs, right }: Questions): Promise<Figure[]> {
  const some = questions.filter((_, i) => i % 10 === 0)
  const wanted = right.filter((_, i) => i % 10 === 0)
  const tokens = await openTokens(ENGLISH)
  const [asked, documents] = [await tokens.embed(some), await tokens.embed(paragraphs)]
  await tokens.close()
  const signs = documents.map(signsOf)
  const exact = asked.map((query) => documents.map((document) => colbertScore(query, document)))
  const bySigns = asked.map((query) => signs.map(signScorer(query)))
  const [query] = asked
  const top = documents.slice(0, 50)
  const kept = signs.slice(0, 50)
  if (query === undefined) throw new TypeError('There are no questions')
  const laps = await race(
    {
      exact: async () => top.map((document) => colbertScore(query, document)),
      signs: async () => kept.map(signScorer(query)),
    },
    ROUNDS,
  )
  const name = 'colbert of all-minilm (384 dims) on xquad-a-en'
  return [
    figure(`${name}: rank correlation of signs`, correlation(asked, documents), ''),
    figure(`${name}: nDCG@10 by float32`, ndcg(exact, wanted), ''),
    figure(`${name}: nDCG@10 by signs`, ndcg(bySigns, wanted), ''),
    figure(`${name}: a token by float32`, documents[0] ? documents[0].dims * 4 : 0, 'bytes'),
    figure(`${name}: a token by signs`, documents[0] ? documents[0].dims / 8 : 0, 'bytes'),
    figure(
      `${name}: top 50 of ${Math.round(mean(top.map(({ count }) => count)))} tokens, float32`,
      best(laps.exact),
      'ms',
    ),
    figure(`${name}: the same by signs`, best(laps.signs), 'ms'),
  ]
}

/** One paragraph is right. */
const ndcg = (scores: readonly (readonly number[])[], right: readonly number[]): number =>
  mean(
    scores.map((row, i) => {
      const own = row[right[i] ?? -1] ?? Number.NEGATIVE_INFINITY
      const rank = 1 + row.filter((score) => score > own).length
      return rank > 10 ? 0 : 1 / Math.log2(1 + rank)
    }),
  )

/** The unit vectors of a model's tokens, one text at a time, its first token left out as colbert does. */
async function openTokens(model: string) {
  const dir = join(ROOT, 'models', model)
  const manifest = readManifest(dir)
  if (manifest.remote !== undefined) throw new TypeError(`${model} has no graph`)
  const { onnx, dims }: LocalManifest = manifest
  const tokenizer = await openTokenizer(dir)
  const session = await InferenceSession.create(join(dir, onnx.file))
  const { before, after } = tokenizer.special
  async function one(all: Int32Array): Promise<ColbertVectors> {
    const ids = all.subarray(0, manifest.tokensMax - before.length - after.length)
    const row = Int32Array.from([...before, ...ids, ...after])
    const output = (await session.run(feeds(manifest as LocalManifest, [row]), [onnx.output]))[onnx.output]
    if (!(output?.data instanceof Float32Array)) throw new TypeError(`${model} gave no vectors`)
    const values = output.data.slice(dims)
    const count = row.length - 1
    for (let token = 0; token < count; token++) normalize(values.subarray(token * dims, (token + 1) * dims))
    return { values, count, dims }
  }
  return {
    embed: async (texts: readonly string[]) => {
      const found: ColbertVectors[] = []
      for (const ids of await tokenizer.encode(texts)) found.push(await one(ids))
      return found
    },
    close: () => session.release(),
  }
}
