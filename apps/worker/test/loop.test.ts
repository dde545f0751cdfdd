import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { openLog } from '@millrace/flow'
import { coalesce, every } from '@millrace/worker'
import { describe, expect, test } from 'vitest'

const log = openLog('silent', 'test')

/** A pass that ends when the test says so. */
function gate() {
  const ends: ((error?: Error) => void)[] = []
  let running = 0
  let atOnce = 0
  return {
    started: () => ends.length,
    atOnce: () => atOnce,
    /** Ends the newest pass. */
    end: async (error?: Error) => {
      ends.at(-1)?.(error)
      await setImmediate()
    },
    pass: async () => {
      running++
      atOnce = Math.max(atOnce, running)
      try {
        await new Promise<void>((resolve, reject) =>
          ends.push((error) => (error === undefined ? resolve() : reject(error))),
        )
      } finally {
        running--
      }
    },
  }
}

/** Whether a promise has ended by now, and how. */
async function outcome(promise: Promise<unknown>): Promise<'waiting' | 'done' | 'failed'> {
  return Promise.race([
    promise.then(
      () => 'done' as const,
      () => 'failed' as const,
    ),
    setImmediate('waiting' as const),
  ])
}

describe('every', () => {
  test('runs at once, and again after each period', async () => {
    let passes = 0
    const loop = every(20, log, 'a test', async () => {
      passes++
    })
    expect(passes).toBe(1)
    await sleep(200)
    await loop.stop()
    expect(passes).toBeGreaterThan(2)
    expect(passes).toBeLessThan(12)
  })

  test('a pass that takes longer than the period is not overtaken by the next', async () => {
    const { pass, started, end } = gate()
    const loop = every(1, log, 'a test', pass)
    await sleep(30)
    expect(started()).toBe(1)
    await end()
    await sleep(30)
    expect(started()).toBe(2)
    const stopped = loop.stop()
    await end()
    await stopped
  })

  test('an error is not its end', async () => {
    let passes = 0
    const loop = every(1, log, 'a test', async () => {
      passes++
      throw new Error('broken')
    })
    await sleep(50)
    await loop.stop()
    expect(passes).toBeGreaterThan(2)
  })

  test('stopping waits for the pass that runs and starts no other', async () => {
    const { pass, started, end } = gate()
    const loop = every(1, log, 'a test', pass)
    const stopped = loop.stop()
    expect(await outcome(stopped)).toBe('waiting')
    await end()
    await stopped
    await sleep(10)
    expect(started()).toBe(1)
  })

  test('stopping does not wait for the period to pass', async () => {
    const loop = every(60_000, log, 'a test', async () => undefined)
    await setImmediate()
    const before = performance.now()
    await loop.stop()
    expect(performance.now() - before).toBeLessThan(1_000)
  })
})

describe('coalesce', () => {
  test('asked once, runs once', async () => {
    const { pass, started, end } = gate()
    const asked = coalesce(pass)()
    expect(started()).toBe(1)
    await end()
    await asked
    expect(started()).toBe(1)
  })

  test('asked while it runs, it runs once more, however often, and never two at a time', async () => {
    const { pass, started, end, atOnce } = gate()
    const ask = coalesce(pass)
    const first = ask()
    const others = [ask(), ask(), ask()]
    expect(started()).toBe(1)
    await end()
    await first
    expect(started()).toBe(2)
    for (const other of others) expect(await outcome(other)).toBe('waiting')
    await end()
    await Promise.all(others)
    expect(started()).toBe(2)
    expect(atOnce()).toBe(1)
  })

  test('whoever asks during the second pass gets a third', async () => {
    const { pass, started, end, atOnce } = gate()
    const ask = coalesce(pass)
    const first = ask()
    const second = ask()
    await end()
    await first
    const third = ask()
    await end()
    await second
    expect(await outcome(third)).toBe('waiting')
    await end()
    await third
    expect(started()).toBe(3)
    expect(atOnce()).toBe(1)
  })

  test('asked again after it has ended, it runs again', async () => {
    let passes = 0
    const ask = coalesce(async () => {
      passes++
    })
    await ask()
    await ask()
    expect(passes).toBe(2)
  })

  test('an error reaches those who asked for that pass, and no one else', async () => {
    const { pass, started, end } = gate()
    const ask = coalesce(pass)
    const first = ask()
    first.catch(() => undefined)
    const second = ask()
    await end(new Error('broken'))
    await expect(first).rejects.toThrow('broken')
    expect(started()).toBe(2)
    await end()
    await second
    const third = ask()
    await end()
    await third
  })
})
