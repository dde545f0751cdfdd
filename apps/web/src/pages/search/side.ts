import { type ComputedRef, computed, onScopeDispose, type Ref, ref, watch } from 'vue'
import { answer, api, type Domain } from '../../api/client.ts'
import { useLoad } from '../../lib/load.ts'
import type { SearchConfig, SearchLink } from './link.ts'
import { rankingOf, rerankerOf, type ScoreKind, type SearchResult, thresholdOf } from './options.ts'
import { bodyOf } from './request.ts'

/** How long a threshold rests before it is written into the address. */
const REST_MS = 250

/**
 * One configuration and what it found. It is asked without a cut, so that what lies below the threshold is there to be
 * dimmed; moving the threshold asks nothing.
 */
export function useSide(
  link: Ref<SearchLink>,
  config: Ref<SearchConfig | undefined>,
  domains: Ref<readonly Domain[] | undefined>,
  keepThreshold: (threshold: number | null | undefined) => void,
) {
  const load = useLoad(
    async (signal, name: string, asked: SearchLink, by: SearchConfig): Promise<SearchResult> => {
      const found = await answer(
        api.POST('/v1/domains/{name}/search', {
          params: { path: { name } },
          body: bodyOf(asked, by, null),
          signal,
        }),
      )
      if (!('hits' in found)) throw new Error('The answer is not of one search')
      return found
    },
  )
  const domain = computed(() => domains.value?.find(({ name }) => name === config.value?.domain))
  const kind: ComputedRef<ScoreKind> = computed(
    () =>
      load.data.value?.rankedBy ??
      (config.value === undefined || domain.value === undefined
        ? 'dense'
        : rankingOf(config.value, domain.value)),
  )

  /** What a run of the search depends on: all but the threshold. */
  const key = computed(() => {
    if (config.value === undefined || link.value.q === '' || config.value.domain === '') return ''
    const { threshold: _threshold, ...rest } = config.value
    return JSON.stringify([link.value.q, link.value.k, link.value.filter, rest])
  })
  const run = async () => {
    if (config.value === undefined || key.value === '') return load.clear()
    await load.run(config.value.domain, link.value, config.value)
  }
  watch(key, run, { immediate: true })

  return { config, domain, kind, load, run, ...useThreshold(config, domain, kind, keepThreshold) }
}

export type Side = ReturnType<typeof useSide>

function useThreshold(
  config: Ref<SearchConfig | undefined>,
  domain: Ref<Domain | undefined>,
  kind: Ref<ScoreKind>,
  keep: (threshold: number | null | undefined) => void,
) {
  /** Undefined: the domain's. */
  const chosen = ref(config.value?.threshold)
  let timer: ReturnType<typeof setTimeout> | undefined
  const begin = () => {
    clearTimeout(timer)
    chosen.value = config.value?.threshold
  }
  watch(() => config.value?.threshold, begin)
  // What was moved a moment ago is not for another ranking, and not for another page.
  watch(
    () => [config.value?.domain, config.value?.mode, config.value?.fusion, config.value?.rerank].join(),
    begin,
  )
  onScopeDispose(() => clearTimeout(timer))
  const own = computed(() => {
    if (domain.value === undefined || config.value === undefined) return null
    return thresholdOf(kind.value, domain.value, rerankerOf(config.value, domain.value))
  })
  const threshold = computed(() => (chosen.value === undefined ? own.value : chosen.value))
  const choose = (value: number | null | undefined) => {
    chosen.value = value
    clearTimeout(timer)
    timer = setTimeout(() => keep(value), REST_MS)
  }
  return { chosen, own, threshold, choose }
}
