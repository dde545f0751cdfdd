import type { Priority } from '../batch.js'

/** One caller's place in the room. */
export interface Guest {
  /** Resolves when so many more texts may come in, never once the guest has left for good. */
  enter(texts: number): Promise<void>
  /** A text is done. */
  leave(): void
  /** For good, with all its texts and what it still waits for. */
  leaveAll(): void
}

interface Waiter {
  readonly guest: Guest
  readonly texts: number
  readonly enter: () => void
}

/**
 * Room for a number of bulk texts: whoever comes when it is full waits, and who has waited longest is next, so that
 * callers take turns. It is overfilled by one entry at most. Interactive texts come in at once.
 */
export function createRoom(texts: number): { guest(priority: Priority): Guest } {
  let waiters: Waiter[] = []
  let held = 0

  function letIn(): void {
    while (held < texts) {
      const next = waiters.shift()
      if (next === undefined) return
      next.enter()
    }
  }

  return {
    guest: (priority) => {
      let own = 0
      let isGone = false
      function change(by: number): void {
        own += by
        held += by
        if (by < 0) letIn()
      }
      const guest: Guest = {
        enter: (count) =>
          new Promise((resolve) => {
            if (isGone) return
            const enter = () => {
              change(count)
              resolve()
            }
            if (priority === 'interactive' || (held < texts && waiters.length === 0)) enter()
            else waiters.push({ guest, texts: count, enter })
          }),
        leave: () => {
          if (!isGone) change(-1)
        },
        leaveAll: () => {
          if (isGone) return
          isGone = true
          waiters = waiters.filter((waiter) => waiter.guest !== guest)
          change(-own)
        },
      }
      return guest
    },
  }
}
