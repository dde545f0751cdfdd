import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { backends } from '../../../test/support/backends.js'
import { openWorld, type World } from '../../../test/support/world.js'

/** Debian's; nothing is downloaded. The one without windows does the same with a third of the work. */
const CHROMIUMS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']
const CHROMIUM = process.env.CHROMIUM ?? CHROMIUMS.find(existsSync)

/** Whether there is a browser; without one a line says what does not run, and with CI=true that is a failure. */
export function hasBrowser(): boolean {
  if (CHROMIUM !== undefined && existsSync(CHROMIUM)) return true
  const sought = CHROMIUM ?? CHROMIUMS.join(' and no ')
  const message = `Tests of the web page do not run: there is no ${sought} (CHROMIUM names another)`
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

export const launch = () => chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] })

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

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** For `before`: the clock of the page can be put forward, so that nobody waits for what the page waits for. */
export const withClock = (page: Page): Promise<void> => page.clock.install()

/** Waiting that ends when the story says so. */
export function hold() {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  return { held, release: () => release() }
}

/** What the colours decide: all that can differ between two themes of a page. */
export const RULES_OF_COLOURS = ['color-contrast', 'link-in-text-block'] as const

/** What axe finds that is serious or critical, in words; by all its rules, or by some. */
export async function seriousIn(page: Page, rules?: readonly string[]): Promise<string[]> {
  if (!(await page.evaluate<boolean>('"axe" in globalThis'))) await page.evaluate(AXE)
  const options = {
    resultTypes: ['violations'],
    ...(rules === undefined ? {} : { runOnly: { type: 'rule', values: rules } }),
  }
  const violations = await page.evaluate(async (given) => {
    const axe = (globalThis as unknown as { axe: { run(options: object): Promise<{ violations: Found[] }> } })
      .axe
    return (await axe.run(given)).violations
  }, options)
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
