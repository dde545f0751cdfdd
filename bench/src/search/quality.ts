import { join } from 'node:path'
import { dot, type Engine, embedAll, openEngine, PAIRS_FROM, type SparseVector } from '@millrace/embed'
import { FUSIONS, type Fusion } from '@millrace/flow'
import { weighTerms } from '@millrace/flow/search/terms'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { type Collection, ndcg, ranking, readCollection } from './collections.js'

/** Scores of a question, a number a text. */
type Scores = readonly Float64Array[]

/** A collection as a model sees it: everything that can be fused. */
interface Measured {
  readonly collection: Collection
  readonly dense: Scores
  readonly sparse: Scores
  /** The most a text can score, by question. */
  readonly bounds: readonly number[]
  /** Without pairs of Chinese characters. */
  readonly tokensOnly: Scores
}

/** The tokens of a chunk of usual size, as for a domain that says nothing else. */
const USUAL_TOKENS = 256
/** k1 + 1: what the stored weight of a term comes near to. */
const MOST = 2.2

/** Whole paragraphs and exact computation: what the models and the weights are worth, not what an index loses. */
async function measure(engine: Engine, model: string, name: string): Promise<Measured> {
  const collection = await readCollection(name)
  const embed = (texts: readonly { readonly text: string }[], kind: 'document' | 'query') =>
    embedAll(engine, {
      model,
      texts: texts.map(({ text }) => text),
      kind,
      outputs: ['dense', 'terms'],
      priority: 'bulk',
    })
  const texts = await embed(collection.texts, 'document')
  const questions = await embed(collection.questions, 'query')
  const weighed = texts.map(
    (text) => weighTerms(text, { lexical: 'bm25', usualTokens: USUAL_TOKENS }) ?? NOTHING,
  )
  const { scores, bounds } = bm25(
    weighed,
    questions.map(({ terms = NOTHING }) => terms),
  )
  return {
    collection,
    dense: questions.map(({ vector }) => Float64Array.from(texts, (text) => dot(text.vector, vector))),
    sparse: scores,
    bounds,
    tokensOnly: bm25(
      weighed,
      questions.map(({ terms = NOTHING }) => onlyTokens(terms)),
    ).scores,
  }
}

const NOTHING: SparseVector = { ids: new Int32Array(), weights: new Float32Array() }

function onlyTokens({ ids, weights }: SparseVector): SparseVector {
  const count = ids.filter((id) => id < PAIRS_FROM).length // ids are ascending
  return { ids: ids.subarray(0, count), weights: weights.subarray(0, count) }
}

/** As `millrace.weigh_terms` has it. */
function bm25(texts: readonly SparseVector[], questions: readonly SparseVector[]) {
  const postings = new Map<number, { at: number; weight: number }[]>()
  for (const [at, { ids, weights }] of texts.entries()) {
    ids.forEach((id, i) => {
      const list = postings.get(id) ?? []
      postings.set(id, list)
      list.push({ at, weight: weights[i] ?? 0 })
    })
  }
  const bounds: number[] = []
  const scores = questions.map(({ ids, weights }) => {
    const sums = new Float64Array(texts.length)
    let bound = 0
    ids.forEach((id, i) => {
      const list = postings.get(id) ?? []
      const n = Math.max(1, list.length)
      const weight = (weights[i] ?? 0) * Math.log(1 + (texts.length - n + 0.5) / (n + 0.5))
      bound += weight * MOST
      for (const { at, weight: stored } of list) sums[at] = (sums[at] ?? 0) + weight * stored
    })
    bounds.push(bound || 1)
    return sums
  })
  return { scores, bounds }
}

