import { type Rewritten, rewrite } from '../edits.js'
import { HORIZONTAL } from './space.js'

const RULER = new RegExp(`^[${HORIZONTAL}>]*\\|[${HORIZONTAL}:|-]+$`, 'gm')
const DASHES = /-{4,}/g

/**
 * Shortens the dashes under a Markdown table's header to three a column. Drawn as wide as the widest cell they can be
 * most of a small table, and tokenizers take each dash for a token.
 */
export const tables = (text: string): Rewritten | null =>
  rewrite(text, RULER, (ruler) => ruler.replace(DASHES, '---'))
