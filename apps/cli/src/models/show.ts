import type { BadModelFile, Imported, ListedModel, Made, Pulled } from '@millrace/models'
import { table } from '../table.js'
import { sizeText } from './units.js'

/** A row a variant; those of one model share what they have in common. */
export function showModels(models: readonly ListedModel[]): string {
  const head = ['model', 'precision', 'gives', 'dims', 'reads', 'languages', 'licence', 'size', 'where']
  const rows = models.flatMap((model) =>
    model.variants.map(({ id, precision, bytes }) => [
      id,
      precision,
      model.task === 'rerank' ? 'rerank' : model.outputs.join(','),
      String(model.dims),
      `${model.tokensMax} tokens`,
      model.languages.join(','),
      model.licence,
      sizeText(bytes),
      whereIs(model),
    ]),
  )
  return table([head, ...rows])
}

/** A folder whose manifest cannot be read: a server does not start with it. */
export interface Broken {
  readonly dir: string
  readonly message: string
}

export const showBroken = (broken: readonly Broken[]): string =>
  broken.map(({ dir, message }) => `${dir} has a manifest that cannot be read: ${message}\n`).join('')

function whereIs({ id, dir, missing, isOnHub }: ListedModel): string {
  if (dir === null) return `not here: millrace models pull ${id}`
  if (missing.length === 0) return dir
  return `${dir} lacks ${missing.join(', ')}: millrace models ${isOnHub ? `pull ${id}` : `verify ${id}`}`
}

export interface Verified {
  readonly id: string
  readonly dir: string
  readonly files: number
  readonly bytes: number
  readonly bad: readonly BadModelFile[]
}

export function showVerified(models: readonly Verified[]): string {
  return models
    .map(({ id, dir, files, bytes, bad }) => {
      if (bad.length === 0)
        return `${id}: ${files} files, ${sizeText(bytes)}, all as they should be (${dir})\n`
      const rows = bad.map(({ path, problem, has, wanted }) => [
        `  ${path}`,
        problem === 'missing'
          ? 'is missing'
          : problem === 'bytes'
            ? `has ${has} bytes, its manifest says ${wanted}`
            : `has sha256 ${has}, its manifest says ${wanted}`,
      ])
      return `${id}: ${bad.length} of ${files} files are wrong (${dir})\n${table(rows)}`
    })
    .join('')
}

export function showPulled({ id, dir, fetched, bytes }: Pulled, seconds: number): string {
  if (fetched.length === 0) return `${id} is here, every file as it should be (${dir})\n`
  const speed = seconds > 0 ? `, ${sizeText(bytes / seconds)}/s` : ''
  const files = `${fetched.length} file${fetched.length === 1 ? '' : 's'}`
  return `${id}: ${files}, ${sizeText(bytes)} in ${seconds.toFixed(1)} s${speed} (${dir})\n`
}

export const showImported = ({ id, dir, notes }: Imported): string =>
  `${id} is in ${dir}\n${notes.map((note) => `  ${note}\n`).join('')}`

export function showQuantized(
  { id, dir, bytes, floatBytes, cosine, matmuls, tables }: Made,
  seconds: number,
): string {
  return [
    `${id} is in ${dir}: ${sizeText(bytes)} instead of ${sizeText(floatBytes)}, in ${seconds.toFixed(1)} s\n`,
    `  ${matmuls} products and ${tables} tables of 8 bits; cosine to float32 at least ${cosine.least.toFixed(4)}, `,
    `${cosine.mean.toFixed(4)} on average\n`,
    `  use it as the model of a domain, or with DEFAULT_MODEL=${id}\n`,
  ].join('')
}
