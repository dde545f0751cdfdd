import type { Count } from './chunking/count.js'
import { refuse } from './chunking/options.js'
import { fitContext } from './context.js'

/** What is put before a chunk for the model, but not shown. */
export type ContextKind = 'title' | 'headings' | 'none'

/** A context with `{title}` and `{headings}` in it; '' for none. */
export type Template = string

const TEMPLATES: Readonly<Record<ContextKind, Template>> = {
  none: '',
  title: '{title}\n',
  headings: '{title}\n{headings}\n',
}

const PLACEHOLDER = /\{(\w*)\}/g
const KNOWN = ['title', 'headings']
const SEPARATOR = ' > '
/** A longer one would leave nothing of any chunk. */
const TEMPLATE_CHARS_MAX = 1000

/**
 * The template of a recipe: its own, else that of the kind.
 * @param own lines with `{title}` and `{headings}`; a line whose placeholders are all empty is left out
 */
export const templateOf = (kind: ContextKind, own?: string): Template =>
  own === undefined || /\s$/.test(own) || own === '' ? (own ?? TEMPLATES[kind]) : `${own}\n`

/** @throws CodedError BAD_CHUNKING for placeholders that are none, or a template that no chunk has room for */
export function checkTemplate(template: string): void {
  if (template.length > TEMPLATE_CHARS_MAX) {
    refuse(
      'template',
      `The template has ${template.length} characters, the limit is ${TEMPLATE_CHARS_MAX}`,
      'Shorten it',
    )
  }
  if (!template.isWellFormed() || template.includes('\u0000')) {
    refuse('template', 'The template has a NUL or half of a surrogate pair in it', 'Send valid UTF-8')
  }
  for (const [placeholder, name = ''] of template.matchAll(PLACEHOLDER)) {
    if (!KNOWN.includes(name))
      refuse('template', `Unknown placeholder ${placeholder}`, 'Use {title} and {headings}')
  }
}

/**
 * The contexts of heading paths, each of at most `max` tokens (special tokens included): without its outermost
 * headings where it is too long, then cut at its end.
 */
export async function fitContexts(
  template: Template,
  title: string,
  paths: readonly (readonly string[])[],
  count: Count,
  max: number,
): Promise<string[]> {
  const whole = paths.map((path) => render(template, title, path))
  const distinct = [...new Set(whole)].filter((context) => context !== '')
  const counts = distinct.length === 0 ? [] : await count(distinct.map((context) => context.trimEnd()))
  const tokens = new Map(distinct.map((context, index) => [context, counts[index] ?? 0]))
  const fitted = new Map<string, string>()
  for (const [index, context] of whole.entries()) {
    if ((tokens.get(context) ?? 0) <= max || fitted.has(context)) continue
    fitted.set(context, await shorten(template, title, paths[index] ?? [], count, max))
  }
  return whole.map((context) => fitted.get(context) ?? context)
}

async function shorten(
  template: Template,
  title: string,
  path: readonly string[],
  count: Count,
  max: number,
): Promise<string> {
  for (let from = 1; from < path.length; from++) {
    const context = render(template, title, path.slice(from))
    const [tokens = 0] = await count([context.trimEnd()])
    if (tokens <= max) return context
  }
  const context = render(template, title, path.slice(-1))
  const short = await fitContext(context.trimEnd(), count, max)
  return short === '' ? '' : `${short}\n`
}

/** A document's title is mostly its first heading, too: once is enough. */
function render(template: Template, title: string, path: readonly string[]): string {
  const own = path[0] === title && template.includes('{title}') ? path.slice(1) : path
  const values: Readonly<Record<string, string>> = { title, headings: own.join(SEPARATOR) }
  return template
    .split('\n')
    .filter((line) => {
      const names = [...line.matchAll(PLACEHOLDER)].map(([, name = '']) => name)
      return names.length === 0 || names.some((name) => (values[name] ?? '') !== '')
    })
    .join('\n')
    .replace(PLACEHOLDER, (_placeholder, name: string) => values[name] ?? '')
}
