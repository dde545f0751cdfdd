import { type Engine, requireReranker } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { Lexical, SearchSettings } from '@millrace/store'
import { isExternal } from '../external.js'
import type { IndexWishes, SearchWishes } from '../verbs/domains.js'
import { fusionOf, isTriple } from './fusion.js'
import { requireMode } from './modes.js'
import { COLBERT, RERANK_TOP_DEFAULT, requireColbert } from './rerank.js'

/** What searches of a domain do, with wishes. */
export function searchOf(
  standing: SearchSettings,
  wishes: { readonly search?: SearchWishes | undefined; readonly index?: IndexWishes | undefined },
): SearchSettings {
  const { efSearch, candidates } = wishes.index ?? {}
  const { rerank } = wishes.search ?? {}
  const filled = rerank == null ? rerank : { by: rerank.by, top: rerank.top ?? RERANK_TOP_DEFAULT }
  const wished = Object.fromEntries(
    Object.entries({ ...wishes.search, rerank: filled, efSearch, candidates }).filter(
      ([, value]) => value !== undefined,
    ),
  )
  const { fusion, ...others }: SearchSettings & Pick<SearchWishes, 'fusion'> = { ...standing, ...wished }
  return fusion == null ? others : { ...others, fusion }
}

/**
 * Refuses what every search would be refused for.
 * @param wished what was asked for now; undefined: nothing
 * @throws CodedError MODE_NEEDS_TERMS, BAD_FUSION, MISSING_OUTPUT, NOT_FOR_EXTERNAL, UNKNOWN_MODEL, NOT_A_RERANKER
 */
export function requireSearch(
  engine: Pick<Engine, 'manifest'>,
  domain: { readonly model: string; readonly lexical: Lexical | null },
  { mode, fusion, rerank }: SearchSettings,
  wished: SearchWishes | undefined,
): void {
  if (wished === undefined) return
  if (mode !== undefined) requireMode(domain.lexical, mode)
  if (fusion !== undefined) {
    const weights = fusionOf(fusion, domain.lexical ?? 'bm25')
    requireMode(domain.lexical, 'hybrid')
    if (isTriple(weights)) requireColbert(engine, domain.model)
  }
  if (rerank == null || wished.rerank === undefined) return
  if (isExternal(domain)) {
    throw new CodedError(
      'NOT_FOR_EXTERNAL',
      'A reranker reads the query, and an external domain has vectors',
      {
        hint: 'Leave rerank out',
      },
    )
  }
  if (rerank.by === COLBERT) requireColbert(engine, domain.model)
  else requireReranker(engine.manifest(rerank.by))
}
