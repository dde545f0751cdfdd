import type { ScoreKind } from './options.ts'

export interface Scale {
  readonly min: number
  readonly max: number
  readonly step: number
}

const FINE = 0.1
const STEPS = 100

/**
 * What a threshold of a kind of score moves on. Cosines and rerankers: 0 to 1, from -1 where something there is chosen.
 * Learned words, and what is fused from them, have no upper end; ranks fused (rrf) lie far below 1: then the scale
 * is as wide as the hits need.
 */
export function scaleOf(kind: ScoreKind, scores: readonly number[], threshold: number | null): Scale {
  const most = scores.reduce((all, score) => Math.max(all, score), threshold ?? 0)
  const isBounded = kind === 'dense' || kind === 'colbert' || kind === 'rerank'
  const max = isBounded || (most > FINE && most <= 1) || most <= 0 ? 1 : roundUp(most)
  const min = isBounded && (threshold ?? 0) < 0 ? -1 : 0
  return { min, max, step: max / STEPS }
}

/** The next of 1, 2, 5, 10, 20, … (times a power of ten). */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const digit = [1, 2, 5, 10].find((one) => one * power >= value) ?? 10
  return Number((digit * power).toPrecision(1))
}

/** Digits that show every step. */
export const digitsOf = ({ step }: Scale): number => Math.max(2, Math.ceil(-Math.log10(step) - 1e-9))

/** Where on the scale a value lies, 0 to 100. */
export const percentOf = ({ min, max }: Scale, value: number): number =>
  Math.min(100, Math.max(0, ((value - min) / (max - min)) * 100))

/** A stroke for every hit, as an SVG path over a width of 1,000 and a height of 10. */
export function strokesOf(scale: Scale, scores: readonly number[]): string {
  const places = new Set(scores.map((score) => Math.round(percentOf(scale, score) * 10)))
  return [...places].map((x) => `M${x} 0V10`).join('')
}
