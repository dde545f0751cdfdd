import {
  dot,
  type Embedded,
  type EmbedOutput,
  type Engine,
  embedAll,
  type Level,
  levelOf,
  type ModelManifest,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Db, type Lexical, weighQuery } from '@millrace/store'
import { CLEANING_DEFAULTS } from '@millrace/text'
import { isExternal, needsVectors } from '../external.js'
import { askLive } from '../generations/live.js'
import { lateScore } from '../search/late.js'
import {
  alike,
  type Match,
  matchesOf,
  type PlacedText,
  productsOf,
  type Span,
  sumOf,
  tokensOf,
} from '../search/matches.js'
import { cleanText, outputsFor, type Words } from '../search/query.js'
import { heaviest, USUAL_TOKENS, weighTerms } from '../search/terms.js'
import type { Domain } from './domains.js'
import { COLBERT_CHARS_MAX } from './embed-texts.js'

interface Deps {
  readonly db: Db
  readonly engine: Pick<Engine, 'embed' | 'manifest' | 'spans'>
}

export interface Similarity {
  /** -1 to 1, four decimals. */
  readonly similarity: number
  readonly level: Level
  readonly model: string
  readonly tokens: { readonly a: number; readonly b: number }
  /** True where a text was longer than the model takes and its windows were pooled. */
  readonly pooled: { readonly a: boolean; readonly b: boolean }
  readonly explain?: SimilarityExplanation
}

/** Every score of two texts, and the words that carried the sparse one; `a` is the query, `b` the passage. */
export interface SimilarityExplanation {
  /** Null where the model gives no such vectors, or a score of words has nothing to be measured by. */
  readonly scores: {
    readonly dense: number
    readonly sparse: number | null
    readonly colbert: number | null
  }
  /** What words weigh: by the model, by how rare they are in the domain; null: all alike. */
  readonly lexical: Lexical | null
  readonly a: ExplainedText
  readonly b: ExplainedText
  /** The 200 that count most. */
  readonly matches: readonly Match[]
}

export interface ExplainedText {
  /** As the model read it: cleaned. */
  readonly text: string
  /** Without special ones. */
  readonly tokens: readonly Span[]
}

const MATCHES_MAX = 200

type By = { readonly domain: Domain } | { readonly model: string }

/**
 * How near two texts are, with the domain's model, cleaning and levels, else those of `model`.
 * @throws CodedError MISSING_TEXT when one of them is blank, DOMAIN_NEEDS_VECTORS
 */
export const similarity = (
  deps: Deps,
  texts: { readonly a: string; readonly b: string },
  by: By,
  { explain = false }: { readonly explain?: boolean | undefined } = {},
): Promise<Similarity> =>
  'domain' in by
    ? askLive(deps, by.domain, (domain) => compareTexts(deps, texts, { domain }, explain))
    : compareTexts(deps, texts, by, explain)

