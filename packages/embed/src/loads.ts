import type { CodedError } from '@millrace/errors'

/** Where a model is: not in memory, on its way, there, or refused at the last attempt. */
export type ModelState = 'absent' | 'loading' | 'ready' | 'failed'

type Load =
  | { readonly state: 'loading'; readonly promise: Promise<void>; settle(error?: CodedError): void }
  | { readonly state: 'ready' }
  | { readonly state: 'failed'; readonly error: CodedError }

/** Which models the inference thread has. */
export interface Loads {
  state(id: string): ModelState
  failure(id: string): CodedError | undefined
  /** Resolves when the model is there; many callers share one load, a failed one begins anew. */
  load(id: string): Promise<void>
  succeeded(id: string): void
  failed(id: string, error: CodedError): void
  /** The thread died with all it had: loads on their way fail. @returns the models that were there */
  lost(error: CodedError): string[]
  isLoading(): boolean
}

/** @param begin asks for a model; `succeeded` or `failed` must follow */
export function createLoads(begin: (id: string) => void): Loads {
  const loads = new Map<string, Load>()

  function finish(id: string, error?: CodedError): void {
    const load = loads.get(id)
    if (load?.state !== 'loading') return
    loads.set(id, error === undefined ? { state: 'ready' } : { state: 'failed', error })
    load.settle(error)
  }

  return {
    state: (id) => loads.get(id)?.state ?? 'absent',
    failure: (id) => {
      const load = loads.get(id)
      return load?.state === 'failed' ? load.error : undefined
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
    succeeded: (id) => finish(id),
    failed: finish,
    lost: (error) => {
      const ready: string[] = []
      for (const [id, { state }] of loads) {
        if (state === 'ready') {
          ready.push(id)
          loads.delete(id)
        } else finish(id, error)
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
