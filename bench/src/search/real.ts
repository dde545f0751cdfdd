import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { embedAll, openEngine, openTokenizer } from '@millrace/embed'
import { CLEANING_DEFAULTS, chunk, clean } from '@millrace/text'
import { parseCsvLine } from '../csv.js'
import type { Language } from '../engine/texts.js'
import { ROOT, shared } from '../place.js'
import { readSts } from '../sts.js'

/** Unit vectors of different texts, one after the other, and which of them were questions. */
export interface RealVectors {
  readonly dims: number
  readonly vectors: readonly Float32Array[]
}

const CHUNK_TOKENS = 128
const BATCH = 2_000

/**
 * `count` different texts of a language: documentation in chunks of 128 tokens, paragraphs, sentences of STS-B,
 * customers' questions; in an order of no meaning that is the same in every run.
 */
export async function readTexts(model: string, language: Language, count: number): Promise<string[]> {
  const other = language === 'en' ? ['cranfield-en', 'xquad-a-en'] : ['cmrc2018-trial-zh', 'xquad-a-zh']
  const sts = await readSts(language)
  const first = [
    ...(await readChunks(model, language)),
    ...(await Promise.all(other.map(readParagraphs))).flat(),
    ...sts.flatMap(({ a, b }) => [a, b]),
  ]
  const texts = [...new Set([...first, ...(await readBanking())])].filter((text) => text.trim() !== '')
  return shuffled(texts.slice(0, count))
}

async function readChunks(model: string, language: Language): Promise<string[]> {
  const tokenizer = await openTokenizer(join(ROOT, 'models', model))
  const folder = shared('eval', 'corpus', 'apisix-docs', language)
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.md')).sort()
  const chunks: string[] = []
  for (const file of files) {
    const { text } = clean(await readFile(join(folder, file), 'utf8'), CLEANING_DEFAULTS)
    const options = { kind: 'structure', size: CHUNK_TOKENS, overlap: 0 } as const
    const cut = await chunk({
      text,
      options,
      count: (texts) => tokenizer.count(texts),
      context: async (paths) => paths.map(() => ''),
    })
    chunks.push(...cut.map((piece) => piece.text))
  }
  return chunks
}

async function readParagraphs(name: string): Promise<string[]> {
  const lines = (await readFile(shared('eval', 'retrieval', name, 'corpus.jsonl'), 'utf8')).split('\n')
  return lines.filter((line) => line !== '').map((line): string => JSON.parse(line).text)
}

async function readBanking(): Promise<string[]> {
  const csv = await readFile(shared('eval', 'intents', 'banking77-train.csv'), 'utf8')
  return csv
    .split('\n')
    .slice(1)
    .map((line) => parseCsvLine(line)[0] ?? '')
}

/** Fisher and Yates, with a linear congruential generator (Numerical Recipes' constants). */
export function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items]
  let state = 1
  for (let i = order.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const j = state % (i + 1)
    const [a, b] = [order[i], order[j]]
    if (a !== undefined && b !== undefined) [order[i], order[j]] = [b, a]
  }
  return order
}

/** The vectors of `readTexts`, kept in the system's folder for temporary files: computing them takes minutes. */
export async function realVectors(model: string, language: Language, count: number): Promise<RealVectors> {
  const folder = join(tmpdir(), 'millrace-bench-vectors')
  const file = join(folder, `${model}-${count}.f32`)
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  try {
    const { dims } = engine.manifest(model)
    if (existsSync(file)) return { dims, vectors: cut(await readFile(file), dims) }
    const texts = await readTexts(model, language, count)
    const vectors: Float32Array[] = []
    for (let at = 0; at < texts.length; at += BATCH) {
      const batch = await embedAll(engine, { model, texts: texts.slice(at, at + BATCH), kind: 'document' })
      vectors.push(...batch.map(({ vector }) => vector))
    }
    await mkdir(folder, { recursive: true })
    await writeFile(
      file,
      Buffer.concat(
        vectors.map((vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)),
      ),
    )
    return { dims, vectors }
  } finally {
    await engine.close()
  }
}

function cut(bytes: Buffer, dims: number): Float32Array[] {
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  return Array.from({ length: all.length / dims }, (_, i) => all.subarray(i * dims, (i + 1) * dims))
}

/** The 307 embeddings of BGE-large-en-v1.5 that are there as such. */
export async function largeVectors(): Promise<RealVectors> {
  const folder = shared('eval', 'vectors')
  const files = (await readdir(folder)).filter((file) => file.endsWith('.jsonl.gz')).sort()
  const vectors: Float32Array[] = []
  for (const file of files) {
    const lines = gunzipSync(await readFile(join(folder, file)))
      .toString()
      .split('\n')
    for (const line of lines) {
      if (line !== '') vectors.push(Float32Array.from(JSON.parse(line).vector as number[]))
    }
  }
  return { dims: vectors[0]?.length ?? 0, vectors }
}
