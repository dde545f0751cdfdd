import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CHILD_SIZE_DEFAULT,
  CHUNKING_DEFAULTS,
  CHUNKING_KINDS,
  type Chunk,
  type ChunkingOptions,
  type Count,
  chunk,
  clean,
} from '@millrace/text'
import { sentenceStarts } from '@millrace/text/chunking/sentences'
import { Tokenizer } from 'tokenizers'
import { type Figure, figure } from './figure.js'
import { ROOT, shared } from './place.js'

const MODELS = { en: 'all-minilm-l6-v2', zh: 'bge-small-zh-v1.5' } as const
const NEW_SENTENCE = { en: ' One more sentence stands here now. ', zh: '这里现在多了一句话。' } as const
type Language = keyof typeof MODELS

/** Cleaning and chunking of one language's documentation. Times in milliseconds, sizes in bytes of UTF-8. */
export interface TextFigures {
  readonly documents: number
  readonly megabytes: number
  readonly cleanMs: number
  /** Chunking, the tokenizer included. */
  readonly chunkMs: number
  /** Of which inside the tokenizer. */
  readonly tokenizeMs: number
  readonly megabytesPerSecond: number
  readonly chunks: number
  /** Tokens over size, of documents with more than one chunk. */
  readonly meanFill: number
  /** Share of chunks that end with a sentence, a line or the text. */
  readonly endsWell: number
  /** How many edits changed so many chunks: of documents as they are, and of their prose without any heading. */
  readonly edits: { readonly documents: Distribution; readonly prose: Distribution }
  readonly kinds: Readonly<Record<string, KindFigures>>
}

/** Of one kind of chunking. */
export interface KindFigures {
  /** Of Markdown, cleaned already; the tokenizer included. */
  readonly megabytesPerSecond: number
  readonly chunks: number
  /** Share of chunks that end with a sentence, a line or the text. */
  readonly endsWell: number
  /** Most chunks that one more sentence changed, in documents of 20 chunks and more. */
  readonly insertedAtStart: number
  readonly insertedInMiddle: number
  readonly insertedAtEnd: number
}

export interface Distribution {
  readonly edits: number
  readonly mean: number
  readonly median: number
  readonly p95: number
  readonly most: number
  readonly atMost3: number
}

export async function measureText(corpus: string, models: string, language: Language): Promise<TextFigures> {
  const tokenizer = openTokenizer(join(models, MODELS[language], 'tokenizer.json'))
  const sources = await markdownIn(join(corpus, language))
  const megabytes = sources.reduce((sum, source) => sum + Buffer.byteLength(source), 0) / 1e6

  const cleanStarted = performance.now()
  const texts = sources.map((source) => clean(source).text)
  const cleanMs = performance.now() - cleanStarted
  const chunkStarted = performance.now()
  const divided: (readonly Chunk[])[] = []
  for (const text of texts) divided.push(await divide(text, tokenizer.count))
  const chunkMs = performance.now() - chunkStarted
  const tokenizeMs = tokenizer.spentMs()

  const long = texts.filter((_, index) => (divided[index]?.length ?? 0) >= 20)
  return {
    documents: sources.length,
    megabytes,
    cleanMs,
    chunkMs,
    tokenizeMs,
    megabytesPerSecond: megabytes / ((cleanMs + chunkMs) / 1000),
    chunks: divided.flat().length,
    meanFill: mean(
      divided
        .filter((of) => of.length > 1)
        .flatMap((of) => of.map((each) => each.tokens / CHUNKING_DEFAULTS.size)),
    ),
    endsWell: mean(
      texts.flatMap((text, index) => (divided[index] ?? []).map((each) => endsWell(text, each))),
    ),
    edits: {
      documents: await measureEdits(long.slice(0, 30), language, tokenizer.count),
      prose: await measureEdits(proseOf(texts), language, tokenizer.count),
    },
    kinds: await measureKinds(texts, language, tokenizer.count),
  }
}

const divide = (
  text: string,
  count: Count,
  kind: ChunkingOptions['kind'] = CHUNKING_DEFAULTS.kind,
): Promise<readonly Chunk[]> => {
  const size = kind === 'parent' ? CHILD_SIZE_DEFAULT : CHUNKING_DEFAULTS.size
  return chunk({ text, options: { ...CHUNKING_DEFAULTS, kind, size }, count, context: '' })
}

async function measureKinds(
  texts: readonly string[],
  language: Language,
  count: Count,
): Promise<Record<string, KindFigures>> {
  const figures: Record<string, KindFigures> = {}
  for (const kind of CHUNKING_KINDS) {
    const divided: (readonly Chunk[])[] = []
    const started = performance.now()
    for (const text of texts) divided.push(await divide(text, count, kind))
    const seconds = (performance.now() - started) / 1000
    const long = texts.filter((_, index) => (divided[index]?.length ?? 0) >= 20).slice(0, 30)
    const [start, middle, end] = await measureInsertions(long, language, count, kind)
    figures[kind] = {
      megabytesPerSecond: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6 / seconds,
      chunks: divided.flat().length,
      endsWell: mean(
        texts.flatMap((text, index) => (divided[index] ?? []).map((each) => endsWell(text, each))),
      ),
      insertedAtStart: start,
      insertedInMiddle: middle,
      insertedAtEnd: end,
    }
  }
  return figures
}

