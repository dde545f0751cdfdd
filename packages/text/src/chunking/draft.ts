import type { Counter } from './count.js'
import type { Atom } from './level.js'
import { type OverlapRule, overlapStart } from './overlap.js'

/** Atoms meant for one chunk, and the budget they were packed to. */
export interface Group {
  readonly atoms: readonly Atom[]
  readonly budget: number
  /** Set once counted; good as long as the span stays the same. */
  readonly start?: number
  readonly end?: number
  readonly tokens?: number
}

/** A group with its span, overlap included. */
export interface Draft extends Group {
  readonly start: number
  readonly end: number
  readonly text: string
}

export interface Counted extends Draft {
  readonly tokens: number
}

const LEADING = /^\s*/

/** The spans of groups, extended back by the overlap, white space trimmed from both ends. */
export function draftsOf(
  text: string,
  groups: readonly Group[],
  overlap: number,
  rule: OverlapRule,
): Draft[] {
  const atoms = overlap > 0 ? groups.flatMap((group) => group.atoms) : []
  let next = 0
  return groups.map((group) => {
    const own = group.atoms[0]?.start ?? 0
    const first = overlap > 0 ? atoms[overlapStart(atoms, next, overlap, rule)] : undefined
    next += group.atoms.length
    return draft(text, group, first?.start ?? own, group.atoms.at(-1)?.end ?? own)
  })
}

function draft(text: string, group: Group, from: number, to: number): Draft {
  const raw = text.slice(from, to)
  const start = from + (LEADING.exec(raw)?.[0].length ?? 0)
  const end = from + raw.trimEnd().length
  const counted = group.tokens !== undefined && group.start === start && group.end === end
  const { atoms, budget } = group
  const base = { atoms, budget, start, end, text: text.slice(start, end) }
  return counted ? { ...base, tokens: group.tokens } : base
}

/** Counts what each draft will be embedded as. */
export async function count(drafts: readonly Draft[], context: string, counter: Counter): Promise<Counted[]> {
  const counts = await counter.full(drafts.filter(isOpen).map((draft) => context + draft.text))
  let next = 0
  return drafts.map((draft) => ({ ...draft, tokens: draft.tokens ?? counts[next++] ?? 0 }))
}

const isOpen = (draft: Draft): boolean => draft.tokens === undefined

/**
 * A text's tokens are not exactly the sum of its parts' (a tokenizer sees across their edges): a draft that came out
 * larger than planned is planned again, with a budget smaller by what was too much.
 */
export async function shrink(
  drafts: readonly Counted[],
  size: number,
  plan: (atoms: readonly Atom[], budget: number) => Promise<Atom[][]>,
): Promise<Group[]> {
  const groups: Group[] = []
  for (const draft of drafts) {
    if (draft.tokens <= size) groups.push(draft)
    else {
      const budget = draft.budget - (draft.tokens - size)
      for (const atoms of await plan(draft.atoms, budget)) groups.push({ atoms, budget })
    }
  }
  return groups
}
