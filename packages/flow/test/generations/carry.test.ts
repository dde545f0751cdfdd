import { expect, test } from 'vitest'
import { carryOver, type Evidence } from '../../src/generations/carry.js'
import {
  aucOf,
  countAbove,
  randomOf,
  type Sample,
  sortedOf,
  valueAbove,
} from '../../src/generations/place.js'

const COSINE = { least: -1, most: 1 }
const random = randomOf(5)
/** Of the standard normal distribution (Box and Muller). */
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

const unrelated = (old: number, then: number): Sample => ({
  old: { unrelated: [old], golden: [] },
  new: { unrelated: [then], golden: [] },
})
const golden = (old: number, then: number): Sample => ({
  old: { unrelated: [], golden: [old] },
  new: { unrelated: [], golden: [then] },
})
const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))

/** Scores of the new generation are half of the old ones' and 0.1 less. */
const moved = (old: number) => old / 2 - 0.1
const evidenceOf = (given: Partial<Evidence>): Evidence => ({
  unrelated: [],
  from: ['golden'],
  golden: [],
  range: COSINE,
  ...given,
})

test('places between values are drawn out to lines', () => {
  const sorted = sortedOf([0.4, 0.1, 0.3, 0.2])
  expect([0, 0.2, 0.25, 0.5].map((value) => countAbove(sorted, value))).toEqual([
    4,
    2.5,
    expect.closeTo(2),
    0,
  ])
  expect(valueAbove(sorted, 0.5)).toBeCloseTo(0.25)
  expect(aucOf(sortedOf([2, 3]), sortedOf([1, 2]))).toBe(0.875)
})

test('without golden pairs the same share of unrelated ones stays above', async () => {
  const pairs = times(1_000, () => 0.3 + 0.1 * normal())
  const evidence = evidenceOf({ unrelated: pairs.map((old) => unrelated(old, moved(old))) })
  const [low, high, beyond] = await carryOver(evidence, [0.35, 0.5, 0.8])
  expect(low).toMatchObject({ method: 'unrelated', separates: true, sureness: 'medium' })
  expect(low?.new).toBeCloseTo(moved(0.35), 2)
  expect(low?.above?.new?.unrelated).toBeCloseTo(low?.above?.old.unrelated ?? 0, 2)
  expect(high?.new).toBeCloseTo(moved(0.5), 1)
  // Between the largest and 1, where both generations have equal texts.
  expect(beyond).toMatchObject({ method: 'extrapolated', sureness: 'low' })
  expect(beyond?.new).toBeGreaterThan(high?.new ?? 1)
  expect(beyond?.new).toBeLessThan(1)
  expect(low?.low).toBeLessThanOrEqual(low?.new ?? 0)
  expect(low?.high).toBeGreaterThanOrEqual(low?.new ?? 0)
})

test('what was asked decides how sure it is', async () => {
  const asked = (count: number) =>
    times(count, () => {
      const olds = times(40, () => 0.3 + 0.1 * normal())
      return {
        old: { unrelated: olds, golden: [] },
        new: { unrelated: olds.map(moved), golden: [] },
      }
    })
  const carried = async (count: number, from: Evidence['from']) =>
    (await carryOver(evidenceOf({ unrelated: asked(count), from }), [0.35]))[0]
  expect(await carried(30, ['golden', 'logged'])).toMatchObject({
    method: 'unrelated',
    sureness: 'medium',
    pairs: { unrelated: 1_200, golden: 0, from: ['golden', 'logged'] },
    why: expect.stringMatching(/a question and any passage.*20 golden questions would tell/),
  })
  expect(await carried(6, ['golden'])).toMatchObject({
    sureness: 'low',
    why: expect.stringMatching(/of 6 questions alone/),
  })
  for (const [from, what] of [
    ['titles', /a title and any passage/],
    ['passages', /passages of two documents/],
  ] as const) {
    expect(await carried(30, [from])).toMatchObject({
      sureness: 'low',
      pairs: { from: [from] },
      why: expect.stringMatching(what),
    })
  }
})

test('scores without a largest one keep their distance in widths', async () => {
  const pairs = times(500, (i) => i / 100)
  const evidence = evidenceOf({
    unrelated: pairs.map((old) => unrelated(old, 10 * old)),
    range: { least: 0, most: null },
  })
  const [beyond] = await carryOver(evidence, [9])
  expect(beyond?.new).toBeGreaterThan(85)
  expect(beyond?.new).toBeLessThan(95)
})

