import { readFile } from 'node:fs/promises'
import { parseCsvLine } from './csv.js'
import { shared } from './place.js'

/** Two sentences, and how much of their meaning people find the same: 0 nothing, 5 all of it. */
export interface ScoredPair {
  readonly a: string
  readonly b: string
  readonly score: number
}

/** STS-B dev. */
export async function readSts(language: 'en' | 'zh'): Promise<ScoredPair[]> {
  const csv = await readFile(shared('eval', 'sts', `stsb-${language}-dev.csv`), 'utf8')
  return csv
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseCsvLine)
    .map(([a = '', b = '', score]) => ({ a, b, score: Number(score) }))
}
