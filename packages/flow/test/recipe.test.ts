import { canonicalJson, changedRecipe, type Recipe, recipeHash, recipeOf } from '@millrace/flow'
import { describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, manifestOf } from './models.js'

const minilm = manifestOf(MINILM)
const recipe = recipeOf(minilm, {})

test('with no wishes: chunks of 256 tokens along the structure, the title before each, every step of cleaning', () => {
  expect(recipe).toMatchObject({
    model: MINILM,
    revision: minilm.revision,
    precision: 'int8-row',
    pooling: 'mean',
    chunking: { kind: 'structure', size: 256, overlap: 0, context: 'title' },
    instructions: { query: null, document: null },
  })
  expect(Object.values(recipe.cleaning.steps)).not.toContain(false)
})

test('a wish changes what it names and leaves the rest', () => {
  const wished = recipeOf(minilm, {
    chunking: { size: 100, overlap: undefined, context: 'none' },
    cleaning: { tables: false, nfc: undefined },
  })
  expect(wished.chunking).toEqual({ ...recipe.chunking, size: 100, context: 'none' })
  expect(wished.cleaning.steps).toEqual({ ...recipe.cleaning.steps, tables: false })
})

describe('chunks fit the model', () => {
  test('a model that reads less than the default size gets chunks of what it reads', () => {
    expect(recipeOf({ ...minilm, tokensMax: 128 }, {}).chunking.size).toBe(128)
  })

  test('a size above what the model reads is refused, with both numbers', () => {
    expect(() => recipeOf(minilm, { chunking: { size: 513 } })).toThrow(
      expect.objectContaining({
        code: 'BAD_CHUNKING',
        message: expect.stringMatching(/513.*512/),
        details: { field: 'chunking.size' },
      }),
    )
    expect(recipeOf(minilm, { chunking: { size: 512 } }).chunking.size).toBe(512)
  })

  test.each([
    { size: 31 },
    { size: 100.5 },
    { size: 100, overlap: 50 },
    { size: 100, overlap: -1 },
    { overlap: 128 },
  ])('%o is refused', (chunking) => {
    expect(() => recipeOf(minilm, { chunking })).toThrow(expect.objectContaining({ code: 'BAD_CHUNKING' }))
  })
})

describe('the hash of a recipe', () => {
  test('does not depend on the order of its fields', () => {
    const turned = Object.fromEntries(Object.entries(recipe).reverse()) as unknown as Recipe
    expect(Object.keys(turned)).not.toEqual(Object.keys(recipe))
    expect(recipeHash(turned)).toBe(recipeHash(recipe))
    expect(recipeHash(recipeOf(minilm, { chunking: { overlap: 0, size: 256 } }))).toBe(recipeHash(recipe))
  })

  test('survives the way through the database', () => {
    expect(recipeHash(JSON.parse(JSON.stringify(recipe)))).toBe(recipeHash(recipe))
  })

  const { chunking, cleaning } = recipe
  test.each<{ name: string; other: Recipe }>([
    { name: 'the model', other: { ...recipe, model: 'x' } },
    { name: 'its revision', other: { ...recipe, revision: 'x' } },
    { name: 'the precision', other: { ...recipe, precision: 'float32' } },
    { name: 'the pooling', other: { ...recipe, pooling: 'cls' } },
    { name: 'the version of cleaning', other: { ...recipe, cleaning: { ...cleaning, version: 99 } } },
    { name: 'a step of cleaning', other: recipeOf(minilm, { cleaning: { tables: false } }) },
    { name: 'the version of chunking', other: { ...recipe, chunking: { ...chunking, version: 99 } } },
    { name: 'the kind of chunking', other: recipeOf(minilm, { chunking: { kind: 'fixed' } }) },
    { name: 'the size', other: recipeOf(minilm, { chunking: { size: 255 } }) },
    { name: 'the overlap', other: recipeOf(minilm, { chunking: { overlap: 1 } }) },
    { name: 'the context', other: recipeOf(minilm, { chunking: { context: 'none' } }) },
    { name: "the query's instruction", other: { ...recipe, instructions: { query: 'q', document: null } } },
    {
      name: "the document's instruction",
      other: { ...recipe, instructions: { query: null, document: 'd' } },
    },
  ])('changes with $name', ({ other }) => {
    expect(recipeHash(other)).not.toBe(recipeHash(recipe))
  })

  test('is of 64 hexadecimal digits, and differs between the models of the repository', () => {
    expect(recipeHash(recipe)).toMatch(/^[0-9a-f]{64}$/)
    expect(recipeHash(recipeOf(manifestOf(BGE_ZH), {}))).not.toBe(recipeHash(recipe))
  })
})

test('canonical JSON sorts keys at every depth and leaves lists as they are', () => {
  expect(canonicalJson({ b: [{ d: 1, c: 2 }, 'x'], a: null })).toBe('{"a":null,"b":[{"c":2,"d":1},"x"]}')
})

describe('each kind of chunking', () => {
  test('has defaults of its own', () => {
    const of = (kind: 'markdown' | 'document' | 'parent' | 'sentence') =>
      recipeOf(minilm, { chunking: { kind } }).chunking
    expect(of('markdown')).toMatchObject({ size: 256, context: 'headings' })
    expect(of('document')).toMatchObject({ pooling: 'mean', context: 'title' })
    expect(of('parent')).toMatchObject({ size: 128, parentSize: 512 })
    expect(Object.keys(of('sentence')).toSorted()).toEqual(['context', 'kind', 'overlap', 'size', 'version'])
  })

  test.each([
    { pooling: 'max' },
    { parentSize: 512 },
    { kind: 'parent', size: 256, parentSize: 128 },
    { kind: 'document', overlap: 8 },
    { template: 'About {subject}' },
    { template: '{title} '.repeat(200) },
  ] as const)('%o is refused', (chunking) => {
    expect(() => recipeOf(minilm, { chunking })).toThrow(expect.objectContaining({ code: 'BAD_CHUNKING' }))
  })
})

describe('a recipe that exists', () => {
  const old: Recipe = {
    ...recipe,
    cleaning: { version: 1, steps: { newlines: true, nfc: false } },
    chunking: { version: 1, kind: 'structure', size: 200, overlap: 0, context: 'title' },
  }

  test('keeps its version and what is not wished', () => {
    expect(changedRecipe(old, minilm, {})).toEqual(old)
    expect(changedRecipe(old, minilm, { chunking: { size: 100 }, cleaning: { nfc: true } })).toEqual({
      ...old,
      cleaning: { version: 1, steps: { newlines: true, nfc: true } },
      chunking: { ...old.chunking, size: 100 },
    })
  })

  test("takes another kind's defaults along with the kind", () => {
    expect(changedRecipe(old, minilm, { chunking: { kind: 'parent' } }).chunking).toEqual(
      recipeOf(minilm, { chunking: { kind: 'parent' } }).chunking,
    )
  })
})
