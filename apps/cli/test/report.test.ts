import { showDeleted, showIgnored, showPlan } from 'millrace'
import { describe, expect, test } from 'vitest'

describe('what a dry run says', () => {
  const plan = {
    domain: 'd',
    dryRun: true as const,
    documents: { added: 1_200, changed: 1, unchanged: 3, deleted: 2, rejected: 0, unknown: 0 },
    chunks: { total: 1_300, embed: 1_250 },
    tokens: { total: 90_000, embed: 80_000 },
    seconds: 1,
    problems: [],
  }

  test('documents, then what the model would have to do', () => {
    expect(showPlan(plan)).toBe(
      'would add 1,200, change 1, delete 2; 3 unchanged\n' +
        'would embed 1,250 of 1,300 chunks (80,000 of 90,000 tokens)\n',
    )
  })

  test('what is behind URLs is not known; problems are listed, of many the first twenty', () => {
    const problems = Array.from({ length: 22 }, (_, i) => ({
      path: `f.ndjson:${i}`,
      code: 'BLANK_TEXT',
      message: 'x',
    }))
    const shown = showPlan({ ...plan, documents: { ...plan.documents, unknown: 5 }, problems })
    expect(shown).toContain('; 3 unchanged, 5 behind URLs: not known\n')
    expect(shown).toContain('22 problems:\n  f.ndjson:0   BLANK_TEXT  x\n')
    expect(shown.endsWith('  … and 2 more: --json lists them all\n')).toBe(true)
  })
})

test('files that were left out are counted, the most frequent kind first', () => {
  expect(showIgnored({})).toBe('')
  expect(showIgnored({ '.zip': 1 })).toBe('left out 1 file of folders: 1 .zip\n')
  expect(showIgnored({ links: 1, '.png': 1_000, '.a\x1b[2J': 1 })).toBe(
    'left out 1,002 files of folders: 1,000 .png, 1 .a [2J, 1 links\n',
  )
})

test('what a sync deleted', () => {
  expect(showDeleted(null)).toBe('')
  expect(showDeleted(1)).toBe('1 deleted that is gone from the source\n')
})
