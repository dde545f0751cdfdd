import { join } from 'node:path'
import { createCounter } from '@millrace/embed/counter'
import { describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, sharedFile } from './models.js'

const large = sharedFile('models/bge-m3', 'counting with a vocabulary of 250,000 pieces')

describe('counting tokens', () => {
  test.skipIf(large === undefined)('with a large vocabulary does not block this thread', async () => {
    const own = createCounter()
    let ticks = 0
    const timer = setInterval(() => ticks++, 10)
    expect(await own.count(String(large), ['你好 hello', ''])).toEqual([6, 2])
    clearInterval(timer)
    // Reading that vocabulary takes a second, in which a thread that does it itself has no ticks.
    expect(ticks).toBeGreaterThan(5)
    await own.close()
  })

  test('fails alone where there is no tokenizer, is refused when closed', async () => {
    const own = createCounter()
    await expect(own.count('nowhere', ['a'])).rejects.toMatchObject({ code: 'INVALID_TOKENIZER' })
    expect(await own.count(join(MODELS_DIR, MINILM), ['hello world'])).toEqual([4])
    await own.close()
    await expect(own.count('nowhere', ['a'])).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  test('that is under way when it closes is told so', async () => {
    const own = createCounter()
    const count = own.count(join(MODELS_DIR, MINILM), ['hello world'.repeat(100_000)])
    const told = expect(count).rejects.toMatchObject({ code: 'ENGINE_CLOSED', retryable: true })
    await own.close()
    await told
  })
})
