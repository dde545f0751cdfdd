import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shared } from '../place.js'
import { readCollection } from './collections.js'

export type Language = 'zh' | 'en'

const COLLECTIONS = { zh: ['xquad-a-zh', 'cmrc2018-trial-zh'], en: ['xquad-a-en', 'cranfield-en'] } as const
/** Words of a chunk, and how many of them are replaced. */
const WORDS = 120
const REPLACED = 0.2

/**
 * Chunks of real texts in which every fifth word is another one of the same texts, so that frequent words are frequent
 * and rare ones rare; the same in every run.
 */
export async function* variations(language: Language, count: number): AsyncGenerator<string> {
  const random = mulberry(7)
  const all = (await readTexts(language)).flatMap((text) => words(text, language))
  const said = all.filter(isWord)
  const pick = <T>(of: readonly T[]): T | undefined => of[Math.floor(random() * of.length)]
  for (let i = 0; i < count; i++) {
    const from = Math.floor(random() * Math.max(1, all.length - WORDS))
    yield all
      .slice(from, from + WORDS)
      .map((word) => (isWord(word) && random() < REPLACED ? pick(said) : word))
      .join('')
  }
}

/** Questions of people about the same texts. */
export async function questionsOf(language: Language): Promise<string[]> {
  const read = await Promise.all(COLLECTIONS[language].map(readCollection))
  return read.flatMap(({ questions }) => questions.map(({ text }) => text))
}

async function readTexts(language: Language): Promise<string[]> {
  const read = await Promise.all(COLLECTIONS[language].map(readCollection))
  const docs = shared('eval', 'corpus', 'apisix-docs', language)
  const files = (await readdir(docs, { recursive: true })).filter((file) => file.endsWith('.md')).sort()
  const pages = await Promise.all(files.map((file) => readFile(join(docs, file), 'utf8')))
  return [
    ...read.flatMap(({ texts }) => texts.map(({ text }) => text)),
    ...pages.map((page) => page.replace(/```.*?```/gs, '')), // what is code has no words
  ]
}

/** Sentence by sentence: a segment keeps the string that it was cut from. */
function words(text: string, language: Language): string[] {
  const segmenter = new Intl.Segmenter(language, { granularity: 'word' })
  return text
    .split(/(?<=[\n。.！？])/)
    .flatMap((sentence) => Array.from(segmenter.segment(sentence), ({ segment }) => segment))
}

const isWord = (text: string): boolean => /[\p{L}\p{N}]/u.test(text)

/** mulberry32 (Ettinger, public domain): a small generator with a seed. */
export function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
