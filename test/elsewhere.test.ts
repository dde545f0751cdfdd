import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { MINILM, MODELS_DIR } from '../packages/embed/test/models.js'
import { remoteFolder, startServer, type TestServer } from '../packages/embed/test/remote-server.js'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

for (const backend of databases()) {
  describe(`a domain whose vectors a server computes, ${backend.name}`, () => {
    let vectors: TestServer
    let modelsDir: string
    let world: World
    beforeAll(async () => {
      vectors = await startServer()
      modelsDir = await mkdtemp(join(tmpdir(), 'millrace-elsewhere-'))
      const folder = remoteFolder(vectors, { attempts: 1 })
      const dir = join(modelsDir, folder.id)
      await mkdir(dir)
      await cp(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(dir, 'tokenizer.json'))
      await writeFile(join(dir, 'manifest.json'), JSON.stringify(folder))
      world = await openWorld(backend, { MODELS_DIR: modelsDir })
      await world.client.post('/v1/domains', { name: 'docs', model: folder.id, threshold: 0.5 }, z.unknown())
    })
    afterAll(async () => {
      await world?.close()
      await vectors.close()
      await rm(modelsDir, { recursive: true, force: true })
    })

    const submit = async (id: string, text: string) =>
      world.client.post('/v1/domains/docs/documents', { documents: [{ id, text }] }, submissionSchema)
    const search = async (query: string) =>
      (await world.client.post('/v1/domains/docs/search', { query, k: 1 }, searchSchema)).hits

    test('takes documents and finds them', async () => {
      const { ingestion } = await submit('parcel', 'Where is my parcel?')
      expect(await world.finished(ingestion)).toMatchObject({ documents: { ready: 1 } })
      expect(await search('Where is my parcel?')).toMatchObject([{ documentId: 'parcel', similarity: 1 }])
    })

    test('says 503 to a search while the server is away; documents wait, and are found when it is back', async () => {
      vectors.answer = ({ reply }) => reply.json({ error: 'restarting' }, 503)
      const { ingestion } = await submit('refund', 'I want my money back.')
      const refused = await world.call('POST', '/v1/domains/docs/search', { query: 'money' })
      expect(refused).toMatchObject({ status: 503, body: { error: { code: 'REMOTE_UNAVAILABLE' } } })
      expect(refused.headers.get('retry-after')).toBe('1')
      const before = vectors.asked.length
      while (vectors.asked.length < before + 3) await new Promise((resolve) => setTimeout(resolve, 25))
      vectors.answer = undefined
      expect(await world.finished(ingestion)).toMatchObject({ documents: { ready: 1, failed: 0 } })
      expect(await search('I want my money back.')).toMatchObject([{ documentId: 'refund' }])
    })
  })
}
