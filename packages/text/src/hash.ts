import { createHash } from 'node:crypto'

/** What a text is embedded as; many models treat the two differently. */
export type TextKind = 'query' | 'document'

// Hashed before the text, so that a query and a document with the same words never share a vector.
const PREFIX: Readonly<Record<TextKind, Uint8Array>> = {
  document: Uint8Array.of(0x01),
  query: Uint8Array.of(0x02),
}

/**
 * The key of a vector within a generation: SHA-256 (32 bytes) over a byte for the kind and the UTF-8 bytes of the
 * exact string given to the tokenizer, template and context included.
 */
export function textHash(kind: TextKind, embedded: string): Buffer {
  return createHash('sha256').update(PREFIX[kind]).update(embedded, 'utf8').digest()
}
