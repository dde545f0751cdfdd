import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'

const read = (path: string) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8')
const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2 }

/** Variable and default, of every row of the table. */
const documentedIn = (markdown: string): Map<string, string> =>
  new Map(
    [...markdown.matchAll(/^\| `([A-Z_]+)` \|([^|]*)\|/gm)].map(([, name = '', fallback = '']) => [
      name,
      fallback.replaceAll('`', '').trim(),
    ]),
  )

/** `16 MiB` or `8192`; undefined for what is not a number. */
function numberIn(cell: string): number | undefined {
  const [, digits, unit] = /^(\d+)(?: (KiB|MiB))?$/.exec(cell) ?? []
  return digits === undefined
    ? undefined
    : Number(digits) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN))
}

/** `16 * MIB` or `8_192`, as it is written in the source. */
function numberOf(expression: string): number {
  const units: Readonly<Record<string, number>> = { KIB: 1024, MIB: 1024 ** 2 }
  return expression
    .split('*')
    .map((factor) => units[factor.trim()] ?? Number(factor.replaceAll('_', '')))
    .reduce((product, factor) => product * factor, 1)
}

describe('docs/settings.md', () => {
  let documented: Map<string, string>
  let source: string
  beforeAll(async () => {
    documented = documentedIn(await read('docs/settings.md'))
    source = await read('packages/flow/src/settings.ts')
  })

  test('has every setting that is read, and no other', () => {
    const names = [...source.matchAll(/\benv, '([A-Z_]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(20)
    expect([...documented.keys()].sort()).toEqual([...new Set(names)].sort())
  })

  test('has the defaults that are in force', () => {
    const numbers = [...source.matchAll(/integer\(env, '([A-Z_]+)', \{ fallback: ([^,]+),/g)]
    expect(numbers.length).toBeGreaterThan(10)
    for (const [, name = '', fallback = ''] of numbers) {
      expect({ name, default: numberIn(documented.get(name) ?? '') }).toEqual({
        name,
        default: numberOf(fallback),
      })
    }
    const texts = [...source.matchAll(/text\(env, '([A-Z_]+)'\) \?\? '([^']+)'/g)]
    expect(texts.length).toBeGreaterThan(2)
    for (const [, name = '', fallback = ''] of texts) expect(documented.get(name)).toBe(fallback)
  })
})
