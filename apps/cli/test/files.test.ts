import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { findFiles, findInputs, readDocument, titleIn } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

describe('which files a path names', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-files-'))
    for (const path of [
      'b.md',
      'a.txt',
      'deep/er/c.MARKDOWN',
      'deep/opening hours 🕘.txt',
      'other/b.md',
      'image.png',
      '.hidden.md',
      '.git/x.md',
      'node_modules/y.md',
      'papers/report.PDF',
      'papers/rows.csv',
      'papers/settings.json',
      'papers/[draft].md',
      'papers/trace.log2',
    ]) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), 'x')
    }
    await mkdir(join(folder, 'empty'))
    await symlink('..', join(folder, 'deep', 'loop'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const idsOf = async (...paths: string[]) =>
    (await findFiles(paths.map((path) => join(folder, path)))).map(({ id }) => id)
  const failure = (...paths: string[]) => idsOf(...paths).catch((error: unknown) => error)

  test('a folder: what can be read at any depth by its path below it, in order; hidden files and node_modules not', async () => {
    expect(await idsOf('.')).toEqual([
      'a.txt',
      'b.md',
      'deep/er/c.MARKDOWN',
      'deep/opening hours 🕘.txt',
      'other/b.md',
      'papers/[draft].md',
      'papers/report.PDF',
      'papers/rows.csv',
    ])
  })

  test('what is left out is counted by kind; links are not followed, so that loops end', async () => {
    const { ignored } = await findInputs([folder])
    expect(ignored).toEqual({ '.png': 1, links: 1, '.json': 1, '.log2': 1 })
  })

  const found = async (paths: readonly string[], options = {}) =>
    (await findInputs(paths, options)).inputs.map((input) => ('id' in input ? [input.kind, input.id] : input))

  test('a pattern: ids are paths below its fixed part; a spelled extension takes what folders leave out', async () => {
    expect(await found([join(folder, '**/*.md')])).toEqual([
      ['text', 'b.md'],
      ['text', 'other/b.md'],
      ['text', 'papers/[draft].md'],
    ])
    expect(await found([join(folder, 'papers/*')])).toEqual([
      ['text', '[draft].md'],
      ['file', 'report.PDF'],
      ['file', 'rows.csv'],
    ])
    expect(await found([join(folder, 'papers/*.log2')])).toEqual([['text', 'trace.log2']])
    // A name that only looks like a pattern.
    expect(await found([join(folder, 'papers/[draft].md')])).toEqual([['text', '[draft].md']])
    await expect(found([join(folder, '**/*.nope')])).rejects.toMatchObject({ code: 'NO_FILES' })
  })

  test('lines and rows: when they are named and have a text, or with rows, or never', async () => {
    const named = join(folder, 'empty', 'faq.csv')
    const lines = join(folder, 'empty', 'notes.jsonl')
    const other = join(folder, 'empty', 'prices.tsv')
    await writeFile(named, '\uFEFFid;"text";team\n')
    await writeFile(lines, '{}')
    await writeFile(other, 'a\tb\n')
    expect(await found([named, lines, other])).toEqual([
      { kind: 'rows', path: named },
      { kind: 'lines', path: lines },
      ['file', 'prices.tsv'],
    ])
    expect(await found([other], { columns: { text: 'b' } })).toEqual([{ kind: 'rows', path: other }])
    expect(await found([named, lines], { rows: false })).toEqual([
      ['file', 'faq.csv'],
      ['file', 'notes.jsonl'],
    ])
    expect(await found([join(folder, 'empty')], { rows: true })).toMatchObject([
      { kind: 'rows' },
      { kind: 'lines' },
      { kind: 'rows' },
    ])
    for (const path of [named, lines, other]) await rm(path)
  })

  test('URLs as arguments and from a list; standard input in its formats', async () => {
    const list = join(folder, 'empty', 'list')
    await writeFile(list, '# ours\nhttps://example.org/a\n\n https://example.org/b \n')
    expect(await found(['HTTPS://example.org/?q=*'], { urls: list })).toEqual([
      { kind: 'url', url: 'HTTPS://example.org/?q=*' },
      { kind: 'url', url: 'https://example.org/a' },
      { kind: 'url', url: 'https://example.org/b' },
    ])
    await rm(list)
    expect(await found(['-'])).toEqual([{ kind: 'lines', path: '-' }])
    expect(await found(['-'], { format: 'csv' })).toEqual([{ kind: 'rows', path: '-' }])
    expect(await found(['-'], { format: 'text', id: 'a' })).toEqual([['typed', 'a']])
    await expect(found([])).rejects.toMatchObject({ code: 'NO_FILES' })
  })

  test('a file: itself by its own name, whatever its extension', async () => {
    expect(await idsOf('deep/er/c.MARKDOWN')).toEqual(['c.MARKDOWN'])
    expect(await idsOf('image.png')).toEqual(['image.png'])
  })

  test('a file that is named twice is one document', async () => {
    expect(await idsOf('b.md', 'deep/../b.md', '.')).toHaveLength(8)
  })

  test('two files that would be one document are refused, with both paths', async () => {
    expect(await failure('b.md', 'other/b.md')).toMatchObject({
      code: 'DUPLICATE_ID',
      message: `${join(folder, 'b.md')} and ${join(folder, 'other/b.md')} would both be document "b.md"`,
    })
  })

  test('a path that is not there is refused by its name', async () => {
    expect(await failure('b.md', 'nope')).toMatchObject({
      code: 'NO_SUCH_FILE',
      message: `There is no file or folder ${join(folder, 'nope')}`,
    })
  })

  test('a folder with nothing that can be read is refused', async () => {
    expect(await failure('empty')).toMatchObject({ code: 'NO_FILES' })
  })

  test('bytes that are not UTF-8 are for the server to read, a byte order mark is not part of the text', async () => {
    const path = join(folder, 'empty', 'latin.txt')
    await writeFile(path, Buffer.from('caf\xe9', 'latin1'))
    expect(await readDocument({ kind: 'text', path, id: 'latin.txt' })).toEqual({
      kind: 'file',
      path,
      id: 'latin.txt',
    })
    await writeFile(path, '\uFEFF# Café')
    expect(await readDocument({ kind: 'text', path, id: 'x/latin.txt' })).toEqual({
      id: 'x/latin.txt',
      title: 'Café',
      text: '# Café',
      metadata: { path: 'x/latin.txt' },
    })
    await rm(path)
  })

  test('a file that goes before it is read is a problem of the file', async () => {
    expect(await readDocument({ kind: 'text', path: join(folder, 'gone.md'), id: 'gone.md' })).toMatchObject({
      code: 'ENOENT',
    })
  })

  test('a heading that is a whole paragraph is cut, so that the server takes it', async () => {
    const path = join(folder, 'empty', 'long.md')
    await writeFile(path, `# ${'é'.repeat(5_000)}`)
    expect(await readDocument({ kind: 'text', path, id: 'long.md' })).toMatchObject({
      title: 'é'.repeat(500),
    })
    await rm(path)
  })
})

