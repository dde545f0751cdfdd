import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Embedded, type EmbedOutput, type Engine, embedAll, openEngine } from '@millrace/embed'
import { findDomain } from '@millrace/flow'
import { weighTerms } from '@millrace/flow/search/terms'
import { type Db, insertTerms, refreshTermCounts, sweepOrphans, toSparsevec } from '@millrace/store'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODELS_DIR } from '../packages/embed/test/models.js'
import { makeTinyM3, TINY_M3, TINY_M3_ID } from '../packages/embed/test/tiny-m3.js'
import { databases } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const ENGLISH = {
  hours: 'Our support team answers from nine to five, Monday to Friday.',
  parcel: 'If your parcel did not arrive, we send a replacement.',
  code: 'Error QX-7041 means that the card was refused.',
  refund: 'Money comes back to your card within ten days.',
  cards: 'A card that was refused may be tried again: card, card and card.',
}
const CHINESE = {
  退款: '申请退款后，款项会在十天内退回您的银行卡。',
  快递: '如果快递没有送到，我们会重新发货。',
  北京: '北京的门店周一到周五营业。',
  京北: '门店在东京北面的街上。',
}

// The queue has no part in this: each kind of database once.
const kinds = databases().slice(0, 2)
for (const backend of kinds) {
  describe(`search by words, ${backend.name}`, () => {
    let modelsDir: string
    let world: World
    let db: Db
    let engine: Engine
    beforeAll(async () => {
      modelsDir = await mkdtemp(join(tmpdir(), 'millrace-sparse-'))
      if (TINY_M3 !== undefined && backend === kinds.at(-1))
        await makeTinyM3(modelsDir, { vocabulary: 'short' })
      world = await openWorld(backend, { MODELS_DIR: modelsDir, INDEX_ROWS_MIN: '5' })
      db = world.running.backends.db
      engine = openEngine({ modelDirs: [modelsDir, MODELS_DIR], threads: 1, isolation: 'thread' })
      await create('en')
      await create('zh', 'bge-small-zh-v1.5')
      await ingest('en', ENGLISH)
      await ingest('zh', CHINESE)
    })
    afterAll(async () => {
      await engine?.close()
      await world?.close()
      await rm(modelsDir, { recursive: true })
    })

    async function create(name: string, model?: string) {
      const wishes = { name, ...(model === undefined ? {} : { model }), chunking: { context: 'none' } }
      expect(await world.call('POST', '/v1/domains', wishes)).toMatchObject({ status: 201 })
    }
    async function ingest(name: string, texts: Readonly<Record<string, string>>) {
      const documents = Object.entries(texts).map(([id, text]) => ({ id, text }))
      const path = `/v1/domains/${name}/documents`
      await world.finished((await world.client.post(path, { documents }, submissionSchema)).ingestion)
    }
    const generation = async (name: string) => (await findDomain({ db }, name)).generationId
    const search = async (name: string, query: string, more: object = {}) => {
      const { status, body } = await world.call('POST', `/v1/domains/${name}/search`, {
        query,
        mode: 'sparse',
        ...more,
      })
      expect({ status, error: body.error }).toEqual({ status: 200, error: undefined })
      return (body.hits as { documentId: string; score: number }[]).map(
        (hit) => [hit.documentId, hit.score] as const,
      )
    }
    const stored = async (name: string) => {
      const rows = await db.query<{ text: string; terms: number[]; weights: string }>(
        `select c.text, t.terms, t.weights::text from millrace.terms_${await generation(name)} t
         join millrace.chunks c on c.text_hash = t.text_hash and c.generation_id = $1`,
        [await generation(name)],
      )
      return new Map(rows.map(({ text, ...row }) => [text, row]))
    }
    const embedded = async (
      model: string,
      text: string,
      outputs: readonly EmbedOutput[],
    ): Promise<Embedded> => {
      const [one] = await embedAll(engine, { model, texts: [text], kind: 'document', outputs })
      if (one === undefined) throw new Error('no result')
      return one
    }
    /** Elements as numbers: `vector::text` has them in the fewest digits. */
    const elements = (sparsevec: string) =>
      new Map(
        sparsevec
          .slice(1, sparsevec.indexOf('}'))
          .split(',')
          .map((element) => element.split(':').map(Number) as [number, number]),
      )

    test('terms are kept with the vectors, as the engine counts and bm25 weighs them', async () => {
      const rows = await stored('zh')
      expect(rows.size).toBe(4)
      for (const text of Object.values(CHINESE)) {
        const counted = await embedded('bge-small-zh-v1.5', text, ['terms'])
        const wanted = weighTerms(counted, { lexical: 'bm25', usualTokens: 256 })
        const row = rows.get(text)
        expect(row?.terms).toEqual([...(wanted?.ids ?? [])])
        const found = elements(row?.weights ?? '{}')
        expect(found.size).toBe(wanted?.ids.length)
        wanted?.ids.forEach((id, i) => {
          expect(found.get(id + 1)).toBeCloseTo(wanted.weights[i] ?? 0, 5)
        })
      }
    })

    test('exact words are found, also in Chinese, where their characters stand together', async () => {
      expect((await search('en', 'QX-7041'))[0]?.[0]).toBe('code')
      expect((await search('en', 'replacement parcel')).map(([id]) => id)).toEqual(['parcel'])
      expect((await search('zh', '退款'))[0]?.[0]).toBe('退款')
      const [first, second] = await search('zh', '北京')
      expect([first?.[0], second?.[0]]).toEqual(['北京', '京北'])
      expect(first?.[1]).toBeGreaterThan(1.5 * (second?.[1] ?? Number.NaN))
      expect(await search('en', 'xylophone')).toEqual([])
    })

    test('exact words are found in every language, as they are written or in another case', async () => {
      const written = {
        phone: '我的 iPhone 屏幕坏了',
        code: '出现错误 ERR-4512X',
        coffee: 'Le café est fermé',
        moscow: 'Поезд «Москва» опаздывает',
        refund: '환불 신청은 여기에서',
        arabic: 'طلب استرداد المبلغ',
        thai: 'ฉันต้องการคืนเงินภายในสิบวัน',
        emoji: '很好 👍 谢谢',
        singer: '歌手欧阳娜娜的演出',
        rare: '我们在𠮷野家吃饭',
      }
      const words = {
        iphone: 'phone',
        'err-4512x': 'code',
        CAFÉ: 'coffee',
        москва: 'moscow',
        환불: 'refund',
        استرداد: 'arabic',
        คืนเงิน: 'thai',
        '👍': 'emoji',
        欧阳娜娜: 'singer',
        𠮷野家: 'rare',
      }
      for (const [name, model] of [
        ['words-zh', 'bge-small-zh-v1.5'],
        ['words-en', 'all-minilm-l6-v2'],
      ] as const) {
        await create(name, model)
        await ingest(name, written)
        for (const [word, id] of Object.entries(words)) {
          expect({ name, word, first: (await search(name, word))[0]?.[0] }).toEqual({ name, word, first: id })
        }
      }
      const { body } = await world.call('POST', '/v1/embed', {
        domain: 'words-zh',
        texts: ['iPhone 👍'],
        outputs: ['sparse'],
        sql: true,
      })
      const [text] = body.texts as { sql: { terms: string } }[]
      const rows = await db.query<{ document_id: string }>(
        `select document_id from millrace.sparse_search('words-zh', $1::sparsevec, 3)`,
        [text?.sql.terms],
      )
      expect(rows.map((row) => row.document_id).sort()).toEqual(['emoji', 'phone'])
    })

    test('a generation that was made before is searched as it was made', async () => {
      await world.call('POST', '/v1/domains', { name: 'before', model: 'bge-small-zh-v1.5' })
      await db.query(`update millrace.generations set counted = 'tokens' where id = $1`, [
        await generation('before'),
      ])
      const path = '/v1/domains/before/documents'
      const documents = [{ id: 'phone', text: '我的 iPhone 屏幕坏了' }]
      await world.finished((await world.client.post(path, { documents }, submissionSchema)).ingestion)
      const { body } = await world.call('POST', '/v1/embed', {
        domain: 'before',
        texts: ['屏幕 iPhone'],
        outputs: ['sparse'],
      })
      const [text] = body.texts as { sparse: Record<string, number> }[]
      const tokens = await embedded('bge-small-zh-v1.5', '屏幕 iPhone', ['tokens'])
      expect(Object.keys(text?.sparse ?? {}).map(Number)).toEqual([...(tokens.terms?.ids ?? [])])
      expect((await search('before', '屏幕'))[0]?.[0]).toBe('phone')
      expect(await search('before', 'iPhone')).toEqual([])
    })

    test('a rare word counts more than a frequent one that is there four times', async () => {
      const hits = await search('en', 'card parcel')
      expect(hits[0]?.[0]).toBe('parcel')
      expect(hits.slice(1).map(([id]) => id)).toContain('cards')
      for (const [, score] of hits) {
        expect(score).toBeGreaterThan(0)
        expect(score).toBeLessThanOrEqual(1) // divided by the bound
      }
    })

    test('what two ways of searching find is fused', async () => {
      const hits = await search('en', 'QX-7041', { mode: 'hybrid', fusion: 'rrf', k: 5 })
      expect(hits[0]?.[0]).toBe('code')
      expect(hits).toHaveLength(5)
    })

    test('in how many texts a term is, the sweep counts when a tenth has changed', async () => {
      const id = await generation('en')
      const counts = () =>
        db.query<{ term: number; texts: number }>(
          'select term, texts from millrace.term_counts where generation_id = $1 order by term',
          [id],
        )
      const actual = () =>
        db.query<{ term: number; texts: number }>(
          `select term, count(*) as texts from millrace.terms_${id}, unnest(terms) as term
           group by term having count(*) > 1 order by term`,
        )
      await until(async () => ((await counts()).length > 0 ? true : undefined))
      expect(await counts()).toEqual(await actual())
      // Until a tenth has changed, and for a minute after: not again.
      while ((await refreshTermCounts(db)) !== undefined);
      const many = Array.from({ length: 1_200 }, (_, i) => ({
        hash: Buffer.from(`more ${i}`),
        terms: { ids: Int32Array.of(5, 1_000_000 + (i % 3)), weights: Float32Array.of(1, 1) },
      }))
      await db.transact((tx) => insertTerms(tx, id, many))
      expect(await refreshTermCounts(db)).toBeUndefined()
      await db.query(
        `update millrace.generations set terms_counted_at = now() - interval '2 minutes' where id = $1`,
        [id],
      )
      await until(async () => ((await counts()).some(({ term }) => term === 1_000_000) ? true : undefined))
      expect(await counts()).toEqual(await actual())
      // From a thousand texts on, what was counted counts: a term of one text is not in it.
      const weigh = async (ids: readonly number[]) => {
        const terms = { ids: Int32Array.from(ids), weights: new Float32Array(ids.length).fill(1) }
        const [row] = await db.query<{ weights: string; picked: number[]; bound: number }>(
          'select weights::text, picked, bound from millrace.weigh_terms($1, $2::sparsevec)',
          [id, toSparsevec(terms)],
        )
        return { ...row, weights: elements(row?.weights ?? '{}') }
      }
      const { weights, picked, bound } = await weigh([5, 1_000_000, 9_999_999])
      const idf = (n: number) => Math.log(1 + (1_205 - n + 0.5) / (n + 0.5))
      expect(weights.get(6)).toBeCloseTo(idf(1_200), 4)
      expect(weights.get(1_000_001)).toBeCloseTo(idf(400), 4)
      expect(weights.get(10_000_000)).toBeCloseTo(idf(1), 4)
      expect(picked).toEqual([5, 1_000_000, 9_999_999])
      expect(bound).toBeCloseTo(2.2 * (idf(1_200) + idf(400) + idf(1)), 3)
      // As many texts as in a domain of millions: the frequent word is not looked up beside a rarer one.
      await db.query('update millrace.generations set terms_texts = 1000000 where id = $1', [id])
      await db.query('update millrace.term_counts set texts = texts * 1000 where generation_id = $1', [id])
      expect((await weigh([5, 1_000_000])).picked).toEqual([1_000_000])
      expect((await weigh([5])).picked).toEqual([5])
      await db.query(`delete from millrace.terms_${id} where text_hash = any($1)`, [
        many.map(({ hash }) => hash),
      ])
      await db.query(
        'update millrace.generations set terms_counted_at = null, terms_texts = null where id = $1',
        [id],
      )
    })

    test('terms that nobody refers to go with their vectors', async () => {
      await ingest('en', { gone: 'Nobody will read about zeppelins.' })
      expect((await search('en', 'zeppelins')).map(([id]) => id)).toEqual(['gone'])
      const id = await generation('en')
      const count = async () =>
        (await db.query<{ texts: number }>(`select count(*)::int as texts from millrace.terms_${id}`))[0]
          ?.texts
      expect(await count()).toBe(6)
      expect((await world.call('DELETE', '/v1/domains/en/documents/gone')).status).toBeLessThan(300)
      expect(await search('en', 'zeppelins')).toEqual([])
      expect(await sweepOrphans(db, 0)).toBe(1)
      expect(await count()).toBe(5)
    })

    test.runIf(backend.isServer)(
      'a domain that is large enough gets an index of its terms, and finds the same',
      async () => {
        const index = `millrace.terms_${await generation('en')}_gin`
        await until(async () => {
          const [found] = await db.query<{ valid: boolean }>(
            'select indisvalid as valid from pg_index where indexrelid = to_regclass($1)',
            [index],
          )
          return found?.valid === true ? true : undefined
        })
        expect((await search('en', 'QX-7041'))[0]?.[0]).toBe('code')
        expect((await search('en', 'replacement parcel')).map(([id]) => id)).toEqual(['parcel'])
        expect(
          (await search('en', 'card', { filter: { 'document.id': 'cards' } })).map(([id]) => id),
        ).toEqual(['cards'])
      },
    )

    // Once: reading even the short vocabulary takes its time.
    test.runIf(TINY_M3 !== undefined && backend === kinds.at(-1))(
      'a model with a sparse head gives its own weights',
      async () => {
        await create('learned', TINY_M3_ID)
        await ingest('learned', { both: `${ENGLISH.hours} 北京的门店。`, other: ENGLISH.parcel })
        const rows = await stored('learned')
        const [[text, row] = ['', undefined]] = rows
        const { sparse } = await embedded(TINY_M3_ID, text, ['dense', 'sparse'])
        expect(sparse?.ids.length).toBeGreaterThan(3)
        expect(row?.terms).toEqual([...(sparse?.ids ?? [])])
        const found = elements(row?.weights ?? '{}')
        sparse?.ids.forEach((id, i) => {
          expect(found.get(id + 1)).toBeCloseTo(sparse.weights[i] ?? 0, 5)
        })
        const query = await embedded(TINY_M3_ID, 'parcel did', ['sparse'])
        const weighed = await db.query<{ weights: string; bound: number }>(
          'select weights::text, bound from millrace.weigh_terms($1, $2::sparsevec)',
          [
            await generation('learned'),
            toSparsevec(query.sparse ?? { ids: new Int32Array(), weights: new Float32Array() }),
          ],
        )
        expect(elements(weighed[0]?.weights ?? '').size).toBe(query.sparse?.ids.length)
        expect(weighed[0]?.bound).toBe(1)
      },
    )
  })
}
