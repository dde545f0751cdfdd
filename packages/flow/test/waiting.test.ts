import { type Waiting, waitingOf } from '@millrace/flow'
import type { Standing } from '@millrace/store'
import { describe, expect, test } from 'vitest'

const standing: Standing = {
  id: 1,
  state: 'received',
  ageSeconds: 3,
  attempts: 0,
  cancelling: false,
  receiving: false,
  workers: 1,
  workerSeenSeconds: 2,
  ahead: 4,
  missing: 0,
  leased: 0,
  textAttempts: 0,
  errorCode: null,
  errorMessage: null,
}
const embedding = { state: 'embedding', missing: 3, leased: 1, textAttempts: 1 } as const

describe('what a document waits for', () => {
  const cases: { name: string; is: Partial<Standing>; waits: Partial<Waiting> }[] = [
    { name: 'its turn', is: {}, waits: { code: 'QUEUED', ahead: 4 } },
    { name: 'a worker', is: { workers: 0 }, waits: { code: 'NO_WORKER', lastSeenSeconds: 2 } },
    {
      name: 'the first worker ever',
      is: { workers: 0, workerSeenSeconds: null },
      waits: { code: 'NO_WORKER', lastSeenSeconds: null },
    },
    { name: 'the rest of its ingestion', is: { receiving: true }, waits: { code: 'SENDING', ahead: 4 } },
    { name: 'its chunks', is: { state: 'preparing', attempts: 1 }, waits: { code: 'PREPARING' } },
    {
      name: 'its chunks, again',
      is: { state: 'preparing', attempts: 2 },
      waits: { code: 'RETRYING', attempts: 2 },
    },
    { name: 'its next attempt', is: { attempts: 1 }, waits: { code: 'RETRYING', attempts: 1 } },
    { name: 'its texts', is: embedding, waits: { code: 'WAITS_FOR_TEXTS', missing: 3, leased: 1 } },
    {
      name: 'texts that broke off',
      is: { ...embedding, textAttempts: 2 },
      waits: { code: 'RETRYING', attempts: 2, missing: 3 },
    },
    {
      name: 'a server that is away',
      is: { ...embedding, textAttempts: 0, errorCode: 'REMOTE_UNAVAILABLE', errorMessage: 'It is away' },
      waits: { code: 'RETRYING', error: { code: 'REMOTE_UNAVAILABLE', message: 'It is away' } },
    },
    { name: 'its own cancelling', is: { cancelling: true, workers: 0 }, waits: { code: 'CANCELLING' } },
  ]
  test.each(cases)('$name', ({ is, waits }) => {
    expect(waitingOf({ ...standing, ...is })).toMatchObject(waits)
  })

  test.each(['ready', 'failed', 'cancelled'] as const)('nothing, when it is %s', (state) => {
    expect(waitingOf({ ...standing, state, workers: 0 })).toBeNull()
  })
})
