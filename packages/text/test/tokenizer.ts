import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Tokenizer } from 'tokenizers'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const SHARED = process.env.MILLRACE_SHARED ?? `${ROOT}../shared`

/** The real tokenizer of a model of the repository, as a counter; undefined when its files are nowhere. */
export function tokenizerOf(model: string): ((texts: string[]) => Promise<number[]>) | undefined {
  const file = [`${ROOT}models/${model}/tokenizer.json`, `${SHARED}/models/${model}/tokenizer.json`].find(
    existsSync,
  )
  if (file === undefined) {
    const line = `${model}: no tokenizer.json in models/ or MILLRACE_SHARED, its tests did not run`
    if (process.env.CI === 'true') throw new Error(line)
    console.warn(line)
    return undefined
  }
  const tokenizer = Tokenizer.fromFile(file)
  tokenizer.disableTruncation()
  tokenizer.disablePadding()
  return async (texts) => (await tokenizer.encodeBatch(texts)).map((encoding) => encoding.getLength())
}
