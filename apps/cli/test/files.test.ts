import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { findFiles, readDocument, titleIn } from 'millrace'
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
    ]) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), 'x')
    }
    await mkdir(join(folder, 'empty'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const idsOf = async (...paths: string[]) =>
    (await findFiles(paths.map((path) => join(folder, path)))).map(({ id }) => id)
  const failure = (...paths: string[]) => idsOf(...paths).catch((error: unknown) => error)

  test('a folder: its text files at any depth by their path below it, in order, hidden ones and node_modules not', async () => {
    expect(await idsOf('.')).toEqual([
      'a.txt',
      'b.md',
      'deep/er/c.MARKDOWN',
      'deep/opening hours 🕘.txt',
      'other/b.md',
    ])
  })

  test('a file: itself by its own name, whatever its extension', async () => {
    expect(await idsOf('deep/er/c.MARKDOWN')).toEqual(['c.MARKDOWN'])
    expect(await idsOf('image.png')).toEqual(['image.png'])
  })

  test('a file that is named twice is one document', async () => {
    expect(await idsOf('b.md', 'deep/../b.md', '.')).toHaveLength(5)
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

  test('a folder without text files is refused', async () => {
    expect(await failure('empty')).toMatchObject({ code: 'NO_FILES' })
  })

  test('bytes that are not UTF-8 are a problem of the file, a byte order mark is not part of the text', async () => {
    const path = join(folder, 'empty', 'latin.txt')
    await writeFile(path, Buffer.from('caf\xe9', 'latin1'))
    expect(await readDocument({ path, id: 'latin.txt' })).toEqual({
      path,
      code: 'INVALID_UTF8',
      message: 'The file is not UTF-8',
    })
    await writeFile(path, '\uFEFF# Café')
    expect(await readDocument({ path, id: 'x/latin.txt' })).toEqual({
      id: 'x/latin.txt',
      title: 'Café',
      text: '# Café',
      metadata: { path: 'x/latin.txt' },
    })
    await rm(path)
  })

  test('a file that goes before it is read is a problem of the file', async () => {
    expect(await readDocument({ path: join(folder, 'gone.md'), id: 'gone.md' })).toMatchObject({
      code: 'ENOENT',
    })
  })

  test('a heading that is a whole paragraph is cut, so that the server takes it', async () => {
    const path = join(folder, 'empty', 'long.md')
    await writeFile(path, `# ${'é'.repeat(5_000)}`)
    expect(await readDocument({ path, id: 'long.md' })).toMatchObject({ title: 'é'.repeat(500) })
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
