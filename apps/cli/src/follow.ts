import type { Client, Ingestion } from './client.js'

/** Event streams open at once: an ingestion of a million files is thousands of requests. */
const STREAMS_MAX = 8

export interface Follower {
  /** Takes an ingestion on; it waits while STREAMS_MAX older ones are still followed. */
  add(ingestion: string): void
  /** Resolves when all that were added have ended; rejects when one cannot be followed any more. */
  ended(): Promise<void>
  /** Leaves them alone; they go on without us. */
  stop(): void
}

/** Follows ingestions to their end, some at a time, in the order they were added; tells each as it changes. */
export function openFollower(client: Client, onChange: (ingestion: Ingestion) => void): Follower {
  const stopped = new AbortController()
  const lanes: Promise<void>[] = Array.from({ length: STREAMS_MAX }, () => Promise.resolve())
  let added = 0
  const follow = async (id: string) => {
    for await (const ingestion of client.follow(id, stopped.signal)) onChange(ingestion)
  }
  return {
    add: (id) => {
      const lane = added++ % STREAMS_MAX
      const followed = (lanes[lane] ?? Promise.resolve()).then(() => follow(id))
      // Whoever awaits ended() hears of it; before that it is not an unhandled one.
      followed.catch(() => undefined)
      lanes[lane] = followed
    },
    ended: async () => {
      await Promise.all(lanes)
    },
    stop: () => stopped.abort(),
  }
}
