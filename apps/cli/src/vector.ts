import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { CodedError, codeOf, messageOf } from '@millrace/errors'

/** What `search` looks for, as the server takes it. */
export type Sought = { readonly query: string } | { readonly vector: readonly unknown[] }

/**
 * The words, or the vector in a file.
 * @throws CodedError NO_QUERY unless one of the two is given, INVALID_VECTOR, NO_SUCH_FILE
 */
export async function soughtOf(
  query: string | undefined,
  path: string | undefined,
  stdin: Readable,
): Promise<Sought> {
  if (query !== undefined && path === undefined) return { query }
  if (query === undefined && path !== undefined) return { vector: await readVector(path, stdin) }
  throw new CodedError('NO_QUERY', 'Either a query or --vector is taken', {
    hint: '`millrace help search` says what it takes',
  })
}

/**
 * A JSON array; what is in it is the server's to judge.
 * @param path a file, `-` for `stdin`
 */
async function readVector(path: string, stdin: Readable): Promise<readonly unknown[]> {
  const json = await text(path === '-' ? stdin : createReadStream(path)).catch((cause: unknown) => {
    const why = codeOf(cause) === 'ENOENT' ? 'There is no file' : `${messageOf(cause)}:`
    throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
  })
  const value = parse(json)
  if (Array.isArray(value)) return value
  const where = path === '-' ? 'Standard input' : path
  throw new CodedError('INVALID_VECTOR', `${where} is no JSON array`, {
    hint: 'Write it like [0.12, -0.5, 0.3]',
  })
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