/** Most chunks changed by a sentence as the first, in the middle (behind one that is not in a heading), as the last. */
async function measureInsertions(
  texts: readonly string[],
  language: Language,
  count: Count,
  kind: ChunkingOptions['kind'],
): Promise<readonly [start: number, middle: number, end: number]> {
  const fresh = NEW_SENTENCE[language]
  const most: [number, number, number] = [0, 0, 0]
  for (const text of texts) {
    const known = new Set((await divide(text, count, kind)).map((each) => each.text))
    const ends = [...text.matchAll(/[.!?](?=\s)|[。！？]/g)]
      .map((match) => match.index + match[0].length)
      .filter((at) => text[text.lastIndexOf('\n', at - 1) + 1] !== '#')
    const middle = ends[ends.length >> 1] ?? text.length
    const edits = [
      `${fresh.trim()}\n\n${text}`,
      text.slice(0, middle) + fresh.trimEnd() + text.slice(middle),
      text + fresh,
    ]
    for (const [place, edited] of edits.entries()) {
      const after = await divide(clean(edited).text, count, kind)
      const changed = after.filter((each) => !known.has(each.text)).length
      most[place] = Math.max(most[place] ?? 0, changed)
    }
  }
  return most
}

function openTokenizer(file: string): { count: Count; spentMs: () => number } {
  const tokenizer = Tokenizer.fromFile(file)
  tokenizer.disableTruncation()
  tokenizer.disablePadding()
  let spent = 0
  const count = async (texts: string[]): Promise<number[]> => {
    const started = performance.now()
    const counts = (await tokenizer.encodeBatch(texts)).map((encoding) => encoding.getLength())
    spent += performance.now() - started
    return counts
  }
  return { count, spentMs: () => spent }
}

async function markdownIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.md')).sort()
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
}

function endsWell(text: string, { end, text: own }: Chunk): number {
  return /^\s*(?:\n|$)/.test(text.slice(end, end + 8)) || /[.!?…。！？；]["'”’)\]}」』）】》*_`]*$/.test(own)
    ? 1
    : 0
}

/** The paragraphs of a corpus without headings, code, tables and lists, in texts of about 40 chunks. */
function proseOf(texts: readonly string[]): string[] {
  const paragraphs = texts
    .flatMap((text) => text.replace(/^[ \t]*(```|~~~)[\s\S]*?^[ \t]*\1/gm, '').split(/\n\n+/))
    .filter((paragraph) => /^[\p{Lu}\p{Lo}]/u.test(paragraph) && paragraph.length > 60)
  const proses: string[] = []
  for (let from = 0; from < paragraphs.length && proses.length < 20; from += 150) {
    proses.push(paragraphs.slice(from, from + 150).join('\n\n'))
  }
  return proses
}

/** Inserts, deletes and rewrites a sentence at twelve places of each text, the start and the end among them. */
async function measureEdits(
  texts: readonly string[],
  language: Language,
  count: Count,
): Promise<Distribution> {
  const changes: number[] = []
  for (const text of texts) {
    const known = new Set((await divide(text, count)).map((each) => each.text))
    for (const edited of editsOf(text, NEW_SENTENCE[language])) {
      const after = await divide(clean(edited).text, count)
      changes.push(after.filter((each) => !known.has(each.text)).length)
    }
  }
  changes.sort((one, other) => one - other)
  const quantile = (share: number) =>
    changes[Math.min(changes.length - 1, Math.floor(share * changes.length))] ?? 0
  return {
    edits: changes.length,
    mean: mean(changes),
    median: quantile(0.5),
    p95: quantile(0.95),
    most: quantile(1),
    atMost3: mean(changes.map((changed) => (changed <= 3 ? 1 : 0))),
  }
}

function* editsOf(text: string, fresh: string): Generator<string> {
  const starts = [0, ...sentenceStarts(text, 0, text.length), text.length]
  const places = 12
  for (let place = 0; place < places; place++) {
    const index = Math.round((place / (places - 1)) * (starts.length - 2))
    const [from = 0, to = text.length] = starts.slice(index, index + 2)
    const kind = place % 3
    const kept = kind === 0 ? text.slice(from) : text.slice(to)
    yield text.slice(0, from) + (kind === 1 ? '' : fresh) + kept
  }
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)

/** Speed and evenness of chunking on a documentation site in two languages. */
export async function benchText(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const language of ['en', 'zh'] as const) {
    const measured = await measureText(
      shared('eval', 'corpus', 'apisix-docs'),
      join(ROOT, 'models'),
      language,
    )
    figures.push(...flat(`apisix-docs/${language}`, measured))
  }
  return figures
}

/** Every number of a nested record, under the path that leads to it. */
function flat(path: string, value: unknown): Figure[] {
  if (typeof value === 'number') return [figure(path, value, '')]
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, inner]) => flat(`${path} ${key}`, inner))
}
