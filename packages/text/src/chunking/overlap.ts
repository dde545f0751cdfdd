import { type Atom, isHeadingLevel, LEVEL } from './level.js'

/** Where text may be repeated: whether an atom may be a repetition's first, and whether none may reach behind it. */
export interface OverlapRule {
  readonly mayStart: (atom: Atom) => boolean
  readonly mayNotCross: (atom: Atom) => boolean
}

/** From the start of a sentence, a line or a block; never back over a heading. */
export const OVERLAP_BY_SENTENCE: OverlapRule = {
  mayStart: (atom) => atom.level >= LEVEL.line || atom.level === LEVEL.glue,
  mayNotCross: (atom) => isHeadingLevel(atom.level),
}

/** From any word. */
export const OVERLAP_BY_WORD: OverlapRule = { mayStart: () => true, mayNotCross: () => false }

/**
 * Where the chunk that consists of atoms [from, …) starts once it repeats up to `overlap` tokens of what precedes it:
 * an index of an atom at most `from`, at least `least`.
 */
export function overlapStart(
  atoms: readonly Atom[],
  from: number,
  overlap: number,
  rule: OverlapRule,
  least = 0,
): number {
  let best = from
  let weight = 0
  for (let index = from; index > least; index--) {
    const here = atoms[index]
    const before = atoms[index - 1]
    if (here === undefined || before === undefined || rule.mayNotCross(here)) break
    weight += before.weight
    if (weight > overlap) break
    if (rule.mayStart(before)) best = index - 1
  }
  return best
}