test.each([
  { name: 'front matter before a heading', text: '---\ntitle: Front\n---\n# Heading', title: 'Front' },
  { name: 'YAML quoting and CRLF', text: '---\r\ntitle: "A: b"\r\n---\r\n# x', title: 'A: b' },
  { name: 'a block scalar', text: '---\ntitle: >\n  Two\n  lines\n---\n', title: 'Two lines' },
  {
    name: 'a number is a title too, as it is written',
    text: '---\ntitle: 2024\n---\n# Heading',
    title: '2024',
  },
  { name: 'front matter without one', text: '---\ntags: [a]\n---\n# Heading', title: 'Heading' },
  { name: 'a blank one', text: '---\ntitle: " "\n---\n# Heading', title: 'Heading' },
  { name: 'what only looks like front matter', text: '---\na: [b\n---\n# Heading', title: 'Heading' },
  { name: 'the first heading, of any level', text: 'Before.\n\n## Second ##\n\n# First', title: 'Second' },
  { name: 'an underlined heading', text: 'Heading\n=======\n\ntext', title: 'Heading' },
  { name: 'no heading in code', text: '```\n# comment\n```\n\n# Heading', title: 'Heading' },
  { name: 'nothing to go by', text: 'Just a text.', title: undefined },
])('the title of a text: $name', ({ text, title }) => {
  expect(titleIn(text)).toBe(title)
})
