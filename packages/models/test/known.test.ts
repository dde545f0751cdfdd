import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { folderFiles } from '@millrace/embed'
import { knownModels } from '@millrace/models'
import { expect, test } from 'vitest'
import { sharedFile } from '../../embed/test/models.js'

test('bge-m3 is known: three outputs, at a commit of its repository', () => {
  expect(knownModels().get('bge-m3')).toMatchObject({
    dims: 1024,
    tokensMax: 8192,
    pooling: 'cls',
    padId: 1,
    outputs: ['dense', 'sparse', 'colbert'],
    hub: { repo: 'BAAI/bge-m3', revision: expect.stringMatching(/^[0-9a-f]{40}$/) },
  })
})

const provenance = sharedFile('models/bge-m3/PROVENANCE.md', "the hashes of bge-m3's official files")
test.skipIf(provenance === undefined)('its files are those of the official release', async () => {
  const dir = dirname(provenance ?? '')
  const known = knownModels().get('bge-m3')
  const files = known === undefined ? [] : folderFiles(known)
  expect(files).toHaveLength(11)
  const here = files.filter(({ path }) => existsSync(join(dir, path)))
  // The weights, 2.3 GB, are not in the development data.
  expect(here).toHaveLength(10)
  for (const { path, bytes, sha256 } of here) {
    const content = await readFile(join(dir, path))
    expect([path, content.length, createHash('sha256').update(content).digest('hex')]).toEqual([
      path,
      bytes,
      sha256,
    ])
  }
})
