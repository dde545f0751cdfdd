import { dot } from '@millrace/embed'
import { CodedError } from '@millrace/errors'

/** Cosines over a set of texts. */
export interface Agreement {
  readonly least: number
  readonly mean: number
}

export interface Limits extends Agreement {
  /** Between a text's vector alone and in a batch. */
  readonly batch: number
}

/**
 * What a result must reach to be offered. Measured: bge-small-zh, the hardest model at hand, has .986 and .997 over
 * 32 texts; a wrong scale or a lost matrix gives less than .8. The last is what `batchInvariant` promises.
 */
export const LIMITS: Limits = { least: 0.95, mean: 0.98, batch: 0.99999 }

/** Cosines between unit vectors, pair by pair. A vector that is no number agrees with nothing: -1. */
export function agreement(a: readonly Float32Array[], b: readonly Float32Array[]): Agreement {
  const cosines = a.map((vector, i) => {
    const cosine = dot(vector, b[i] ?? new Float32Array(vector.length))
    return Number.isFinite(cosine) ? cosine : -1
  })
  return {
    least: Math.min(...cosines),
    mean: cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length,
  }
}

/** @throws CodedError QUANTIZATION_POOR, with what it is and what it had to be */
export function requireAgreement(file: string, has: Agreement, batch: number, limits: Limits): void {
  const values: readonly (readonly [what: string, has: number, least: number])[] = [
    ['least cosine to the float model', has.least, limits.least],
    ['mean cosine to the float model', has.mean, limits.mean],
    ['least cosine of a text alone and in a batch', batch, limits.batch],
  ]
  const poor = values.filter(([, value, limit]) => !(value >= limit))
  if (poor.length === 0) return
  const said = poor.map(([what, value, limit]) => `${what} ${value.toFixed(6)}, must be ${limit}`)
  throw new CodedError('QUANTIZATION_POOR', `${file} was not kept: ${said.join('; ')}`, {
    hint: 'Use the float32 model',
    details: { ...has, batch, limits },
  })
}
