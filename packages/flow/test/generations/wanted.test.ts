import {
  changesOf,
  copiesOf,
  type Domain,
  EXTERNAL,
  type MakingWishes,
  nextRecipe,
  recipeHash,
  recipeOf,
  wantedOf,
} from '@millrace/flow'
import { CHUNKING_VERSION } from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, manifestOf } from '../models.js'

const minilm = manifestOf(MINILM)
const engine = { manifest: (id: string) => ({ ...manifestOf(id) }) }
const INDEX = { m: 16, efConstruction: 64 }

function domain(wishes: Parameters<typeof recipeOf>[1] = {}, more: Partial<Domain> = {}): Domain {
  const recipe = recipeOf(minilm, wishes)
  return {
    id: 1,
    name: 'd',
    model: MINILM,
    dims: minilm.dims,
    recipe,
    recipeHash: recipeHash(recipe),
    storage: 'full',
    outputs: ['dense', 'sparse'],
    lexical: 'bm25',
    counted: 'terms',
    index: INDEX,
    search: {},
    levels: minilm.levels,
    ...more,
  } as Domain
}

/** What a generation with these wishes would change, and whether it takes something over. */
function asked(live: Domain, wishes: MakingWishes) {
  const wanted = wantedOf({ engine }, live, wishes)
  return { wanted, changes: changesOf(live, wanted, wishes), copies: copiesOf(live, wanted) }
}

describe('the recipe of another generation', () => {
  test('what is not wished stays', () => {
    const { recipe, adapted } = nextRecipe(domain({ chunking: { size: 100, overlap: 10 } }).recipe, minilm, {
      cleaning: { tables: false },
    })
    expect(recipe.chunking).toMatchObject({ size: 100, overlap: 10 })
    expect(recipe.cleaning.steps.tables).toBe(false)
    expect(adapted).toEqual([])
  })

  test('it is made in the versions of today, with steps that came later', () => {
    const { recipe } = domain()
    const { tables: _later, ...steps } = recipe.cleaning.steps
    const old = { ...recipe, chunking: { ...recipe.chunking, version: 1 }, cleaning: { version: 0, steps } }
    const next = nextRecipe(old, minilm, {}).recipe
    expect(next.chunking.version).toBe(CHUNKING_VERSION)
    expect(next.cleaning).toEqual(recipe.cleaning)
  })

  test('of another model its files, pooling and instructions, and the chunks of before', () => {
    const zh = manifestOf(BGE_ZH)
    const { recipe } = nextRecipe(domain({ chunking: { size: 100 } }).recipe, zh, {})
    expect(recipe).toMatchObject({
      model: zh.id,
      revision: zh.revision,
      precision: zh.precision,
      pooling: zh.pooling,
      instructions: zh.instructions,
      chunking: { size: 100 },
    })
  })

  test('chunks that are too long for another model become as long as it takes, with as much overlap', () => {
    const standing = domain({ chunking: { size: 400, overlap: 40 } }).recipe
    const { recipe, adapted } = nextRecipe(standing, { ...minilm, tokensMax: 200 }, {})
    expect(recipe.chunking).toMatchObject({ size: 200, overlap: 20 })
    expect(adapted).toEqual([
      { field: 'chunking.size', from: 400, to: 200 },
      { field: 'chunking.overlap', from: 40, to: 20 },
    ])
  })

  test('a size that was wished is not touched', () => {
    expect(() => nextRecipe(domain().recipe, minilm, { chunking: { size: minilm.tokensMax + 1 } })).toThrow(
      expect.objectContaining({ code: 'BAD_CHUNKING', hint: expect.stringContaining(`${minilm.tokensMax}`) }),
    )
  })

  test('another kind of chunking has options of its own', () => {
    const { recipe } = nextRecipe(domain({ chunking: { size: 400 } }).recipe, minilm, {
      chunking: { kind: 'parent' },
    })
    expect(recipe.chunking).toEqual(recipeOf(minilm, { chunking: { kind: 'parent' } }).chunking)
  })
})

