import { blocks } from './blocks.js'
import { headingText } from './heading.js'
import type { Atom } from './level.js'

/** From a heading to the next one. */
export interface Section {
  /** UTF-16 code units in the cleaned text. */
  readonly start: number
  /** The headings it lies under, its own included, outermost first. */
  readonly path: readonly string[]
}

/** A path is kept with every chunk: a "heading" of a megabyte is not. */
const HEADING_CHARS_MAX = 200

/** The sections of a text, in order; the first starts at 0 and has no heading. */
export function outline(text: string): Section[] {
  const sections: Section[] = [{ start: 0, path: [] }]
  const above: { readonly rank: number; readonly name: string }[] = []
  for (const block of blocks(text)) {
    if (block.rank === undefined) continue
    const { rank } = block
    while ((above.at(-1)?.rank ?? 0) >= rank) above.pop()
    const name = headingText(text.slice(block.start, block.end)).slice(0, HEADING_CHARS_MAX).toWellFormed()
    if (name !== '') above.push({ rank, name })
    sections.push({ start: block.start, path: above.map((heading) => heading.name) })
  }
  return sections
}

/**
 * Gives every atom the section that its chunk would belong to, were it the first: its own, but of headings in a row
 * that of the text behind them.
 */
export function assignSections(atoms: readonly Atom[], sections: readonly Section[]): void {
  let section = 0
  for (const atom of atoms) {
    while ((sections[section + 1]?.start ?? Number.POSITIVE_INFINITY) <= atom.start) section++
    atom.section = section
  }
  for (let index = atoms.length - 2; index >= 0; index--) {
    const atom = atoms[index]
    const next = atoms[index + 1]
    if (atom?.heading === true && next !== undefined) atom.section = next.section
  }
}
