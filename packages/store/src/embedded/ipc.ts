/** What the parent and the database's process say to each other. */

export interface OpenMessage {
  readonly type: 'open'
  /** The folder of the database itself. */
  readonly folder: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly idleInTransactionMs: number
  readonly bytesMax: number
}

export type ParentMessage = OpenMessage | { readonly type: 'close' }

export type ChildMessage =
  | { readonly type: 'ready'; readonly port: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly hint?: string }