async function compareTexts(
  deps: Deps,
  texts: { readonly a: string; readonly b: string },
  by: By,
  explain: boolean,
): Promise<Similarity> {
  if ('domain' in by && isExternal(by.domain)) {
    throw needsVectors(by.domain.name, 'Leave domain out, or name one with a model')
  }
  const model = 'domain' in by ? by.domain.model : by.model
  const cleaning = 'domain' in by ? by.domain.recipe.cleaning.steps : CLEANING_DEFAULTS
  const manifest = deps.engine.manifest(model)
  const levels = 'domain' in by ? by.domain.levels : manifest.levels
  const cleaned = [cleanText(texts.a, cleaning), cleanText(texts.b, cleaning)]
  if (cleaned.some((text) => text === '')) throw missingText()
  const words = wordsOf(manifest, by)
  const outputs: readonly EmbedOutput[] = explain ? explainedOutputs(manifest, words, cleaned) : ['dense']
  const [a, b] = await embedAll(deps.engine, {
    model,
    texts: cleaned,
    kind: 'document',
    outputs,
    priority: 'interactive',
  })
  if (a === undefined || b === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
  const dense = Math.max(-1, Math.min(1, dot(a.vector, b.vector)))
  const rounded = Math.round(dense * 1e4) / 1e4
  return {
    similarity: rounded,
    level: levelOf(levels, rounded),
    model,
    tokens: { a: a.tokens, b: b.tokens },
    pooled: { a: a.windows > 1, b: b.windows > 1 },
    ...(explain ? { explain: await explained(deps, { model, by, ...words, cleaned, dense, a, b }) } : {}),
  }
}

/** The model's weights need no domain, bm25 needs one that counts its terms. */
function wordsOf({ outputs }: ModelManifest, by: By): Words {
  const own = outputs.includes('sparse') ? 'learned' : null
  if (!('domain' in by) || by.domain.lexical === null) return { lexical: own, counted: 'terms' }
  return { lexical: by.domain.lexical, counted: by.domain.counted }
}

function explainedOutputs(
  { outputs }: ModelManifest,
  words: Words,
  texts: readonly string[],
): readonly EmbedOutput[] {
  const chars = texts.reduce((sum, { length }) => sum + length, 0)
  const hasColbert = outputs.includes('colbert') && chars <= COLBERT_CHARS_MAX
  return ['dense', ...outputsFor(['sparse'], words), ...(hasColbert ? (['colbert'] as const) : [])]
}

interface Compared extends Words {
  readonly model: string
  readonly by: By
  readonly cleaned: readonly string[]
  readonly dense: number
  readonly a: Embedded
  readonly b: Embedded
}

async function explained(deps: Deps, compared: Compared): Promise<SimilarityExplanation> {
  const { model, lexical, counted, cleaned, dense, a, b } = compared
  const [spans, words] = await Promise.all([deps.engine.spans(model, cleaned), scoreWords(deps, compared)])
  const isTokens = lexical === 'learned' || counted === 'tokens'
  const placed = (i: number): PlacedText & { readonly tokens: Span[] } => {
    const [text, own] = [cleaned[i], spans[i]]
    if (text === undefined || own === undefined) throw new CodedError('INTERNAL', 'A text has no spans')
    return { text, places: isTokens ? own : own.words, tokens: tokensOf(own) }
  }
  const [first, second] = [placed(0), placed(1)]
  const colbert = a.colbert && b.colbert && (await lateScore(a.colbert, b.colbert))
  return {
    scores: { dense, sparse: words.score, colbert: colbert ?? null },
    lexical,
    a: { text: first.text, tokens: first.tokens },
    b: { text: second.text, tokens: second.tokens },
    matches: matchesOf(first, second, words.products, MATCHES_MAX),
  }
}

/** The score that `sparse` is in a search for `a`, and what each term adds to it. */
async function scoreWords(
  { db }: Deps,
  { lexical, by, a, b }: Compared,
): Promise<{ readonly score: number | null; readonly products: ReadonlyMap<number, number> }> {
  if (lexical === 'learned') {
    const products = productsOf(a.sparse ?? NO_TERMS, b.sparse ?? NO_TERMS)
    return { score: sumOf(products), products }
  }
  if (lexical === null || !('domain' in by)) {
    return { score: null, products: alike(a.terms ?? NO_TERMS, b.terms ?? NO_TERMS) }
  }
  const { generationId, recipe } = by.domain
  const scale = { lexical, usualTokens: recipe.chunking.size ?? USUAL_TOKENS }
  const { weights, bound } = await weighQuery(db, generationId, heaviest(a.terms ?? NO_TERMS))
  const products = productsOf(weights, weighTerms(b, scale) ?? NO_TERMS)
  return { score: sumOf(products) / bound, products }
}

const NO_TERMS = { ids: new Int32Array(), weights: new Float32Array() }

/** The seed's own words: callers match on them. */
export const missingText = () =>
  new CodedError('MISSING_TEXT', '缺少输入文本', { hint: 'Send text_a and text_b' })
