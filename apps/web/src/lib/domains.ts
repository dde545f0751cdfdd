import { answer, api, type Domain } from '../api/client.ts'
import { useLoad } from './load.ts'

/** All domains with their settings and counts. Call `run()` to load. */
export const useDomains = () =>
  useLoad(
    async (signal): Promise<readonly Domain[]> => (await answer(api.GET('/v1/domains', { signal }))).domains,
  )
