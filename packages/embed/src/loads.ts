import type { CodedError } from '@millrace/errors'

/** Where a model is: not in memory, on its way, there, or refused at the last attempt. */
export type ModelState = 'absent' | 'loading' | 'ready' | 'failed'

type Load =
  | { readonly state: 'loading'; readonly promise: Promise<void>; settle(error?: CodedError): void }
  | { readonly state: 'ready'; readonly bytes: number | null }
  | { readonly state: 'failed'; readonly error: CodedError }

/** Which models the inference thread has. */
export interface Loads {
  state(id: string): ModelState
  failure(id: string): CodedError | undefined
  /** What `succeeded` was told; null while the model is not there. */
  bytes(id: string): number | null
  /** Resolves when the model is there; many callers share one load, a failed one begins anew. */
  load(id: string): Promise<void>
  /** @param bytes what it takes of this machine's memory, where that was measured */
  succeeded(id: string, bytes?: number): void
  failed(id: string, error: CodedError): void
  /** The thread died with all it had: loads on their way fail. @returns the models that were there */
  lost(error: CodedError): string[]
  isLoading(): boolean
}

/** @param begin asks for a model; `succeeded` or `failed` must follow */
export function createLoads(begin: (id: string) => void): Loads {
  const loads = new Map<string, Load>()

  function finish(id: string, result: Load & { readonly state: 'ready' | 'failed' }): void {
    const load = loads.get(id)
    if (load?.state !== 'loading') return
    loads.set(id, result)
    load.settle(result.state === 'failed' ? result.error : undefined)
  }

  return {
    state: (id) => loads.get(id)?.state ?? 'absent',
    failure: (id) => {
      const load = loads.get(id)
      return load?.state === 'failed' ? load.error : undefined
    },
    bytes: (id) => {
      const load = loads.get(id)
      return load?.state === 'ready' ? load.bytes : null
    },
    load: (id) => {
      const known = loads.get(id)
      if (known?.state === 'ready') return Promise.resolve()
      if (known?.state === 'loading') return known.promise
      const { promise, resolve, reject } = withResolvers()
      loads.set(id, {
        state: 'loading',
        promise,
        settle: (error) => (error === undefined ? resolve() : reject(error)),
      })
      begin(id)
      return promise
    },
    succeeded: (id, bytes) => finish(id, { state: 'ready', bytes: bytes ?? null }),
    failed: (id, error) => finish(id, { state: 'failed', error }),
    lost: (error) => {
      const ready: string[] = []
      for (const [id, { state }] of loads) {
        if (state === 'ready') {
          ready.push(id)
          loads.delete(id)
        } else finish(id, { state: 'failed', error })
      }
      return ready
    },
    isLoading: () => [...loads.values()].some(({ state }) => state === 'loading'),
  }
}

// Promise.withResolvers came with Node 22.
function withResolvers() {
  let resolve: () => void = () => undefined
  let reject: (error: CodedError) => void = () => undefined
  const promise = new Promise<void>((onDone, onError) => {
    resolve = onDone
    reject = onError
  })
  return { promise, resolve, reject }
}
