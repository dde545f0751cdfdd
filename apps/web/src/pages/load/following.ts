import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { answer, api } from '../../api/client.ts'
import { asProblem, isAborted, type Problem } from '../../api/problem.ts'
import { ask, follow, type Ingestion, type Link } from './follow.ts'
import { isOver, totalOf } from './totals.ts'

/** A browser has six connections to a server; streams leave the rest for everything else. */
const STREAMS_MAX = 2
/** Those that have no stream are asked for together. */
const ASK_MS = 4_000
const LISTED = 1_000

/** Follows the ingestions of one load, however many they are, and tells them as one. */
export function useFollowing(ids: () => readonly string[]) {
  const known = shallowRef<ReadonlyMap<string, Ingestion>>(new Map())
  const problem = shallowRef<Problem>()
  const link = ref<Link>('live')
  let control = new AbortController()
  let waiting: string[] = []
  let taken = new Set<string>()
  let streams = 0
  let timer: ReturnType<typeof setInterval> | undefined

  const keep = (some: readonly Ingestion[]) => {
    const next = new Map(known.value)
    for (const one of some) next.set(one.id, one)
    known.value = next
  }
  const pump = () => {
    while (streams < STREAMS_MAX && waiting.length > 0) {
      const id = waiting.shift()
      if (id === undefined) return
      streams++
      void stream(id, control.signal)
    }
  }
  const stream = async (id: string, signal: AbortSignal) => {
    try {
      const onLink = (now: Link) => {
        link.value = now
      }
      await follow(id, { signal, onChange: (ingestion) => keep([ingestion]), onLink })
    } catch (error) {
      if (!signal.aborted) problem.value = asProblem(error)
    }
    if (signal.aborted) return
    streams--
    pump()
  }
  /** Those that wait for a stream, or are followed by nobody yet. */
  const askTogether = async (wanted: readonly string[], signal: AbortSignal) => {
    const [first] = wanted
    if (first === undefined) return
    try {
      const { domain } = known.value.get(first) ?? (await ask(first, signal))
      keep(await listed(domain, new Set(wanted), signal))
      problem.value = undefined
    } catch (error) {
      if (!isAborted(error) && known.value.size === 0) problem.value = asProblem(error)
    }
  }
  const take = async (wanted: readonly string[]) => {
    const added = wanted.filter((id) => !taken.has(id))
    for (const id of added) taken.add(id)
    const { signal } = control
    // One by one they come by their streams; of many most have long ended.
    if (added.length > STREAMS_MAX) await askTogether(added, signal)
    if (signal.aborted) return
    const isOpen = (id: string) => {
      const ingestion = known.value.get(id)
      return ingestion === undefined || !isOver(ingestion)
    }
    waiting.push(...added.filter(isOpen))
    pump()
  }
  const restart = () => {
    control.abort()
    control = new AbortController()
    waiting = []
    taken = new Set()
    streams = 0
    problem.value = undefined
    void take(ids())
  }
  watch(
    ids,
    (now) => {
      // Of another load nothing is known yet; one that grows goes on.
      if ([...taken].some((id) => !now.includes(id))) {
        known.value = new Map()
        restart()
      } else void take(now)
    },
    { immediate: true },
  )
  timer = setInterval(() => void askTogether(waiting, control.signal), ASK_MS)
  onScopeDispose(() => {
    clearInterval(timer)
    control.abort()
  })
  const ingestions = computed(() => ids().flatMap((id) => known.value.get(id) ?? []))
  const total = computed(() => totalOf(ingestions.value))
  return { ingestions, total, problem, link, restart, keep }
}

/** The ingestions with these ids, by as few pages of the listing as there are. */
async function listed(
  domain: string,
  wanted: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<readonly Ingestion[]> {
  const oldest = Math.min(...[...wanted].map(Number))
  const found: Ingestion[] = []
  let cursor: string | null = String(Math.max(...[...wanted].map(Number)) + 1)
  while (cursor !== null && Number(cursor) > oldest) {
    const page: { ingestions: Ingestion[]; cursor: string | null } = await answer(
      api.GET('/v1/domains/{name}/ingestions', {
        params: { path: { name: domain }, query: { cursor, limit: LISTED } },
        signal,
      }),
    )
    found.push(...page.ingestions.filter(({ id }) => wanted.has(id)))
    cursor = page.cursor
  }
  return found
}
