import { existsSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { startApi } from '@millrace/api'
import { openEngine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { createDomain, openBackends, openLog, readSettings } from '@millrace/flow'
import { type Browser, chromium, type Page } from 'playwright-core'
import { quantile } from './engine/race.js'
import { type Figure, figure } from './figure.js'
import { openServers, ROOT } from './place.js'
import { fill, inBatches, type ReadyDocument } from './search/filled.js'

const MODEL = 'all-minilm-l6-v2'
const DIMS = 384
const DOCUMENTS = Number(process.env.DOCUMENTS ?? 100_000)
const LOADS = 5
const SCROLL_MS = 6_000
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** The web page in a browser on this machine: first load, its vitals, hits after their answer, a long list. */
export async function benchWeb(): Promise<Figure[]> {
  if (!existsSync(CHROMIUM)) {
    throw new CodedError(
      'NO_BROWSER',
      `There is no ${CHROMIUM} (CHROMIUM names another): the page is not measured`,
    )
  }
  const place = await openServers()
  const settings = readSettings({ ...place.env, DEFAULT_MODEL: MODEL, LOG_LEVEL: 'error' })
  const log = openLog('error', 'bench')
  const backends = await openBackends(settings, log)
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  const api = await startApi({ backends, engine, log }, settings)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  try {
    const { db } = backends
    const domain = await createDomain(
      { db, engine, defaultModel: MODEL },
      { name: 'many', model: MODEL, outputs: ['dense'] },
    )
    await fill(db, domain, inBatches(documents(DOCUMENTS), 1_000))
    await engine.load(MODEL)
    return [
      ...(await firstLoads(browser, api.url)),
      ...(await hitsAfterAnswers(browser, api.url)),
      ...(await scrolled(browser, api.url)),
    ]
  } finally {
    await browser.close()
    await api.close()
    await engine.close()
    await backends.close()
    await place.remove()
  }
}

/** Vectors of which nothing is asked but that they are there. */
function* documents(count: number): Generator<ReadyDocument> {
  for (let i = 0; i < count; i++) {
    const vector = new Float32Array(DIMS)
    vector[i % DIMS] = 1
    yield {
      id: `handbook/chapter-${Math.floor(i / 100)}/section-${String(i).padStart(6, '0')}.md`,
      text: `Section ${i}: how parcels, refunds and passwords are handled in branch ${i % 97}.`,
      vector,
    }
  }
}

/** What the browser says of a page's life, from its first moment. */
const OBSERVE = `
  window.seen = { lcp: 0, cls: 0, long: [], hit: 0 }
  const observe = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true })
  observe('largest-contentful-paint', (entry) => { seen.lcp = entry.startTime })
  observe('layout-shift', (entry) => { if (!entry.hadRecentInput) seen.cls += entry.value })
  observe('longtask', (entry) => { seen.long.push(entry.duration) })
  new MutationObserver(() => {
    if (seen.hit > 0 || document.querySelector('[data-hit]') === null) return
    seen.hit = -1
    requestAnimationFrame(() => setTimeout(() => { seen.hit = performance.now() }))
  }).observe(document, { childList: true, subtree: true })
`

interface Seen {
  readonly lcp: number
  readonly cls: number
  readonly long: readonly number[]
  readonly hit: number
}

async function withPage<T>(browser: Browser, url: string, work: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1_280, height: 900 } })
  try {
    await context.addInitScript(OBSERVE)
    return await work(await context.newPage())
  } finally {
    await context.close()
  }
}

const seenOn = (page: Page) => page.evaluate<Seen>('window.seen')

async function firstLoads(browser: Browser, url: string): Promise<Figure[]> {
  const all: { seen: Seen; bytes: number }[] = []
  for (let load = 0; load < LOADS; load++) {
    all.push(
      await withPage(browser, url, async (page) => {
        const scripts = new Set<string>()
        page.on('response', (response) => {
          if (response.url().endsWith('.js')) scripts.add(basename(response.url()))
        })
        await page.goto('/', { waitUntil: 'networkidle' })
        await page.waitForTimeout(500)
        return { seen: await seenOn(page), bytes: gzipped(scripts) }
      }),
    )
  }
  const middle = (of: (one: (typeof all)[number]) => number) => quantile(all.map(of), 0.5)
  return [
    figure('first load of Compare: gzipped script', middle(({ bytes }) => bytes) / 1_000, 'kB', '≤ 250'),
    figure(
      'largest contentful paint, median',
      middle(({ seen }) => seen.lcp),
      'ms',
    ),
    figure('layout shift, largest', Math.max(...all.map(({ seen }) => seen.cls)), ''),
    figure(
      'tasks over 50 ms, median',
      middle(({ seen }) => seen.long.length),
      '',
    ),
    figure('of these the longest', Math.max(0, ...all.flatMap(({ seen }) => seen.long)), 'ms'),
  ]
}

const gzipped = (names: Iterable<string>): number =>
  [...names].reduce((sum, name) => sum + statSync(join(ROOT, 'apps/web/dist/assets', `${name}.gz`)).size, 0)

/** From the last byte of the answer until its first hits are painted. */
async function hitsAfterAnswers(browser: Browser, url: string): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const k of [10, 100, 1_000]) {
    const times: number[] = []
    for (let load = 0; load < LOADS; load++) {
      times.push(
        await withPage(browser, url, async (page) => {
          await page.goto(`/search?domain=many&q=refund+in+branch+${load}&k=${k}&threshold=none`)
          // The content security policy lets no string be evaluated in the page, so it is asked from outside.
          while ((await seenOn(page)).hit <= 0) await page.waitForTimeout(20)
          const answered = await page.evaluate<number>(
            `performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/search')).at(-1).responseEnd`,
          )
          return (await seenOn(page)).hit - answered
        }),
      )
    }
    figures.push(figure(`hits shown after the answer, k = ${k}, median`, quantile(times, 0.5), 'ms', '≤ 100'))
  }
  return figures
}

/** A list of all documents, scrolled by the wheel: what each frame took, and how far it came. */
async function scrolled(browser: Browser, url: string): Promise<Figure[]> {
  return withPage(browser, url, async (page) => {
    await page.goto('/domains/many')
    const list = page.getByTestId('documents')
    await list.getByRole('row').first().waitFor()
    await list.hover()
    const before = (await seenOn(page)).long.length
    await page.evaluate(`
      window.frames_ = []
      let last = performance.now()
      const frame = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(frame) }
      requestAnimationFrame(frame)
    `)
    const end = performance.now() + SCROLL_MS
    while (performance.now() < end) {
      await page.mouse.wheel(0, 900)
      await page.waitForTimeout(16)
    }
    const frames = await page.evaluate<number[]>('window.frames_')
    const { long } = await seenOn(page)
    const far = await list.evaluate((node) => node.scrollTop)
    const rows = await list.getByRole('row').count()
    return [
      figure(`${DOCUMENTS} documents, scrolled: frame p50`, quantile(frames, 0.5), 'ms'),
      figure('frame p95', quantile(frames, 0.95), 'ms'),
      figure('longest frame', Math.max(...frames), 'ms'),
      figure('tasks over 50 ms', long.length - before, ''),
      figure('pixels', far, ''),
      figure('rows in the page', rows, ''),
    ]
  })
}
