import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { SingleBar } from 'cli-progress'
import type { Client } from './client.js'
import { EXIT_PROBLEMS, EXIT_WORSE } from './exit.js'
import { type Generation, generationSchema } from './generations-contract.js'
import { buildNotes, isRefused } from './generations-show.js'
import { printable } from './table.js'

export const POLL_MS = 500
const SOON = 20

/** What is over: it is complete, or is not built any more. One that takes over by itself: it has, or its gate refuses. */
const isDone = (generation: Generation): boolean => {
  const { state, phase, error } = generation
  if (state !== 'building' || phase === 'incomplete' || error !== null) return true
  return phase === 'complete' && (generation.switch !== 'built' || isRefused(generation))
}

/** A bar on standard error until a build is done; less often as it takes longer. */
export async function follow(client: Client, path: string, isSilent: boolean): Promise<Generation> {
  const bar = new SingleBar({
    format: 'building {bar} {value}/{total} documents  {notes}',
    barsize: 24,
    hideCursor: true,
    noTTYOutput: false,
    stream: process.stderr,
    forceRedraw: true,
    linewrap: false,
  })
  let one = await client.get(path, generationSchema)
  if (!isSilent) bar.start(one.documents?.total ?? 0, 0, { notes: '' })
  try {
    for (let looks = 0; !isDone(one); looks++) {
      if (!isSilent) draw(bar, one)
      await sleep(looks < SOON ? POLL_MS : 2 * POLL_MS)
      one = await client.get(path, generationSchema)
    }
    if (!isSilent) draw(bar, one)
  } finally {
    if (!isSilent) bar.stop()
  }
  return one
}

function draw(bar: SingleBar, generation: Generation): void {
  const { ready = 0, failed = 0, total = 0 } = generation.documents ?? {}
  bar.setTotal(total)
  bar.update(ready + failed, { notes: buildNotes(generation).join('  ') })
}

/** Sets the exit code. @throws CodedError GENERATION_CANCELLED, or why its build cannot go on */
export function judge(generation: Generation, language: 'en' | 'zh'): void {
  const { id, state, error, documents } = generation
  if (error !== null) {
    throw new CodedError(error.code, `Generation ${id} cannot be built: ${error.message}`, {
      hint: 'It goes on by itself when that is mended; or cancel it',
    })
  }
  if (state === 'ending' || state === 'ended') {
    throw new CodedError('GENERATION_CANCELLED', `Generation ${id} has ended before it was built`, {
      hint: 'Start another one',
    })
  }
  if (isRefused(generation)) {
    process.stderr.write(`GATE_FAILED: ${printable(generation.gated?.sentence?.[language] ?? '')}\n`)
    process.exitCode = EXIT_WORSE
  } else if (state === 'building' && (documents?.failed ?? 0) > 0) process.exitCode = EXIT_PROBLEMS
}
