// npm run screenshots: every page in both themes and languages, from a server that runs (MILLRACE_URL, default
// http://127.0.0.1:8080: `npm run demo` has something to show), into apps/web/screenshots, which git ignores.
import { mkdir } from 'node:fs/promises'
import { chromium } from 'playwright-core'
import { scenes } from './scenes.mjs'

const url = process.env.MILLRACE_URL ?? 'http://127.0.0.1:8080'
const out = new URL('../screenshots/', import.meta.url).pathname
await mkdir(out, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
for (const theme of ['light', 'dark']) {
  for (const [language, locale] of [
    ['en', 'en-GB'],
    ['zh', 'zh-CN'],
  ]) {
    for (const width of [1280, 360]) {
      const context = await browser.newContext({
        baseURL: url,
        locale,
        colorScheme: theme,
        viewport: { width, height: 900 },
      })
      for (const [name, { path, act }] of Object.entries(scenes[language])) {
        const page = await context.newPage()
        await page.goto(path)
        await page.locator('h1').waitFor()
        await act?.(page)
        await page.waitForTimeout(600)
        await page.screenshot({ path: `${out}${name}-${language}-${theme}-${width}.png`, fullPage: true })
        await page.close()
      }
      await context.close()
    }
  }
}
await browser.close()
console.log(out)
