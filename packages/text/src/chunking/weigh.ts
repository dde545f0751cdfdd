import { CodedError } from '@millrace/errors'
import type { Counter } from './count.js'
import type { Atom } from './level.js'
import { DIVISIONS, divide } from './split.js'

/**
 * Characters that weigh one token at least. Ordinary text has 1 to 6 a token; WordPiece turns any word of more than 100
 * characters into one [UNK], and without this bound a megabyte of it would pass for a chunk of one token.
 */
const CHARS_A_TOKEN = 32

/** Atoms weighed at a time, so that the strings made for counting are gone before the next are made. */
const ATOMS_A_TURN = 1 << 16

/**
 * Weighs atoms and divides those that alone are too much, coarsely first, until none is left.
 * @param limit tokens of a chunk
 * @param costs what the context of each section takes of them, special tokens included
 */
export async function weigh(
  text: string,
  atoms: readonly Atom[],
  limit: number,
  costs: readonly number[],
  counter: Counter,
): Promise<readonly Atom[]> {
  let parts = atoms
  const fits = (atom: Atom): boolean => atom.weight + (costs[atom.section] ?? 0) <= limit
  await weighAll(text, parts, limit, counter)
  for (const [level, starts] of DIVISIONS) {
    if (parts.every(fits)) return parts
    parts = parts.flatMap((atom) => (fits(atom) ? atom : divide(text, atom, level, starts)))
    await weighAll(text, parts, limit, counter)
  }
  if (!parts.every(fits)) {
    throw new CodedError(
      'CHUNK_SIZE_TOO_SMALL',
      `A single character has more than the ${limit} tokens of a chunk, its context included`,
      {
        hint: 'Raise the chunk size, or shorten the context or the overlap',
      },
    )
  }
  return parts
}

async function weighAll(
  text: string,
  atoms: readonly Atom[],
  limit: number,
  counter: Counter,
): Promise<void> {
  for (let from = 0; from < atoms.length; from += ATOMS_A_TURN) {
    const turn = atoms.slice(from, from + ATOMS_A_TURN).filter((atom) => atom.weight === 0)
    // Enough to divide a huge atom without counting it first.
    for (const atom of turn) atom.weight = Math.ceil((atom.end - atom.start) / CHARS_A_TOKEN)
    const asked = turn.filter((atom) => atom.weight <= limit)
    if (asked.length === 0) continue
    const counts = await counter.bare(asked.map((atom) => text.slice(atom.start, atom.end).trim()))
    asked.forEach((atom, index) => {
      atom.weight = Math.max(atom.weight, counts[index] ?? 0)
    })
  }
}
