import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { countTerms, type Embedded, embedAll, openEngine, openTokenizer, PAIRS_FROM } from '@millrace/embed'
import { afterAll, describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, prose } from './models.js'

const engine = openEngine({ modelDirs: [MODELS_DIR] })
afterAll(() => engine.close())

/** By term. */
const countsOf = ({ terms }: Pick<Embedded, 'terms'>) =>
  new Map(Array.from(terms?.ids ?? [], (id, i) => [id, terms?.weights[i]]))
const termsOf = async (texts: readonly string[], model = MINILM) =>
  (await embedAll(engine, { model, texts, kind: 'document', outputs: ['terms'] })).map(countsOf)
const sum = (counts: ReadonlyMap<number, number | undefined>) =>
  [...counts.values()].reduce<number>((all, count) => all + (count ?? 0), 0)

describe('terms of a text', () => {
  test('are its tokens, each with how often it is there, in rising order and without special ones', async () => {
    const tokenizer = await openTokenizer(engine.dir(MINILM))
    const [ids = new Int32Array()] = await tokenizer.encode(['the cat and the hat'])
    const { ids: found, weights } = countTerms(ids, tokenizer)
    expect([...found]).toEqual([...new Set(ids)].sort((a, b) => a - b))
    expect(weights[found.indexOf(ids[0] ?? -1)]).toBe(2)
    expect(weights.reduce((all, count) => all + count)).toBe(ids.length)
    for (const id of tokenizer.special.before) expect(found).not.toContain(id)
  })

  test('have pairs of neighbouring Chinese characters too, in their order', async () => {
    const [whole, same, turned, apart] = await termsOf(['北京大学', '在北京', '京北', '北，京'], BGE_ZH)
    const pairs = (terms = new Map<number, unknown>()) => [...terms.keys()].filter((id) => id >= PAIRS_FROM)
    expect(pairs(whole)).toHaveLength(3)
    expect(sum(whole ?? new Map())).toBe(4 + 3)
    expect(pairs(same).filter((id) => whole?.has(id))).toHaveLength(1)
    expect(pairs(turned).filter((id) => whole?.has(id))).toHaveLength(0)
    expect(pairs(apart)).toHaveLength(0)
    const [english] = await termsOf(['two words'])
    expect(pairs(english)).toHaveLength(0)
  })

  test('of generations made before leave the unknown token out: it stands for any word', async () => {
    const counted = await embedAll(engine, {
      model: MINILM,
      texts: ['word', 'word 𓀀 𓀁'],
      kind: 'document',
      outputs: ['tokens'],
    })
    const [known, both] = counted.map(countsOf)
    expect(both).toEqual(known)
  })

  test('are the same beside the vector, which they do not change', async () => {
    const texts = ['How do I reset my password?', prose(40)]
    const both = await embedAll(engine, {
      model: MINILM,
      texts,
      kind: 'document',
      outputs: ['dense', 'terms'],
    })
    const dense = await embedAll(engine, { model: MINILM, texts, kind: 'document' })
    expect(both.map(countsOf)).toEqual(await termsOf(texts))
    expect(both.map(({ vector }) => vector)).toEqual(dense.map(({ vector }) => vector))
    expect(dense[0]).not.toHaveProperty('terms')
  })

  test('do not have the words of the instruction, alone and beside the vector', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-terms-'))
    const into = join(dir, MINILM)
    await mkdir(into)
    for (const file of await readdir(engine.dir(MINILM))) {
      await symlink(join(engine.dir(MINILM), file), join(into, file))
    }
    await rm(join(into, 'manifest.json'))
    const manifest = await readFile(join(engine.dir(MINILM), 'manifest.json'), 'utf8')
    const instructions = { query: 'look for: ', document: null }
    await writeFile(join(into, 'manifest.json'), JSON.stringify({ ...JSON.parse(manifest), instructions }))
    const own = openEngine({ modelDirs: [dir], threads: 1 })
    try {
      const [bare] = await termsOf(['refund'])
      for (const outputs of [['terms'], ['dense', 'terms']] as const) {
        const [query] = await embedAll(own, { model: MINILM, texts: ['refund'], kind: 'query', outputs })
        expect(countsOf(query ?? {})).toEqual(bare)
      }
    } finally {
      await own.close()
      await rm(dir, { recursive: true })
    }
  })

  test('of a text of several windows count each token once; of one that is cut, what is left', async () => {
    const text = prose(900)
    for (const outputs of [['terms'], ['dense', 'terms']] as const) {
      const request = { model: MINILM, texts: [text], kind: 'document', outputs } as const
      const [pooled] = await embedAll(engine, request)
      expect(pooled?.windows).toBe(2)
      expect(sum(countsOf(pooled ?? {}))).toBe((pooled?.tokens ?? 0) - 2)
      const [cut] = await embedAll(engine, { ...request, longTexts: 'truncate', window: 102 })
      expect(cut).toMatchObject({ windows: 1, truncated: true, tokens: pooled?.tokens })
      expect(sum(countsOf(cut ?? {}))).toBe(100)
    }
  })

  test('need no pass and no loaded model', async () => {
    const fresh = openEngine({ modelDirs: [MODELS_DIR] })
    try {
      const request = { model: MINILM, kind: 'query', outputs: ['terms'] } as const
      const results = await fresh.embed({ ...request, texts: ['one', '', 'a\0b', '\u0007'] })
      expect(results.map((result) => ('error' in result ? result.error.code : result.tokens))).toEqual([
        3,
        'EMPTY_TEXT',
        'INVALID_TEXT',
        'EMPTY_TEXT',
      ])
      const long = await fresh.embed({ ...request, texts: [prose(20)], longTexts: 'refuse', window: 8 })
      expect(long).toMatchObject([{ error: { code: 'TEXT_TOO_LONG' } }])
      expect(fresh.state(MINILM)).toBe('absent')
    } finally {
      await fresh.close()
    }
  })
})