test('with golden pairs precision stays, also where the new generation tells more apart', async () => {
  const both = (mean: number, better: number, make: typeof golden) => () => {
    const hidden = normal()
    return make(mean + 0.15 * hidden, better + 0.08 * hidden + 0.04 * normal())
  }
  const evidence = evidenceOf({
    golden: [...times(800, both(0.6, 0.5, golden)), ...times(800, both(0.3, 0.1, unrelated))],
  })
  const [carried] = await carryOver(evidence, [0.5])
  const precision = ({ unrelated: wrong, golden: right }: { unrelated: number; golden: number | null }) =>
    (right ?? 0) / ((right ?? 0) + wrong)
  const { old, new: then } = carried?.above ?? {}
  expect(carried).toMatchObject({ method: 'golden', sureness: 'high', separates: true })
  expect(old && then && Math.abs(precision(old) - precision(then))).toBeLessThan(0.005)
  // It finds more at the same precision.
  expect(then?.golden).toBeGreaterThan((old?.golden ?? 1) + 0.05)
  expect(await carryOver(evidence, [0.5])).toEqual([carried])
})

test('where nothing separates, it says so', async () => {
  const chance = times(400, (i) =>
    (i % 2 === 0 ? golden : unrelated)(random(), random() + (i % 2 === 0 ? 0.5 : 0)),
  )
  const [none] = await carryOver(evidenceOf({ golden: chance }), [0.5])
  expect(none).toMatchObject({ new: null, low: null, method: 'none', separates: false, sureness: 'low' })
  expect(none?.why).toMatch(/old generation do not tell/)

  const apart = times(400, (i) =>
    i % 2 === 0 ? golden(0.6 + random() / 5, random()) : unrelated(random() / 5, random()),
  )
  const [worse] = await carryOver(evidenceOf({ golden: apart }), [0.5])
  expect(worse?.why).toMatch(/new generation do not tell/)

  const good = times(400, (i) => {
    const at = (i % 2 === 0 ? 0.4 : 0.2) + random() / 5
    return (i % 2 === 0 ? golden : unrelated)(at, at)
  })
  const [under, over, between] = await carryOver(evidenceOf({ golden: good }), [0.1, 0.9, 0.45])
  expect(under).toMatchObject({
    new: null,
    separates: false,
    why: expect.stringMatching(/separates nothing/),
  })
  expect(over).toMatchObject({ new: null, why: expect.stringMatching(/nothing lies there/) })
  expect(between?.new).toBeCloseTo(0.45, 1)

  const spread = evidenceOf({ unrelated: times(300, () => unrelated(0.3 + random() / 2, random())) })
  const [everything] = await carryOver(spread, [0.2])
  expect(everything).toMatchObject({ new: null, why: expect.stringMatching(/keeps nothing out/) })
})

test('few samples say that they are few', async () => {
  const [few] = await carryOver(
    evidenceOf({ unrelated: times(49, () => unrelated(random(), random())) }),
    [0.5],
  )
  expect(few).toMatchObject({ new: null, method: 'none', pairs: { unrelated: 49, golden: 0 } })
  const answered = times(25, () => golden(0.6 + random() / 5, 0.6 + random() / 5))
  const others = times(200, () => unrelated(random() / 2, random() / 2))
  const [unsure] = await carryOver(evidenceOf({ golden: [...answered, ...others] }), [0.55])
  expect(unsure).toMatchObject({ method: 'golden', sureness: 'low' })
  // Fewer golden ones than that are none.
  const evidence = evidenceOf({ golden: [...answered.slice(6), ...others], unrelated: others })
  expect((await carryOver(evidence, [0.3]))[0]).toMatchObject({ method: 'unrelated' })
})

test('levels keep their order', async () => {
  const noisy = [
    ...times(40, () => golden(0.5 + 0.2 * normal(), 0.5 + 0.3 * normal())),
    ...times(40, () => unrelated(0.2 + 0.2 * normal(), 0.2 + 0.3 * normal())),
  ]
  const olds = [0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.3]
  const found = (await carryOver(evidenceOf({ golden: noisy }), olds)).flatMap((one) => one.new ?? [])
  expect(found.length).toBeGreaterThan(3)
  expect(found).toEqual(found.toSorted((a, b) => b - a))
  expect(found.every((value) => value >= -1 && value <= 1)).toBe(true)
})
