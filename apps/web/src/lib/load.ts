import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import { asProblem, isAborted, type Problem } from '../api/problem.ts'

/** After this long the page says that it still waits. */
const SLOW_MS = 3_000

export type LoadState = 'idle' | 'loading' | 'ready' | 'failed'

/**
 * A call and what became of it. The latest run wins: one that is under way is aborted. What was loaded before
 * stays shown while the next run is under way and when it fails.
 */
export function useLoad<T, A extends readonly unknown[] = []>(
  call: (signal: AbortSignal, ...args: A) => Promise<T>,
) {
  const data = shallowRef<T>()
  const problem = shallowRef<Problem>()
  const isLoading = ref(false)
  const isSlow = ref(false)
  let latest: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const settle = () => {
    clearTimeout(timer)
    isLoading.value = false
    isSlow.value = false
  }
  const abort = () => {
    latest?.abort()
    latest = undefined
    settle()
  }
  /** Resolves to what was loaded; to undefined when it failed or was overtaken. Never rejects. */
  const run = async (...args: A): Promise<T | undefined> => {
    abort()
    const mine = new AbortController()
    latest = mine
    isLoading.value = true
    timer = setTimeout(() => {
      isSlow.value = true
    }, SLOW_MS)
    try {
      const loaded = await call(mine.signal, ...args)
      if (latest !== mine) return undefined
      data.value = loaded
      problem.value = undefined
      settle()
      return loaded
    } catch (error) {
      if (latest !== mine || isAborted(error)) return undefined
      problem.value = asProblem(error)
      settle()
      return undefined
    }
  }
  onScopeDispose(abort)
  const state = computed<LoadState>(() => {
    if (isLoading.value) return 'loading'
    if (problem.value !== undefined) return 'failed'
    return data.value === undefined ? 'idle' : 'ready'
  })
  const clear = () => {
    abort()
    data.value = undefined
    problem.value = undefined
  }
  return { data, problem, isLoading, isSlow, state, run, abort, clear }
}
