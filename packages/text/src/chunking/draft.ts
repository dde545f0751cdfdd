import type { Counter } from './count.js'
import type { Atom } from './level.js'
import { type OverlapRule, overlapStart } from './overlap.js'

/** Atoms meant for one chunk, and the limit they were packed to: tokens, context and special tokens included. */
export interface Group {
  readonly atoms: readonly Atom[]
  readonly limit: number
  /** Index of the parent it lies in; 0 where there are none. */
  readonly parent: number
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

/** The spans of groups, extended back by the overlap (never into another parent), white space trimmed from both ends. */
export function draftsOf(
  text: string,
  groups: readonly Group[],
  overlap: number,
  rule: OverlapRule,
): Draft[] {
  const atoms = overlap > 0 ? groups.flatMap((group) => group.atoms) : []
  let next = 0
  let least = 0
  let parent = 0
  return groups.map((group) => {
    const own = group.atoms[0]?.start ?? 0
    if (group.parent !== parent) least = next
    parent = group.parent
    const first = overlap > 0 ? atoms[overlapStart(atoms, next, overlap, rule, least)] : undefined
    next += group.atoms.length
    return draft(text, group, first?.start ?? own, group.atoms.at(-1)?.end ?? own)
  })
}

function draft(text: string, group: Group, from: number, to: number): Draft {
  const { start, end } = trimmed(text, from, to)
  const counted = group.tokens !== undefined && group.start === start && group.end === end
  const { atoms, limit, parent } = group
  const base = { atoms, limit, parent, start, end, text: text.slice(start, end) }
  return counted ? { ...base, tokens: group.tokens } : base
}

/** A span without the white space at its ends. */
export function trimmed(text: string, from: number, to: number): { start: number; end: number } {
  const raw = text.slice(from, to)
  return { start: from + (LEADING.exec(raw)?.[0].length ?? 0), end: from + raw.trimEnd().length }
}

/** The section that a group belongs to. */
export const sectionOf = (group: Pick<Group, 'atoms'>): number => group.atoms[0]?.section ?? 0

/** Counts what each draft will be embedded as; contexts are those of the sections. */
export async function count(
  drafts: readonly Draft[],
  contexts: readonly string[],
  counter: Counter,
): Promise<Counted[]> {
  const counts = await counter.full(
    drafts.filter(isOpen).map((draft) => (contexts[sectionOf(draft)] ?? '') + draft.text),
  )
  let next = 0
  return drafts.map((draft) => ({ ...draft, tokens: draft.tokens ?? counts[next++] ?? 0 }))
}

const isOpen = (draft: Draft): boolean => draft.tokens === undefined

/**
 * A text's tokens are not exactly the sum of its parts' (a tokenizer sees across their edges): a draft that came out
 * larger than planned is planned again, with a limit smaller by what was too much.
 */
export async function shrink(
  drafts: readonly Counted[],
  size: number,
  plan: (atoms: readonly Atom[], limit: number) => Promise<Atom[][]>,
): Promise<Group[]> {
  const groups: Group[] = []
  for (const draft of drafts) {
    if (draft.tokens <= size) groups.push(draft)
    else {
      const limit = draft.limit - (draft.tokens - size)
      for (const atoms of await plan(draft.atoms, limit)) groups.push({ atoms, limit, parent: draft.parent })
    }
  }
  return groups
}