/** As `millrace.find_hits` has it, over all texts. */
function fused({ dense, sparse, bounds }: Measured, fusion: Fusion): Scores {
  return dense.map((cosines, q) => {
    const words = sparse[q] ?? new Float64Array()
    if (fusion.method === 'weighted') {
      return cosines.map(
        (cosine, at) => fusion.dense * cosine + (fusion.sparse * (words[at] ?? 0)) / (bounds[q] ?? 1),
      )
    }
    const sums = new Float64Array(cosines.length)
    for (const [place, at] of ranking(cosines).entries()) sums[at] = 1 / (fusion.k + place + 1)
    for (const [place, at] of ranking(words).entries()) {
      if ((words[at] ?? 0) > 0) sums[at] = (sums[at] ?? 0) + 1 / (fusion.k + place + 1)
    }
    return sums
  })
}

const ZH = 'bge-small-zh-v1.5'
const EN = 'all-minilm-l6-v2'

/** Those that the preset is chosen from. */
const CHOICES: Readonly<Record<string, Fusion>> = {
  rrf: FUSIONS.rrf,
  ...Object.fromEntries(
    [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2].map((dense): [string, Fusion] => {
      const sparse = Math.round(10 - 10 * dense) / 10
      return [`${dense} : ${sparse}`, { method: 'weighted', dense, sparse }]
    }),
  ),
}

/**
 * nDCG@10 by meaning, by words and by both. The preset for models without weights of their own is chosen on xquad-a
 * alone; cmrc2018 and cranfield say what it is worth elsewhere.
 */
export async function benchQuality(): Promise<Figure[]> {
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  try {
    const xquadZh = await measure(engine, ZH, 'xquad-a-zh')
    const xquadEn = await measure(engine, EN, 'xquad-a-en')
    const cmrc = await measure(engine, ZH, 'cmrc2018-trial-zh')
    const cranfield = await measure(engine, EN, 'cranfield-en')
    const all = [xquadZh, xquadEn, cmrc, cranfield]
    const worth = (of: Measured, scores: Scores) => ndcg(of.collection, scores)
    const aims = new Map([
      [xquadZh, '≥ 0.925'],
      [xquadEn, '≥ 0.95'],
      [cmrc, '≥ 0.94'],
    ])
    const chosenOn = (fusion: Fusion) =>
      (worth(xquadZh, fused(xquadZh, fusion)) + worth(xquadEn, fused(xquadEn, fusion))) / 2
    const choices = Object.entries(CHOICES).map(([name, fusion]) => ({ name, worth: chosenOn(fusion) }))
    const best = choices.reduce((a, b) => (b.worth > a.worth ? b : a))
    const parts = (of: Measured) => Math.max(worth(of, of.dense), worth(of, of.sparse))
    const preset = (of: Measured) => worth(of, fused(of, FUSIONS.bm25))
    return [
      ...all.flatMap((of) => [
        figure(`${of.collection.name}: dense`, worth(of, of.dense), 'nDCG@10', aims.get(of)),
        figure(`${of.collection.name}: sparse, bm25`, worth(of, of.sparse), 'nDCG@10'),
        figure(
          `${of.collection.name}: the same without pairs of characters`,
          worth(of, of.tokensOnly),
          'nDCG@10',
        ),
        figure(`${of.collection.name}: hybrid, rrf`, worth(of, fused(of, FUSIONS.rrf)), 'nDCG@10'),
        figure(`${of.collection.name}: hybrid, the preset bm25`, preset(of), 'nDCG@10'),
      ]),
      ...choices.map(({ name, worth }) => figure(`mean of xquad-a: hybrid ${name}`, worth, 'nDCG@10')),
      figure('best on xquad-a', best.name, 'dense : sparse', 'the preset bm25'),
      ...[cmrc, cranfield].map((of) =>
        figure(
          `${of.collection.name}: the preset over the better part`,
          preset(of) - parts(of),
          'nDCG@10',
          '≥ -0.005',
        ),
      ),
      figure(
        'mean of cmrc2018 and cranfield: the preset over the better part',
        (preset(cmrc) + preset(cranfield) - parts(cmrc) - parts(cranfield)) / 2,
        'nDCG@10',
        '> 0',
      ),
    ]
  } finally {
    await engine.close()
  }
}