describe('what another generation changes', () => {
  const live = domain()
  test.each<[string, MakingWishes, string[]]>([
    ['nothing', {}, []],
    ['what it has already', { storage: 'full', chunking: { size: live.recipe.chunking.size } }, []],
    ['the model', { model: BGE_ZH }, ['model']],
    ['cleaning', { cleaning: { tables: false } }, ['cleaning']],
    ['chunking', { chunking: { size: 64 } }, ['chunking']],
    ['storage', { storage: 'half' }, ['storage']],
    ['the index', { index: { m: 24 } }, ['index']],
    ['outputs', { outputs: ['dense'] }, ['outputs']],
    ['that all is computed anew', { copy: false }, ['vectors']],
    ['that what is old is computed anew', { copySince: new Date() }, ['vectors']],
    ['several', { storage: 'sq8', chunking: { size: 64 } }, ['chunking', 'storage']],
  ])('%s', (_name, wishes, changes) => {
    expect(asked(live, wishes).changes).toEqual(changes)
  })

  test('newer files of the same model', () => {
    const old = domain()
    const before = { ...old, recipe: { ...old.recipe, revision: 'before' }, recipeHash: 'before' }
    expect(asked(before, {}).changes).toEqual(['revision'])
    expect(asked(before, { storage: 'half' }).changes).toEqual(['revision', 'storage'])
    expect(asked(before, {}).copies).toBeUndefined()
  })

  test('a change of storage leaves the recipe as it stands, with its thresholds', () => {
    const { recipe } = domain()
    const old = { ...recipe, chunking: { ...recipe.chunking, version: 1 } }
    const before = domain({}, { recipe: old, recipeHash: recipeHash(old), counted: 'tokens' })
    const { wanted, changes } = asked(before, { storage: 'half' })
    expect(changes).toEqual(['storage'])
    expect(wanted.recipeHash).toBe(before.recipeHash)
    expect(wanted.counted).toBe('tokens')
    expect(asked(before, {}).changes).toEqual(['chunking', 'words'])
  })

  test('searches that could not be answered any more refuse it', () => {
    const hybrid = domain({}, { search: { mode: 'hybrid' } })
    expect(() => wantedOf({ engine }, hybrid, { outputs: ['dense'] })).toThrow(
      expect.objectContaining({ code: 'MODE_NEEDS_TERMS', hint: expect.stringContaining('PATCH') }),
    )
  })

  test.each<[string, MakingWishes, string]>([
    ['a model that brings vectors', { model: EXTERNAL }, 'NOT_FOR_EXTERNAL'],
    ['an output that the model has not', { outputs: ['colbert'] }, 'MISSING_OUTPUT'],
    ['an index that cannot be', { index: { m: 50, efConstruction: 60 } }, 'BAD_INDEX'],
  ])('%s is refused', (_name, wishes, code) => {
    expect(() => wantedOf({ engine }, live, wishes)).toThrow(expect.objectContaining({ code }))
  })
})

describe('what is taken over', () => {
  const live = domain()
  test.each<[string, Domain, MakingWishes, boolean | undefined]>([
    ['all of another storage', live, { storage: 'half' }, true],
    ['codes as finer ones', domain({}, { storage: 'sq4' }), { storage: 'full' }, false],
    ['codes as coarser ones', domain({}, { storage: 'sq8' }), { storage: 'sq4' }, true],
    ['float16 found by bits as float16', domain({}, { storage: 'binary' }), { storage: 'half' }, true],
    ['equal texts of other chunks', live, { chunking: { size: 64 } }, true],
    ['nothing of another model', live, { model: BGE_ZH }, undefined],
    ['less than there is', live, { outputs: ['dense'] }, true],
    [
      'nothing where more is kept',
      domain({}, { outputs: ['dense'], lexical: null }),
      { outputs: ['dense', 'sparse'] },
      undefined,
    ],
    [
      'nothing of whole documents pooled otherwise',
      domain({ chunking: { kind: 'document' } }),
      { chunking: { pooling: 'max' } },
      undefined,
    ],
    [
      'chunks of what were whole documents',
      domain({ chunking: { kind: 'document' } }),
      { chunking: { kind: 'structure' } },
      true,
    ],
  ])('%s', (_name, from, wishes, exact) => {
    expect(asked(from, wishes).copies?.exact).toBe(exact)
  })
})

describe('another generation of an external domain', () => {
  const external = domain(
    {},
    {
      model: EXTERNAL,
      dims: 3,
      recipeHash: 'brought',
      outputs: ['dense'],
      lexical: null,
    },
  )
  test('can keep its vectors in another way', () => {
    const { wanted, changes, copies } = asked(external, { storage: 'half', index: { m: 24 } })
    expect(changes).toEqual(['storage', 'index'])
    expect(wanted).toMatchObject({ recipeHash: 'brought', stored: { model: EXTERNAL, dims: 3 } })
    expect(copies).toEqual({ exact: true })
  })

  test.each<[string, MakingWishes]>([
    ['a model', { model: MINILM }],
    ['chunking', { chunking: { size: 64 } }],
    ['terms', { outputs: ['dense', 'sparse'] }],
    ['vectors computed anew', { copy: false }],
    ['old ones computed anew', { copySince: new Date() }],
  ])('cannot have %s', (_name, wishes) => {
    expect(() => wantedOf({ engine }, external, wishes)).toThrow(
      expect.objectContaining({ code: 'NOT_FOR_EXTERNAL' }),
    )
  })
})
