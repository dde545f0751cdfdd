import { checkProvider, PROVIDERS } from '@millrace/embed'
import { expect, test } from 'vitest'

test('the processor is always there', async () => {
  await checkProvider('cpu')
})

test('what is not there is refused with a way out; no machine has them all', async () => {
  const outcomes = await Promise.allSettled(PROVIDERS.map(checkProvider))
  const refusals = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(refusals.length).toBeGreaterThan(0)
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringMatching(/^Models cannot run on (cuda|dml|coreml) here: ./),
      hint: expect.stringContaining('PROVIDER=cpu'),
    })
  }
})
