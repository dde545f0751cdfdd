import { onMounted, onScopeDispose } from 'vue'

/** Calls at once and then `everyMs` after each answer, while the tab is seen; a hidden tab asks nothing. */
export function usePolling(call: () => Promise<unknown>, everyMs: number): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false
  const next = async () => {
    clearTimeout(timer)
    if (document.visibilityState === 'visible') await call()
    if (!isOver) timer = setTimeout(next, everyMs)
  }
  const onShow = () => {
    if (document.visibilityState === 'visible') void next()
  }
  onMounted(() => {
    document.addEventListener('visibilitychange', onShow)
    void next()
  })
  onScopeDispose(() => {
    isOver = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', onShow)
  })
}
