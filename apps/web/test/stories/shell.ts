import { expect, test } from 'vitest'
import { overflowOf, RULES_OF_COLOURS, type Site, seriousIn, visit } from '../browser.js'

const PAGES = ['/', '/search', '/load', '/domains', '/recall', '/system', '/nowhere'] as const

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

  test('axe finds nothing serious on any page in either theme, and none scrolls sideways at 360 pixels', async () => {
    await visit(
      site(),
      'about:blank',
      async (page) => {
        for (const path of PAGES) {
          await page.setViewportSize({ width: 1_200, height: 900 })
          await page.emulateMedia({ colorScheme: 'light' })
          await page.goto(path)
          await page.locator('h1').waitFor()
          expect({ path, inLight: await seriousIn(page) }).toEqual({ path, inLight: [] })
          await page.emulateMedia({ colorScheme: 'dark' })
          expect({ path, inDark: await seriousIn(page, RULES_OF_COLOURS) }).toEqual({ path, inDark: [] })
          await page.setViewportSize({ width: 360, height: 800 })
          expect({ path, overflow: await overflowOf(page) }).toEqual({ path, overflow: 0 })
        }
      },
      { allowFailures: true },
    )
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

  test('the colours can be chosen against the system', async () => {
    await visit(site(), '/', async (page) => {
      const ground = () => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
      const light = await ground()
      await page.getByLabel('Colours').selectOption('dark')
      await expect.poll(ground).not.toBe(light)
      await page.reload()
      await expect.poll(ground).not.toBe(light)
    })
  })

  test('a mistyped address is said in a browser, and in the API its own way to a program', async () => {
    const program = await fetch(`${site().world.url}/nowhere`)
    expect([program.status, program.headers.get('content-type')]).toEqual([
      404,
      'application/json; charset=utf-8',
    ])
    await visit(
      site(),
      '/nowhere',
      async (page) => {
        await page.getByText('There is no page at /nowhere.').waitFor()
        await page.getByRole('link', { name: 'Compare two texts' }).click()
        await page.getByRole('heading', { name: 'Compare two texts' }).waitFor()
      },
      { allowFailures: true },
    )
  })

  test('a page whose script does not come is said, and the one that is there stays', async () => {
    await visit(
      site(),
      '/',
      async (page) => {
        await page.route('**/assets/SystemPage*', (route) => route.abort())
        await page.getByRole('link', { name: 'System' }).click()
        await page.getByText('This page did not come').waitFor()
        await page.getByRole('heading', { name: 'Compare two texts' }).waitFor()
      },
      { allowFailures: true },
    )
  })
}
