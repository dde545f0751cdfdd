import { type Atom, LEVEL } from './level.js'

/** A section below this share of a chunk is too little to stand alone. */
const TINY_SHARE = 1 / 8

/**
 * Runs of atoms, a section each; a tiny one (a title with a line of introduction) goes along with the one behind it.
 * Which does depends on a section's own size alone, so an edit moves nothing but its own section's start or end.
 */
export function bySection(atoms: readonly Atom[], size: number): Atom[][] {
  const runs: Atom[][] = []
  let run: Atom[] = []
  /** Of the section being read. */
  let weight = 0
  for (const [index, atom] of atoms.entries()) {
    const opens = atom.heading && atom.level !== LEVEL.glue && atoms[index - 1] !== undefined
    if (opens) {
      if (weight > size * TINY_SHARE) {
        runs.push(run)
        run = []
      }
      weight = 0
    }
    run.push(atom)
    weight += atom.weight
  }
  if (run.length > 0) runs.push(run)
  return runs
}
