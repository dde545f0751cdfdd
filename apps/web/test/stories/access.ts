import { expect, test } from 'vitest'
import { type Site, seriousIn, visit } from '../browser.js'

/** Of a server that asks for a key. */
export const KEY = 'key-of-the-page'

export function accessStories(site: () => Site): void {
  test('the page asks for the key, says when it is wrong, and keeps it for the session only', async () => {
    await visit(
      site(),
      '/',
      async (page, context) => {
        const key = page.getByLabel('API key')
        await key.waitFor()
        expect(await seriousIn(page)).toEqual([])
        await page.getByRole('button', { name: 'Continue' }).click()
        await page.getByText('Type or paste the key first.').waitFor()
        await key.fill('wrong')
        await page.keyboard.press('Enter')
        await page.getByText('The server does not know this key.').waitFor()
        await key.fill('密钥')
        await page.keyboard.press('Enter')
        await page.getByText('only the characters that an HTTP header can carry').waitFor()
        await key.fill(KEY)
        await page.keyboard.press('Enter')
        await key.waitFor({ state: 'detached' })
        await page.reload()
        await page.getByRole('button', { name: 'Forget the key' }).waitFor()
        expect(await page.evaluate('JSON.stringify(localStorage)')).not.toContain(KEY)
        const another = await context.newPage()
        await another.goto('/')
        await another.getByLabel('API key').waitFor()
      },
      { allowFailures: true },
    )
  })
}
