import { answer, api } from '../../api/client.ts'
import { useLoad } from '../../lib/load.ts'
import { isFilterable } from './filter.ts'

/** The fields of the metadata that a domain's documents have; `sampled`: that the newest ones have. */
export const useFields = () =>
  useLoad(async (signal, name: string) => {
    const { fields, sampled } = await answer(
      api.GET('/v1/domains/{name}/fields', { params: { path: { name } }, signal }),
    )
    return { fields: fields.filter(isFilterable), sampled }
  })
