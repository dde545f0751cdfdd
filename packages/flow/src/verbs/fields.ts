import { type Db, type FieldsRow, metadataFields } from '@millrace/store'
import type { Domain } from './domains.js'

export { FIELD_TYPES } from '@millrace/store'

export type Fields = FieldsRow

/** What the newest documents of a domain have in their metadata: the fields that a filter of a search can name. */
export const domainFields = (
  { db }: { readonly db: Db },
  { generationId }: Pick<Domain, 'generationId'>,
): Promise<Fields> => metadataFields(db, generationId)
