/** Aborts what has not moved for a while. */
export interface Watch {
  /** Aborts with the caller's signal, or when nothing moved. */
  readonly signal: AbortSignal
  /** Whether it was aborted because nothing moved. */
  isStalled(): boolean
  /** Something moved. */
  beat(): void
  stop(): void
}

/** @param stallMs how long nothing may move, in milliseconds */
export function watch(stallMs: number, caller: AbortSignal | undefined): Watch {
  const own = new AbortController()
  const timer = setTimeout(() => own.abort(), stallMs)
  return {
    signal: caller === undefined ? own.signal : AbortSignal.any([own.signal, caller]),
    isStalled: () => own.signal.aborted,
    beat: () => timer.refresh(),
    stop: () => clearTimeout(timer),
  }
}
