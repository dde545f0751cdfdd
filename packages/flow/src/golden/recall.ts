/** What counts as the same similarity: more than float32 loses, less than what tells two passages apart. */
const SAME = 1e-6

/**
 * Recall@k of one query: how many of its first k are as near as the exact k-th, over k (or over all there are). Passages
 * that are equally near count alike, as in ann-benchmarks (Aumüller, Bernhardsson, Faithfull, Information Systems 87,
 * 2020, section 3.1).
 * @param found similarities, best first
 * @param exact the true ones, at least as many
 */
export function recallAt(found: readonly number[], exact: readonly number[], k: number): number {
  const wanted = Math.min(k, exact.length)
  const least = exact[wanted - 1]
  if (least === undefined) return 1
  return Math.min(1, found.slice(0, k).filter((similarity) => similarity >= least - SAME).length / wanted)
}

/** A stored vector is nearest to itself, which says nothing of an index: both lists without it. */
export function withoutSelf(
  found: readonly number[],
  exact: readonly number[],
): { readonly found: readonly number[]; readonly exact: readonly number[] } {
  const [self] = exact
  if (self === undefined) return { found, exact }
  const first = found[0]
  return {
    found: first !== undefined && first >= self - SAME ? found.slice(1) : found,
    exact: exact.slice(1),
  }
}

/** The value that `share` of them do not exceed (nearest rank); null of none. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}
