/** A call that is wrong, and the answer it must get. */
export interface Case {
  readonly name: string
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly status: number
  readonly code: string
}

export const DOCUMENTS = '/v1/domains/docs/documents'

export const OK = { id: 'ok', text: 'A document with nothing wrong in it.' }
