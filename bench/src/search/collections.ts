import { readFile } from 'node:fs/promises'
import { shared } from '../place.js'

/** Texts, questions, and how well which text answers which question. */
export interface Collection {
  readonly name: string
  readonly texts: readonly { readonly id: string; readonly text: string }[]
  readonly questions: readonly { readonly id: string; readonly text: string }[]
  /** By question, then by text: above 0 is an answer. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/** One of the folders in shared/eval/retrieval; empty texts and questions, which cannot be embedded, are left out. */
export async function readCollection(name: string): Promise<Collection> {
  const file = (kind: string) => readFile(shared('eval', 'retrieval', name, kind), 'utf8')
  const [texts, questions, qrels] = await Promise.all([
    file('corpus.jsonl').then(jsonLines),
    file('queries.jsonl').then(jsonLines),
    file('qrels.tsv'),
  ])
  const answers = new Map<string, Map<string, number>>()
  for (const line of qrels.split('\n').slice(1)) {
    const [question = '', text = '', score] = line.split('\t')
    if (score === undefined) continue
    answers.set(question, (answers.get(question) ?? new Map()).set(text, Number(score)))
  }
  return { name, texts, questions, answers }
}

const jsonLines = (lines: string) =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line): { id: string; text: string } => JSON.parse(line))
    .filter(({ text }) => text.trim() !== '')

/** Hits that are looked at. */
const DEPTH = 10

/**
 * Normalized discounted cumulative gain of the first ten, the mean over the questions that have an answer: gain
 * 2^score - 1, discount log2(rank + 1) (Burges et al., Learning to Rank using Gradient Descent, 2005).
 * @param scores of a question, a number a text, in the order of the texts
 */
export function ndcg(
  { texts, questions, answers }: Collection,
  scores: readonly ArrayLike<number>[],
): number {
  const gains = questions.flatMap(({ id }, q) => {
    const right = answers.get(id)
    const ideal = gainOf([...(right?.values() ?? [])].filter((score) => score > 0).sort((a, b) => b - a))
    if (right === undefined || ideal === 0) return []
    const ranked = ranking(scores[q] ?? []).slice(0, DEPTH)
    return [gainOf(ranked.map((at) => Math.max(0, right.get(texts[at]?.id ?? '') ?? 0))) / ideal]
  })
  return gains.reduce((sum, gain) => sum + gain, 0) / gains.length
}

const gainOf = (scores: readonly number[]): number =>
  scores.slice(0, DEPTH).reduce((sum, score, i) => sum + (2 ** score - 1) / Math.log2(i + 2), 0)

/** Places of the texts, best first. */
export const ranking = (scores: ArrayLike<number>): number[] =>
  Array.from(scores, (_, at) => at).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
