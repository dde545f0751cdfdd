import type { Runner } from '@millrace/models/quantize/session'
import { type Figure, figure } from './figure.js'

/** Texts × tokens of a pass. */
const SHAPES = [
  [1, 32],
  [16, 32],
  [4, 128],
  [1, 512],
] as const

/** A short pass is repeated until one of its turns was undisturbed. */
const SHAPE_MS_MIN = 2_000

/** A vocabulary that every model has; which ids they are makes no difference to the time. */
const IDS = 20_000

/**
 * One graph over another, in turns, so that what else the machine does hits both; the best of the rounds counts.
 * @param output the only output that is computed
 */
export async function speeds(
  name: string,
  float: Runner,
  integer: Runner,
  output: string,
  rounds = 4,
): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [batch, tokens] of SHAPES) {
    const rows = Array.from({ length: batch }, (_, i) =>
      Int32Array.from({ length: tokens }, (_, j) => 5 + (((i * tokens + j) * 7_919) % IDS)),
    )
    const best = { float: Number.POSITIVE_INFINITY, integer: Number.POSITIVE_INFINITY }
    const started = performance.now()
    for (let round = 0; round <= rounds || performance.now() - started < SHAPE_MS_MIN; round++) {
      const times = { float: await timed(float, rows, output), integer: await timed(integer, rows, output) }
      // The first pass of a shape plans its memory.
      if (round === 0) continue
      best.float = Math.min(best.float, times.float)
      best.integer = Math.min(best.integer, times.integer)
    }
    const at = `${name}: ${batch} × ${tokens} tokens`
    figures.push(
      figure(`${at}, int8-row`, (batch * tokens * 1_000) / best.integer, 'tokens/s'),
      figure(`${at}, int8-row over float32`, best.float / best.integer, 'x'),
    )
  }
  return figures
}

async function timed(runner: Runner, rows: readonly Int32Array[], output: string): Promise<number> {
  const started = performance.now()
  await runner.run(rows, [output])
  return performance.now() - started
}
