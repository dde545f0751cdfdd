import { existsSync } from 'node:fs'
import axe from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { backends } from '../../../test/support/backends.js'
import { openWorld, type World } from '../../../test/support/world.js'

/** Debian's; nothing is downloaded. */
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** Whether there is a browser; without one a line says what does not run, and with CI=true that is a failure. */
export function hasBrowser(): boolean {
  if (existsSync(CHROMIUM)) return true
  const message = `Tests of the web page do not run: there is no ${CHROMIUM} (CHROMIUM names another)`
  if (process.env.CI === 'true') throw new Error(message)
  console.log(message)
  return false
}

/** A real embedded server with the built page, and a browser. Stories make domains of their own in it. */
export interface Site {
  readonly world: World
  readonly browser: Browser
  close(): Promise<void>
}

export async function openSite(env: Record<string, string> = {}): Promise<Site> {
  const [embedded] = backends()
  if (embedded === undefined) throw new Error('There is no embedded backend')
  const [world, browser] = await Promise.all([openWorld(embedded, env), launch()])
  return {
    world,
    browser,
    close: async () => {
      await browser.close()
      await world.close()
    },
  }
}

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })

export interface VisitOptions {
  readonly language?: 'en' | 'zh'
  readonly theme?: 'light' | 'dark'
  readonly width?: number
  /** Answers that fail on purpose make the browser log them. */
  readonly allowFailures?: boolean
  /** Before the page is opened: faults of the server that it meets from the start. */
  readonly before?: (page: Page) => Promise<unknown>
}

/**
 * Opens the page as a new visitor, runs the story, and then looks at what nobody should see: errors in the
 * console, refusals by the content security policy, requests to another host.
 */
export async function visit(
  site: Pick<Site, 'browser' | 'world'>,
  path: string,
  story: (page: Page, context: BrowserContext) => Promise<void>,
  { language = 'en', theme = 'light', width = 1_200, allowFailures = false, before }: VisitOptions = {},
): Promise<void> {
  const context = await site.browser.newContext({
    baseURL: site.world.url,
    locale: language === 'zh' ? 'zh-CN' : 'en-GB',
    colorScheme: theme,
    viewport: { width, height: 900 },
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const seen: string[] = []
  page.on('pageerror', (error) => seen.push(`error: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return
    if (allowFailures && message.text().startsWith('Failed to load resource')) return
    seen.push(`${message.type()}: ${message.text()}`)
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (/^https?:$/.test(url.protocol) && url.origin !== site.world.url) seen.push(`request: ${url.href}`)
  })
  try {
    await before?.(page)
    await page.goto(path)
    await story(page, context)
    expect(seen).toEqual([])
  } finally {
    await context.close()
  }
}

/** What axe finds that is serious or critical, in words. */
export async function seriousIn(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const violations = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(options: object): Promise<{ violations: Found[] }> } })
      .axe
    return (await axe.run({ resultTypes: ['violations'] })).violations
  })
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`,
    )
}

interface Found {
  readonly id: string
  readonly impact: string | null
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/** Whether something sticks out of the window to the right: the page scrolls sideways. */
export const overflowOf = (page: Page): Promise<number> =>
  page.evaluate<number>(
    'Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)',
  )
