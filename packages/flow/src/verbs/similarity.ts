import { dot, type Engine, embedAll, type Level, levelOf } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { CLEANING_DEFAULTS } from '@millrace/text'
import { isExternal, needsVectors } from '../external.js'
import { cleanText } from '../search/query.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly engine: Engine
}

export interface Similarity {
  /** -1 to 1, four decimals. */
  readonly similarity: number
  readonly level: Level
  readonly model: string
  readonly tokens: { readonly a: number; readonly b: number }
  /** True where a text was longer than the model takes and its windows were pooled. */
  readonly pooled: { readonly a: boolean; readonly b: boolean }
}

/**
 * How near two texts are, with the domain's model, cleaning and levels, else those of `model`.
 * @throws CodedError MISSING_TEXT when one of them is blank, DOMAIN_NEEDS_VECTORS
 */
export async function similarity(
  { engine }: Deps,
  texts: { readonly a: string; readonly b: string },
  by: { readonly domain: Domain } | { readonly model: string },
): Promise<Similarity> {
  if ('domain' in by && isExternal(by.domain)) {
    throw needsVectors(by.domain.name, 'Leave domain out, or name one with a model')
  }
  const model = 'domain' in by ? by.domain.model : by.model
  const cleaning = 'domain' in by ? by.domain.recipe.cleaning.steps : CLEANING_DEFAULTS
  const levels = 'domain' in by ? by.domain.levels : engine.manifest(model).levels
  const cleaned = [cleanText(texts.a, cleaning), cleanText(texts.b, cleaning)]
  if (cleaned.some((text) => text === '')) throw missingText()
  const [a, b] = await embedAll(engine, { model, texts: cleaned, kind: 'document', priority: 'interactive' })
  if (a === undefined || b === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
  const cosine = dot(a.vector, b.vector)
  const rounded = Math.round(Math.max(-1, Math.min(1, cosine)) * 1e4) / 1e4
  return {
    similarity: rounded,
    level: levelOf(levels, rounded),
    model,
    tokens: { a: a.tokens, b: b.tokens },
    pooled: { a: a.windows > 1, b: b.windows > 1 },
  }
}

/** The seed's own words: callers match on them. */
export const missingText = () =>
  new CodedError('MISSING_TEXT', '缺少输入文本', { hint: 'Send text_a and text_b' })
