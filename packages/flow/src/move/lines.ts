import secureJson from 'secure-json-parse'
import type { z } from 'zod'
import { badArchive } from './archive.js'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The rows of an entry of JSON lines. @throws CodedError BAD_ARCHIVE, with the line's number */
export function readLines<T>(name: string, bytes: Buffer, schema: z.ZodType<T>): T[] {
  const text = decode(name, bytes)
  if (!text.endsWith('\n')) throw badArchive(name, 'does not end with a line')
  return text
    .slice(0, -1)
    .split('\n')
    .map((line, i) => readJson(name, line, schema, `line ${i + 1} `))
}

export function readJson<T>(name: string, text: string, schema: z.ZodType<T>, where = ''): T {
  let value: unknown
  try {
    // A key named __proto__ in somebody's metadata was refused when it was submitted.
    value = secureJson.parse(text, { protoAction: 'error', constructorAction: 'error' })
  } catch (error) {
    throw badArchive(name, `${where}is no JSON`, error)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw badArchive(
    name,
    `${where}${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not as it should be'}`,
  )
}

export function decode(name: string, bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch (error) {
    throw badArchive(name, 'is not UTF-8', error)
  }
}
