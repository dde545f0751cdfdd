import { expect, test } from 'vitest'
import { overflowOf, type Site, seriousIn, visit } from '../browser.js'

const PAGES = ['/', '/search', '/load', '/domains', '/recall', '/system'] as const

/** What every page has: both languages, both themes, every width, the keyboard. */
export function shellStories(site: () => Site): void {
  test('the first language of the browser is the language of the page, and can be switched', async () => {
    await visit(
      site(),
      '/',
      async (page) => {
        await expect.poll(() => page.locator('html').getAttribute('lang')).toBe('zh-Hans')
        await page.getByLabel('语言').selectOption('en')
        await page.getByRole('link', { name: 'Recall check' }).waitFor()
        await page.reload()
        await page.getByRole('link', { name: 'Recall check' }).waitFor()
      },
      { language: 'zh' },
    )
  })

  for (const theme of ['light', 'dark'] as const) {
    test(`axe finds nothing serious on any page, ${theme}`, async () => {
      for (const path of PAGES) {
        await visit(
          site(),
          path,
          async (page) => {
            await page.locator('h1').waitFor()
            expect({ path, found: await seriousIn(page) }).toEqual({ path, found: [] })
          },
          { theme, allowFailures: true },
        )
      }
    })
  }

  test('no page scrolls sideways at 360 pixels', async () => {
    for (const path of PAGES) {
      await visit(
        site(),
        path,
        async (page) => {
          await page.locator('h1').waitFor()
          expect({ path, overflow: await overflowOf(page) }).toEqual({ path, overflow: 0 })
        },
        { width: 360, allowFailures: true },
      )
    }
  })

  test('the keyboard gets to the content and to every page', async () => {
    await visit(site(), '/', async (page) => {
      await page.keyboard.press('Tab')
      await expect.poll(() => page.evaluate('document.activeElement.textContent')).toBe('Skip to the content')
      await page.getByRole('link', { name: 'Search', exact: true }).focus()
      await page.keyboard.press('Enter')
      await page.waitForURL('**/search')
      await expect.poll(() => page.evaluate('document.activeElement.tagName')).toBe('H1')
    })
  })
}
