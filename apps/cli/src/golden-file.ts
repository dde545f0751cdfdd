import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { CodedError, codeOf, messageOf } from '@millrace/errors'

export interface Problem {
  readonly path: string
  readonly code: string
  readonly message: string
}

/** A file, or standard input. @throws CodedError NO_SUCH_FILE */
export async function readBytes(path: string, stdin: Readable): Promise<Buffer> {
  if (path === '-') return buffer(stdin)
  return readFile(path).catch((cause: unknown) => {
    const why = codeOf(cause) === 'ENOENT' ? 'There is no file' : `${messageOf(cause)}:`
    throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
  })
}

export interface ReadGolden {
  /** As the server takes it. */
  readonly body: { readonly csv: string } | { readonly questions: readonly unknown[] }
  /** Lines that are no question at all. */
  readonly problems: readonly Problem[]
  /** Where the question of an index is. */
  readonly nameOf: (index: number) => string
}

/**
 * A file of questions: JSON when it is JSON, a JSON object a line when its first line is one, else CSV, which the server
 * reads.
 * @throws CodedError INVALID_UTF8, INVALID_JSON
 */
export function readGolden(bytes: Uint8Array, path: string): ReadGolden {
  const name = path === '-' ? 'standard input' : path
  const text = decode(bytes, name)
  if (!/^\s*[[{]/.test(text)) {
    return { body: { csv: text }, problems: [], nameOf: (index) => `${name} row ${index + 1}` }
  }
  const whole = parse(text)
  if (Array.isArray(whole)) {
    return { body: { questions: whole }, problems: [], nameOf: (index) => `${name} question ${index + 1}` }
  }
  if (whole !== undefined && hasQuestions(whole)) {
    return {
      body: { questions: whole.questions },
      problems: [],
      nameOf: (index) => `${name} question ${index + 1}`,
    }
  }
  return readLines(text, name)
}

const hasQuestions = (value: unknown): value is { readonly questions: readonly unknown[] } =>
  value !== null && typeof value === 'object' && 'questions' in value && Array.isArray(value.questions)

function readLines(text: string, name: string): ReadGolden {
  const lines = text
    .split('\n')
    .map((line, n) => ({ number: n + 1, line }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ number, line }) => ({ number, value: parse(line) }))
  const good = lines.filter(({ value }) => value !== null && typeof value === 'object')
  if (good.length === 0) {
    throw new CodedError('INVALID_JSON', `${name} is no JSON`, {
      hint: 'Write {"questions": [{"question": "…", "documentId": "…"}]}, or such a question a line',
    })
  }
  const problems = lines
    .filter((line) => !good.includes(line))
    .map(({ number }) => ({
      path: `${name}:${number}`,
      code: 'INVALID_JSON',
      message: 'The line is no JSON object',
    }))
  return {
    body: { questions: good.map(({ value }) => value) },
    problems,
    nameOf: (index) => `${name}:${good[index]?.number ?? '?'}`,
  }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new CodedError('INVALID_UTF8', `${name} is not UTF-8`, { hint: 'Save it as UTF-8', cause })
  }
}

/** Undefined for what is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
