import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { LayoutPart, Place } from '@millrace/store'
import { isExternal, needsVectors } from '../external.js'
import type { Preparer } from '../preparer.js'
import { changedRecipe, type Recipe, type RecipeWishes, recipeOf } from '../recipe.js'
import type { Settings } from '../settings.js'
import type { Domain } from './domains.js'
import { type ReadDeps, textOfFile } from './read.js'

interface Deps {
  readonly engine: Engine
  readonly preparer: Preparer
  readonly settings: Pick<Settings, 'limits'>
}

/** A text, and what to try instead of the domain's own way. */
export interface PreviewWishes extends RecipeWishes {
  readonly text: string
  readonly title?: string | null | undefined
  /** Pages, sheets or slides of the text. */
  readonly layout?: readonly LayoutPart[] | undefined
}

export interface PreviewChunk {
  readonly text: string
  /** What the model reads before it. */
  readonly context: string
  readonly headings: readonly string[]
  /** UTF-16 code units in the text as given. */
  readonly start: number
  readonly end: number
  /** As the model counts them, context and special tokens included. */
  readonly tokens: number
  /** Characters that it shares with the chunk before it. */
  readonly overlap: number
  /** Of a file: the page, sheet or slide it is on. */
  readonly place: Place | null
  /** Index in `parents`; null: it is shown itself. */
  readonly parent: number | null
}

export interface Preview {
  readonly model: string
  /** Of a file: what was read from it, in which the spans are. */
  readonly text?: string
  readonly chunks: readonly PreviewChunk[]
  readonly parents: readonly {
    readonly text: string
    readonly headings: readonly string[]
    readonly start: number
    readonly end: number
  }[]
  /** Of all chunks. */
  readonly tokens: number
  /** Characters of the cleaned text, but white space, that are in no chunk. */
  readonly cut: number
  readonly warnings: readonly string[]
}

/** Whose chunks: a domain's, or a model's with the defaults of a new domain. */
export type PreviewBy = { readonly domain: Domain } | { readonly model: string }

/**
 * The chunks that a text would have in a domain, or with other options; nothing is stored and no model runs.
 * @throws CodedError DOMAIN_NEEDS_VECTORS for an external domain, UNKNOWN_MODEL, BAD_CHUNKING, INVALID_CHARACTER,
 * TEXT_TOO_LONG, and what preparing a document throws
 */
export async function previewChunks(deps: Deps, by: PreviewBy, wishes: PreviewWishes): Promise<Preview> {
  const { text, title = null, layout } = wishes
  refuseText(text, deps.settings.limits.textBytes)
  refuseText(title ?? '', deps.settings.limits.textBytes)
  const recipe = recipeBy(deps, by, wishes)
  const modelDir = deps.engine.dir(recipe.model)
  const prepared = await deps.preparer.prepare({ modelDir, recipe, document: { title, text, layout } })
  return {
    model: recipe.model,
    chunks: prepared.chunks.map((chunk, index) => ({
      text: chunk.text,
      context: chunk.context,
      headings: chunk.headings,
      start: chunk.startAt,
      end: chunk.endAt,
      tokens: chunk.tokens,
      overlap: Math.max(0, (prepared.chunks[index - 1]?.endAt ?? 0) - chunk.startAt),
      place: chunk.place,
      parent: chunk.parent,
    })),
    parents: prepared.parents.map((parent) => ({
      text: parent.text,
      headings: parent.headings,
      start: parent.startAt,
      end: parent.endAt,
    })),
    tokens: prepared.chunks.reduce((sum, chunk) => sum + chunk.tokens, 0),
    cut: prepared.cut,
    warnings: prepared.warnings,
  }
}

/**
 * The same of what a file says.
 * @throws CodedError UNREADABLE_FILE as well, with the code of a document that fails for the same reason
 */
export async function previewFile(
  deps: Deps & Pick<ReadDeps, 'files'>,
  by: PreviewBy,
  file: Parameters<typeof textOfFile>[1],
  wishes: Omit<PreviewWishes, 'text' | 'layout'>,
): Promise<Preview> {
  const { text, title, layout, warnings } = await textOfFile(deps, file).catch((error: unknown) => {
    if (!(error instanceof CodedError) || error.retryable) throw error
    const { message, code, hint } = error
    throw new CodedError('UNREADABLE_FILE', message, {
      ...(hint === undefined ? {} : { hint }),
      details: { code },
    })
  })
  const preview = await previewChunks(deps, by, { ...wishes, text, title: wishes.title ?? title, layout })
  return { ...preview, text, warnings: [...warnings, ...preview.warnings] }
}

function recipeBy({ engine }: Deps, by: PreviewBy, wishes: RecipeWishes): Recipe {
  if (!('domain' in by)) return recipeOf(engine.manifest(by.model), wishes)
  const { domain } = by
  if (isExternal(domain)) throw needsVectors(domain.name, 'Its documents bring their chunks')
  return changedRecipe(domain.recipe, engine.manifest(domain.model), wishes)
}

function refuseText(text: string, bytesMax: number): void {
  if (!text.isWellFormed() || text.includes('\u0000')) {
    throw new CodedError('INVALID_CHARACTER', 'The text contains a NUL or half of a surrogate pair', {
      hint: 'Send valid UTF-8',
    })
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) {
    throw new CodedError('TEXT_TOO_LONG', `The text has ${bytes} bytes, the limit is ${bytesMax}`, {
      hint: 'TEXT_BYTES_MAX is the setting',
    })
  }
}
