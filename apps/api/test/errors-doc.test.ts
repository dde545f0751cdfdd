import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { STATUS } from '@millrace/api'
import { beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** The rows of the table under a heading, each as its cells. */
function rowsUnder(markdown: string, heading: string): string[][] {
  const section = markdown.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))
  if (section === undefined) throw new Error(`docs/errors.md has no section "${heading}"`)
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

const codesIn = (cell = ''): string[] =>
  [...cell.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code = '']) => code)

/** Every TypeScript file of packages and apps, as it is written. */
async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>()
  for (const group of ['packages', 'apps']) {
    for (const name of await readdir(join(ROOT, group))) {
      const folder = join(group, name, 'src')
      const files = await readdir(join(ROOT, folder), { recursive: true }).catch(() => [])
      for (const file of files.filter((path) => path.endsWith('.ts'))) {
        sources.set(join(folder, file), await readFile(join(ROOT, folder, file), 'utf8'))
      }
    }
  }
  return sources
}

/** Codes that a text of TypeScript or SQL gives to errors. */
const given = (source: string): string[] =>
  [
    ...source.matchAll(/new CodedError\(\s*'([A-Z][A-Z0-9_]+)'/g),
    ...source.matchAll(/\b(?:code: |error_code = )'([A-Z][A-Z0-9_]+)'/g),
  ].map(([, code = '']) => code)

/** Where documents are refused one by one. */
const REFUSERS = [
  'packages/flow/src/accept.ts',
  'packages/flow/src/external.ts',
  'packages/flow/src/verbs/stream.ts',
  'apps/api/src/intake/multipart.ts',
  'apps/api/src/routes/documents.ts',
]

const reasonsIn = (source: string): string[] =>
  [...source.matchAll(/\bcode: '([A-Z][A-Z0-9_]+)'/g)].map(([, code = '']) => code)

/** Nobody outside sees these: our own code gave up, is stopping, or tries again. */
const INSIDE = new Set(['ABORTED', 'ENGINE_CLOSED', 'EXTRACTOR_CLOSED', 'PREPARE_CRASHED'])

describe('docs/errors.md', () => {
  let docs: string
  let sources: Map<string, string>
  beforeAll(async () => {
    docs = await readFile(join(ROOT, 'docs/errors.md'), 'utf8')
    sources = await readSources()
  })

  test('has every code of HTTP with its status, and no other', () => {
    const documented = rowsUnder(docs, 'Over HTTP').map(([code, status]) => [
      codesIn(code)[0],
      Number(status),
    ])
    expect(Object.fromEntries(documented)).toEqual({ ...STATUS, INTERNAL: 500 })
    expect(documented).toHaveLength(Object.keys(STATUS).length + 1)
  })

  test('has every reason for which a document is rejected, and no other', () => {
    const reasons = REFUSERS.flatMap((path) => reasonsIn(sources.get(path) ?? ''))
    const documented = rowsUnder(docs, 'Rejected documents').flatMap(([code]) => codesIn(code))
    expect(documented.sort()).toEqual([...new Set(reasons)].sort())
  })

  test('has every code that anything in packages and apps gives to an error', () => {
    const documented = new Set(codesIn(docs))
    const missing = [...sources].flatMap(([path, source]) =>
      given(source)
        .filter((code) => !documented.has(code) && !INSIDE.has(code))
        .map((code) => `${code} in ${path}`),
    )
    expect(missing).toEqual([])
  })

  test('has no code that nothing gives', () => {
    const known = new Set([...[...sources.values()].flatMap(given), ...Object.keys(STATUS), 'INTERNAL'])
    const tables = ['Rejected documents', 'Failed documents', 'At the start', 'At the command line']
    const documented = tables.flatMap((heading) =>
      rowsUnder(docs, heading).flatMap(([code]) => codesIn(code)),
    )
    expect(documented.filter((code) => !known.has(code))).toEqual([])
  })

  test('says for every code what it means and what to do', () => {
    const rows = docs.split('\n').filter((line) => line.startsWith('| `'))
    expect(rows.length).toBeGreaterThan(50)
    for (const row of rows) expect(row).toMatch(/^\|(?: [^|]*[^| ][^|]* \|){3,4}$/)
  })
})
