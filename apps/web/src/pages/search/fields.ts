import { useLoad } from '../../lib/load.ts'
import type { Field } from './filter.ts'

/** The fields of the metadata that a domain's documents have. */
export const useFields = () => useLoad(async (_signal, _domain: string): Promise<readonly Field[]> => [])
