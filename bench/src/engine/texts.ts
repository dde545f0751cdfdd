import { readFile } from 'node:fs/promises'
import { parseCsvLine } from '../csv.js'
import { shared } from '../place.js'

export type Language = 'en' | 'zh'

/** The models of this repository and the language each is made for. */
export const MODELS = [
  ['all-minilm-l6-v2', 'en'],
  ['bge-small-zh-v1.5', 'zh'],
] as const

/** Paragraphs and questions of xquad: long texts and short ones. */
export async function readXquad(language: Language, paragraphs = 30, questions = 120): Promise<string[]> {
  const { long, short } = await readRetrieval(`xquad-a-${language}`)
  return [...long.slice(0, paragraphs), ...short.slice(0, questions)]
}

const LONG = 24
const SHORT_PER_LONG = 8

/**
 * Texts as they come: one paragraph, eight short ones, and so on. English: paragraphs and questions of xquad,
 * questions of banking77; Chinese: paragraphs and questions of xquad and cmrc2018.
 */
export async function readMixed(language: Language): Promise<string[]> {
  const xquad = await readRetrieval(`xquad-a-${language}`)
  const other =
    language === 'en' ? { long: [], short: await readBanking() } : await readRetrieval('cmrc2018-trial-zh')
  const long = alternate(xquad.long, other.long).slice(0, LONG)
  const short = alternate(xquad.short, other.short)
  return long.flatMap((text, i) => [text, ...short.slice(i * SHORT_PER_LONG, (i + 1) * SHORT_PER_LONG)])
}

/** One of each in turns; what the shorter list has no partner for follows. */
const alternate = (a: readonly string[], b: readonly string[]): string[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [a[i], b[i]])
    .flat()
    .filter((text) => text !== undefined)

async function readRetrieval(name: string): Promise<{ long: string[]; short: string[] }> {
  const read = async (file: string) =>
    (await readFile(shared('eval', 'retrieval', name, file), 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line): string => JSON.parse(line).text)
  return { long: await read('corpus.jsonl'), short: await read('queries.jsonl') }
}

/** Questions of customers; every 50th, since they are sorted by what they are about. */
async function readBanking(): Promise<string[]> {
  const csv = await readFile(shared('eval', 'intents', 'banking77-train.csv'), 'utf8')
  return csv
    .split('\n')
    .slice(1)
    .map((line) => parseCsvLine(line))
    .filter((fields) => fields.length === 2)
    .flatMap(([text = ''], i) => (i % 50 === 0 && text !== '' ? [text] : []))
}
