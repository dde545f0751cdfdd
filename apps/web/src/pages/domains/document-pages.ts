import { computed, ref, shallowRef } from 'vue'
import { type Answer, answer, api } from '../../api/client.ts'
import { useLoad } from '../../lib/load.ts'
import type { State } from './states.ts'

type Listed = Answer<'/v1/domains/{name}/documents', 'get'>['documents'][number]
/** What a row shows: a hundred thousand of them are kept, so no more than that. */
export type DocumentRow = Pick<
  Listed,
  'id' | 'title' | 'state' | 'chunkCount' | 'tokens' | 'ageSeconds' | 'waiting' | 'error'
>

/** The first page is small, so that there is something to see; later ones save requests. */
const FIRST = 100
const LATER = 500

const rowOf = ({
  id,
  title,
  state,
  chunkCount,
  tokens,
  ageSeconds,
  waiting,
  error,
}: Listed): DocumentRow => ({
  id,
  title,
  state,
  chunkCount,
  tokens,
  ageSeconds,
  waiting,
  error,
})

/** The documents of a domain by their id, a page at a time. */
export function useDocumentPages() {
  const rows = shallowRef<readonly DocumentRow[]>([])
  const cursor = shallowRef<string | null>(null)
  const isBegun = ref(false)
  const of = shallowRef<{ readonly name: string; readonly state: State | '' }>({ name: '', state: '' })

  const load = useLoad(async (signal, after: string | null, limit: number) => {
    const { name, state } = of.value
    const page = await answer(
      api.GET('/v1/domains/{name}/documents', {
        signal,
        params: {
          path: { name },
          query: { limit, ...(after === null ? {} : { cursor: after }), ...(state === '' ? {} : { state }) },
        },
      }),
    )
    return { documents: page.documents.map(rowOf), cursor: page.cursor, isFirst: after === null }
  })
  const isDone = computed(() => isBegun.value && cursor.value === null)

  async function take(after: string | null, limit: number) {
    const page = await load.run(after, limit)
    if (page === undefined) return
    // Another array: who shows them has them as a prop.
    rows.value = page.isFirst ? page.documents : [...rows.value, ...page.documents]
    cursor.value = page.cursor
    isBegun.value = true
  }

  return {
    rows,
    load,
    isBegun,
    isDone,
    /** From the beginning, of this domain and in this state. What is there stays until the answer comes. */
    open: (name: string, state: State | '') => {
      if (of.value.name !== name || of.value.state !== state) {
        rows.value = []
        isBegun.value = false
      }
      of.value = { name, state }
      return take(null, FIRST)
    },
    /** The next page, unless one is under way, or the last try failed. */
    more: async () => {
      if (load.isLoading.value || load.problem.value !== undefined || !isBegun.value || isDone.value) return
      await take(cursor.value, LATER)
    },
    retry: () => (isBegun.value && !isDone.value ? take(cursor.value, LATER) : take(null, FIRST)),
  }
}
