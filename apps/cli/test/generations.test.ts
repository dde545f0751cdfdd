import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  cancelledSchema,
  generationPlanSchema,
  generationSchema,
  generationsSchema,
  switchedSchema,
} from 'millrace/generations-contract'
import { timeWithin } from 'millrace/numbers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends } from '../../../test/support/backends.js'
import { openWorld, type World } from '../../../test/support/world.js'
import { millrace } from './command.js'

const DAY = 86_400

test('a time is a number with a unit', () => {
  const read = timeWithin(60, 7 * DAY)
  expect(['90s', '10m', '2h', '7d', '60s'].map(read)).toEqual([90, 600, 7_200, 7 * DAY, 60])
  for (const wrong of ['', 'd', '-1', '90', '59s', '0d', '1.5h', '8d', '1w', '1 d', '9999999999']) {
    expect(() => read(wrong)).toThrow('with its unit, such as 90s, 10m, 2h or 1d, from 60s to 7d')
  }
})

describe('millrace generations', () => {
  let world: World
  let folder: string
  beforeAll(async () => {
    const [embedded] = backends()
    if (embedded === undefined) throw new Error('there is no backend')
    world = await openWorld(embedded)
    folder = await mkdtemp(join(tmpdir(), 'millrace-generations-'))
    const subjects = ['bread', 'coins', 'whales', 'chess', 'glass', 'rivers']
    await Promise.all(
      subjects.map((subject) =>
        writeFile(join(folder, `${subject}.md`), `# About ${subject}\n\nMuch can be said of ${subject}.\n`),
      ),
    )
    await run('ingest', folder, '--domain', 'notes', '--create')
  })
  afterAll(async () => {
    await world?.close()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  const run = (...args: string[]) => millrace(args, { MILLRACE_URL: world.url })
  const generations = (...args: string[]) => run('generations', ...args)
  async function json(...args: string[]): Promise<unknown> {
    const { code, out, err } = await generations(...args, '--json')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    return JSON.parse(out)
  }

  test('a plan says what it would take; nothing is written', async () => {
    const { code, out, err } = await generations('start', 'notes', '--storage', 'half', '--dry-run')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^notes: another generation, for a change of storage\n {2}documents +6\n/)
    expect(out).toContain('6: 6 copied, 0 embedded')
    expect(out).toContain('nothing to embed')
    const plan = generationPlanSchema.parse(await json('start', 'notes', '--size', '64', '--dry-run'))
    expect(plan.changes).toEqual(['chunking'])
    expect(generationsSchema.shape.generations.parse(await json('list', 'notes'))).toHaveLength(1)
  })

  test('without an id it is the one that is being built; where there is none, that is said', async () => {
    for (const command of ['show', 'pause', 'cancel', 'switch', 'gate', 'watch', 'thresholds']) {
      const { code, err } = await generations(command, 'notes')
      expect([command, code]).toEqual([command, 1])
      expect(err).toContain('NOTHING_IS_BUILT: No generation of "notes" is being built')
    }
  })

  test('what would change nothing, and what is no option, is refused', async () => {
    const same = await generations('start', 'notes', '--storage', 'full')
    expect(same.code).toBe(1)
    expect(same.err).toContain('NOTHING_CHANGES')
    const late = await generations('start', 'notes', '--soak', '2y')
    expect(late.err).toContain('such as 90s, 10m, 2h or 1d, from 60s to 365d.')
    expect((await generations('change', 'notes', '--soak', '10')).err).toContain('with its unit')
    const moment = await generations('start', 'notes', '--copy-since', 'yesterday')
    expect(moment.err).toContain('INVALID_REQUEST: --copy-since')
  })

  test('it is built, switched to, rolled back from, and a cancelled one is history', async () => {
    const built = generationSchema.parse(
      await json('start', 'notes', '--model', 'bge-small-zh-v1.5', '--soak', '2h', '--wait'),
    )
    expect(built).toMatchObject({ state: 'building', phase: 'complete', soakSeconds: 7_200 })
    const again = await generations('start', 'notes', '--storage', 'half')
    expect(again.err).toContain(`GENERATION_EXISTS: Generation ${built.id} of "notes" is being built already`)
    const changed = await generations('change', 'notes', '--weight', '2', '--keep-up-to-date')
    expect(changed.out).toContain('weight 2')
    expect(changed.out).toContain('stays 2 h, kept up to date')

    const tried = await run('search', 'whales', '-d', 'notes', '--generation', built.id, '--json')
    expect(JSON.parse(tried.out)).toMatchObject({ generation: built.id, model: 'bge-small-zh-v1.5' })
    const { out: none } = await generations('thresholds', 'notes')
    expect(none).toBe(
      'No threshold or level of the live generation was chosen by a person: those of the new model hold.\n',
    )
    const gate = await generations('gate', 'notes')
    expect([0, 3]).toContain(gate.code)
    expect(gate.out).toMatch(gate.code === 0 ? /^weak evidence, not refused: Over / : /^refused: Over /)

    const switched = switchedSchema.parse(await json('switch', 'notes', '--force', 'a test'))
    expect(switched.live).toBe(built.id)
    const shown = await generations('show', 'notes', built.id)
    expect(shown.out).toContain(`generation ${built.id} is live`)
    if (gate.code === 3) expect(shown.out).toMatch(/ forced +a test \(20/)
    const back = await generations('rollback', 'notes')
    expect({ code: back.code, err: back.err }).toEqual({ code: 0, err: '' })
    expect(back.out).toContain(`generation ${switched.retired} is live, ${built.id} stays for its soak time`)

    const byItself = ['--switch', 'built', '--gate', '{"required":"golden"}', '--wait']
    const held = await generations('start', 'notes', '--size', '96', ...byItself)
    expect(held).toMatchObject({
      code: 3,
      err: expect.stringContaining('GATE_FAILED: The gate requires a golden set'),
    })
    expect(held.out).toContain('is building (complete, gate refused)')
    expect(held.out).toMatch(/ gate +refused: The gate requires .*\n +tried again +20/)
    const changedAt = Date.now()
    expect((await generations('change', 'notes', '--gate', '{"overlap":0}')).out).not.toContain(
      'gate refused',
    )
    const taken = /^\d+/m.exec((await generations('list', 'notes')).out)?.[0] ?? ''
    const live = await generations('watch', 'notes', taken)
    expect(live).toMatchObject({ code: 0, out: expect.stringContaining(`generation ${taken} is live`) })
    // At once, not after the minute that a refusal waits.
    expect(Date.now() - changedAt).toBeLessThan(45_000)
    const set = await run('domains', 'set', 'notes', '--threshold', 'dense=0.2', '--threshold', 'sparse=0.5')
    expect(set).toEqual({ code: 0, out: 'notes: thresholds dense 0.2, sparse 0.5\n', err: '' })
    const unset = await run('domains', 'set', 'notes', '--threshold', 'dense=none')
    expect(unset.out).toBe('notes: thresholds dense none, sparse 0.5\n')
    const absent = await generations('start', 'notes', '--model', 'bge-m3')
    expect(absent.err).toContain('millrace models pull bge-m3')

    await json('start', 'notes', '--size', '64')
    const cancelled = cancelledSchema.parse(await json('cancel', 'notes'))
    const { out } = await generations('list', 'notes')
    expect(out).toMatch(new RegExp(`^${cancelled.id} +end(ing|ed) \\(cancelled\\)`, 'm'))
    expect(out).toMatch(new RegExp(`^${switched.retired} +retired until `, 'm'))
    const gone = await generations('switch', 'notes', cancelled.id)
    expect(gone.code).toBe(1)
  })
})
