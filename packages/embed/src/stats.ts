import type { EngineStats } from './contract.js'

/** Both together; what `more` does not count stays. */
export const addStats = (
  sums: EngineStats,
  more: Omit<EngineStats, 'crashes'> & { crashes?: number },
): EngineStats => ({
  waiting: sums.waiting + more.waiting,
  texts: sums.texts + more.texts,
  tokens: sums.tokens + more.tokens,
  failures: sums.failures + more.failures,
  batches: sums.batches + more.batches,
  paddedTokens: sums.paddedTokens + more.paddedTokens,
  busyMs: sums.busyMs + more.busyMs,
  crashes: sums.crashes + (more.crashes ?? 0),
})
