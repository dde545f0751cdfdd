import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import {
  type EmbedFailure,
  type EmbedOutput,
  type EmbedResult,
  type Engine,
  type Output,
  type TextKind,
  termsLiteral,
  vectorLiteral,
} from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { z } from 'zod'

export interface EmbedOptions {
  readonly model: string
  readonly outputs: readonly Output[]
  /** Tokens of a window; undefined: what the model takes. */
  readonly window?: number | undefined
  /** `plain`: without the model's instruction. */
  readonly kind: TextKind
  /** Also, or for a person only, as literals for SQL. */
  readonly sql?: boolean | undefined
}

/** Texts that are embedded together: enough for full batches, little enough to hold with all their vectors. */
const TEXTS_AT_ONCE = 256
/** Numbers of a vector that a person is shown. */
const SHOWN = 6

/**
 * Embeds texts as they are given, without cleaning or chunking, and writes each result as it comes.
 * @param json one JSON document, else a few lines a text
 * @returns how many of them could not be embedded: each has its error in its place
 * @throws CodedError those of the engine
 */
export async function embedTexts(
  engine: Engine,
  options: EmbedOptions,
  texts: AsyncIterable<string> | Iterable<string>,
  out: Writable,
  json: boolean,
): Promise<number> {
  const { id, outputs: given } = engine.manifest(options.model)
  // As /v1/embed gives them: of a model without weights of words, how often the text has each of its tokens.
  const outputs = options.outputs.map(
    (output): EmbedOutput =>
      output === 'sparse' && options.sql === true && !given.includes('sparse') ? 'terms' : output,
  )
  let count = 0
  let failures = 0
  if (json) await write(out, `{"model":${JSON.stringify(id)},"texts":[`)
  for await (const batch of inBatches(texts)) {
    const { model, window, kind, sql } = options
    const results = await engine.embed({ model, outputs, window, kind, priority: 'bulk', texts: batch })
    for (const [i, result] of results.entries()) {
      if ('error' in result) failures++
      const before = json && count > 0 ? ',' : ''
      await write(
        out,
        before +
          (json
            ? JSON.stringify(jsonOf(result, options))
            : sql === true
              ? showLiterals(result)
              : show(batch[i] ?? '', result)),
      )
      count++
    }
  }
  if (json) await write(out, ']}\n')
  return failures
}

async function write(out: Writable, text: string): Promise<void> {
  if (!out.write(text)) await once(out, 'drain')
}

async function* inBatches(texts: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = []
  for await (const text of texts) {
    batch.push(text)
    if (batch.length < TEXTS_AT_ONCE) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** What was asked for, as plain JSON. */
function jsonOf(result: EmbedResult, { outputs, sql }: EmbedOptions) {
  if ('error' in result) return { error: { code: result.error.code, message: result.error.message } }
  const { vector, terms, sparse = terms, colbert, tokens, windows, truncated } = result
  return {
    tokens,
    windows,
    truncated,
    ...(outputs.includes('dense') ? { dense: [...vector] } : {}),
    ...(sparse === undefined
      ? {}
      : { sparse: Object.fromEntries([...sparse.ids].map((id, i) => [id, sparse.weights[i]])) }),
    ...(colbert === undefined
      ? {}
      : {
          colbert: Array.from({ length: colbert.count }, (_, row) => [
            ...colbert.values.subarray(row * colbert.dims, (row + 1) * colbert.dims),
          ]),
        }),
    ...(sql === true ? { sql: literalsOf(result) } : {}),
  }
}

const literalsOf = ({ vector, terms, sparse = terms }: Exclude<EmbedResult, EmbedFailure>) => ({
  ...(vector.length === 0 ? {} : { vector: vectorLiteral(vector) }),
  ...(sparse === undefined ? {} : { terms: termsLiteral(sparse) }),
})

/** A line each, and nothing else: for a variable of psql. */
const showLiterals = (result: EmbedResult): string =>
  'error' in result
    ? `-- ${result.error.code}: ${result.error.message}\n`
    : Object.values(literalsOf(result))
        .map((literal) => `${literal}\n`)
        .join('')

/** For a person: what the text took, and how each output begins. */
function show(text: string, result: EmbedResult): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim()
  const short = line.length > 60 ? `${line.slice(0, 60).toWellFormed()}…` : line
  if ('error' in result) return `"${short}"  ${result.error.code}: ${result.error.message}\n`
  const { vector, sparse, colbert, tokens, windows } = result
  const numbers = (values: Float32Array) =>
    `${[...values.subarray(0, SHOWN)].map((value) => value.toFixed(4)).join(' ')}${values.length > SHOWN ? ' …' : ''}`
  return [
    `"${short}"  ${tokens} tokens, ${windows} ${windows === 1 ? 'window' : 'windows'}\n`,
    vector.length > 0 ? `  dense    ${vector.length} dims: ${numbers(vector)}\n` : '',
    sparse === undefined ? '' : `  sparse   ${sparse.ids.length} tokens with a weight\n`,
    colbert === undefined ? '' : `  colbert  ${colbert.count} vectors of ${colbert.dims} dims\n`,
  ].join('')
}

const line = z.looseObject({ text: z.string() })

/**
 * The texts of NDJSON: a `{"text": …}` a line, blank lines left out; other fields are of no interest here.
 * @param path a file, `-` for `stdin`
 * @throws CodedError INVALID_NDJSON with the number of the line, NO_SUCH_FILE
 */
export async function* readTexts(path: string, stdin: Readable): AsyncGenerator<string> {
  const input = path === '-' ? stdin : createReadStream(path)
  let number = 0
  try {
    for await (const given of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++
      if (given.trim() !== '') yield textOf(given, number)
    }
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw new CodedError('NO_SUCH_FILE', `Cannot read ${path} (${codeOf(error)}): ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function textOf(given: string, number: number): string {
  try {
    return line.parse(JSON.parse(given)).text
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new CodedError('INVALID_NDJSON', `Line ${number} is not a {"text": …}: ${why}`, {
      hint: 'Write one JSON object with a text a line',
      cause: error,
    })
  }
}
