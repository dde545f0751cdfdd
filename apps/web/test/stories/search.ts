import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { hold, overflowOf, type Site, seriousIn, visit, withClock } from '../browser.js'

const EN = 'search-en'
const ZH = 'search-zh'
const MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'

const DOCUMENTS = [
  {
    id: 'parcels/lost',
    title: 'A parcel is missing',
    text: `# A parcel is missing\n\nIf your parcel did not arrive, we send a replacement. ${MARKUP}`,
    metadata: { team: 'shipping', year: 2024, tags: ['new', 'box'] },
  },
  {
    id: 'refunds',
    title: 'Refunds',
    text: 'Money comes back to your card within ten days.',
    metadata: { team: 'billing', year: 2025 },
  },
  {
    id: 'hours',
    title: null,
    text: 'Our support team answers from nine to five.',
    metadata: { team: "o'hara's" },
  },
]
const ZH_DOCUMENTS = [
  { id: 'mima', title: '忘记密码', text: '忘记登录密码时，点击“忘记密码”，用短信验证码重新设置。' },
  { id: 'tuikuan', title: '退款时间', text: '退款将在十个工作日内退回原支付账户。' },
]

export function searchStories(site: () => Site): void {
  async function fill(name: string, model: string, documents: readonly object[]) {
    const { world } = site()
    const made = await world.call('POST', '/v1/domains', { name, model })
    if (made.status === 409) return
    const { body } = await world.call('POST', `/v1/domains/${name}/documents`, { documents })
    await world.finished(String(body.ingestion))
  }
  const fillEn = () => fill(EN, 'all-minilm-l6-v2', DOCUMENTS)

  test('a question finds a passage, its document, and why another is not a hit; a hit becomes a golden pair', async () => {
    await fillEn()
    await visit(site(), '/search', async (page) => {
      await page.getByLabel('Domain').selectOption(EN)
      await page.getByLabel('What do you look for?').fill('my parcel got lost')
      await page.keyboard.press('Enter')
      await hits(page, 3)
      await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('my parcel got lost')
      expect(await page.title()).toContain('Search')

      await page.getByRole('button', { name: 'In its document' }).first().click()
      const passage = page.getByRole('dialog')
      await passage.locator('mark', { hasText: '<img src=x onerror' }).waitFor()
      expect(await seriousIn(page)).toEqual([])
      await page.keyboard.press('Escape')

      await slide(page, 'End')
      await page.getByText('Below the threshold: 3 hits').waitFor()
      await page.getByRole('button', { name: 'Why not' }).click()
      await page.getByLabel('Document id').fill('parcel/lost')
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'parcels/lost', exact: true }).click()
      await page.getByText('is below the threshold').waitFor()
      expect(await seriousIn(page)).toEqual([])
      await page.keyboard.press('Escape')

      const add = page.getByRole('button', { name: 'Add to golden set' })
      await add.first().click()
      await page.getByText('The golden set has 1 question.').waitFor()
      await add.first().click()
      await expect.poll(() => page.getByText('In the golden set').count()).toBe(2)
      const { body } = await site().world.call('GET', `/v1/domains/${EN}/golden`)
      expect(body.questions).toMatchObject([
        { question: 'my parcel got lost', documentIds: ['parcels/lost', 'refunds'] },
      ])
    })
  })

  test('the threshold dims as it moves, and is in the link with all else', async () => {
    await fill(ZH, 'bge-small-zh-v1.5', ZH_DOCUMENTS)
    await site().world.call('PATCH', `/v1/domains/${ZH}`, { threshold: 0.4 })
    await visit(
      site(),
      `/search?domain=${ZH}&q=${encodeURIComponent('密码忘了怎么办')}`,
      async (page, context) => {
        await hits(page, 2)
        const slider = page.getByRole('slider', { name: '阈值' })
        expect(await slider.getAttribute('aria-valuetext')).toBe('0.40')
        let asked = 0
        page.on('request', () => asked++)
        await slide(page, 'End')
        await page.getByText('低于阈值：2 条').waitFor()
        await page.getByLabel('阈值').and(page.locator('input')).fill('0.5')
        await page.keyboard.press('Enter')
        await page.getByText('低于阈值：1 条').waitFor()
        expect(asked).toBe(0)
        await expect.poll(() => new URL(page.url()).searchParams.get('threshold')).toBe('0.5')

        const other = await context.newPage()
        await other.goto(page.url())
        await other.getByText('低于阈值：1 条').waitFor()
        await other.getByRole('button', { name: '恢复知识库阈值：0.40' }).click()
        await expect.poll(() => new URL(other.url()).searchParams.has('threshold')).toBe(false)
      },
      { language: 'zh' },
    )
  })

  test('conditions of the fields that exist become the filter; JSON says what they cannot', async () => {
    await fillEn()
    await visit(site(), `/search?domain=${EN}&q=parcel`, async (page) => {
      await hits(page, 3)
      await page.getByText('Filters', { exact: true }).click()
      await page.getByRole('button', { name: 'Add a condition' }).click()
      const first = page.getByRole('group', { name: 'Condition 1' })
      await first.getByLabel('Field').selectOption('team')
      await first.getByLabel('Operator').selectOption('in')
      await first.getByLabel('Values').fill("o'hara's,")
      await first.getByLabel('Values').fill('billing')
      await page.keyboard.press('Enter')
      await hits(page, 2)
      await page.getByRole('button', { name: 'Add a condition' }).click()
      const second = page.getByRole('group', { name: 'Condition 2' })
      await second.getByLabel('Field').selectOption('year')
      await second.getByLabel('Operator').selectOption('gte')
      await second.getByLabel('Value').fill('2025')
      await page.keyboard.press('Tab')
      await hits(page, 1)
      expect(filterOf(page)).toEqual({ team: { in: ["o'hara's", 'billing'] }, year: { gte: 2025 } })
      expect(await seriousIn(page)).toEqual([])

      await page.getByRole('button', { name: 'As JSON' }).click()
      const json = page.getByLabel('Filter as JSON')
      await json.fill('{"or": [{"team": "shipping"}, {"team": "billing"}]')
      await page.getByRole('button', { name: 'Apply' }).click()
      await page.getByText('The filter is not JSON').waitFor()
      await json.fill('{"or": [{"team": "shipping"}, {"team": "billing"}]}')
      await page.getByRole('button', { name: 'Apply' }).click()
      await hits(page, 2)
      await page.reload()
      await hits(page, 2)
      await page.getByText('This filter says more than conditions can').waitFor()
      await json.fill('{"nowhere": 1}')
      await page.getByRole('button', { name: 'Apply' }).click()
      await page.getByText('No document has the field “nowhere”').waitFor()
      await page.getByRole('button', { name: 'Search without the filter' }).click()
      await hits(page, 3)
    })
  })

  test('two configurations stand side by side, and each hit knows where the other has it', async () => {
    await fillEn()
    await visit(
      site(),
      `/search?domain=${EN}&q=${encodeURIComponent('support team money')}`,
      async (page) => {
        await hits(page, 3)
        await page.getByLabel('Compare with another configuration').check()
        const b = page.getByRole('region', { name: 'Configuration B' })
        await expect.poll(() => b.locator('[data-hit]').count()).toBe(3)
        await b.getByLabel('Find by').selectOption('sparse')
        await b.getByText('ranked by sparse').waitFor()
        await page.getByText(/hits are in both/).waitFor()
        const shown = await page
          .getByRole('region', { name: 'Configuration A' })
          .locator('[data-hit]')
          .count()
        expect(shown).toBe(3)
        await b
          .getByText('only here')
          .or(b.getByText(/Number \d in A/))
          .first()
          .waitFor({ state: 'attached' })
        expect(await seriousIn(page)).toEqual([])
        await page.setViewportSize({ width: 360, height: 800 })
        expect(await overflowOf(page)).toBe(0)
        await page.goBack()
        await b.getByText('ranked by hybrid').waitFor()
        await page.getByLabel('Compare with another configuration').uncheck()
        await expect.poll(() => page.locator('[data-hit]').count()).toBe(3)
      },
    )
  })

  test('SQL that is copied finds what the page shows, by every mode, quotes and Chinese in it', async () => {
    await fillEn()
    const { world } = site()
    const filter = JSON.stringify({ team: { in: ["o'hara's", 'shipping', '退款'] } })
    const asked = { domain: EN, q: "my parcel's “lost” 包裹\\'; --", filter, threshold: '0.01' }
    await visit(site(), `/search?${new URLSearchParams(asked)}`, async (page) => {
      for (const mode of ['dense', 'sparse', 'hybrid']) {
        await page.getByLabel('Find by').selectOption(mode)
        await page.getByText(`ranked by ${mode}`).waitFor()
        const threshold = page.getByLabel('Threshold').and(page.locator('input'))
        await threshold.fill('0.01')
        await threshold.press('Enter')
        const shown = await page.locator('[data-hit]:not(.below)').count()
        await page.getByRole('button', { name: 'curl / SQL' }).click()
        const dialog = page.getByRole('dialog')
        await dialog.getByRole('tab', { name: 'SQL' }).click()
        await dialog.getByRole('region', { name: 'SQL' }).waitFor()
        if (mode === 'hybrid') expect(await seriousIn(page)).toEqual([])
        await page.evaluate(() => navigator.clipboard.writeText(''))
        await dialog.getByRole('button', { name: 'Copy' }).click()
        await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).not.toBe('')
        const sql = await page.evaluate(() => navigator.clipboard.readText())
        // The embedded database runs one statement at a time.
        const select = sql.slice(sql.indexOf('\nselect ')).replace(/;$/, '')
        const rows = await world.running.backends.db.query<{ document_id: string }>(select)
        expect({ mode, found: rows.length }).toEqual({ mode, found: shown })
        if (mode === 'dense') expect(rows[0]).toMatchObject({ document_id: 'parcels/lost' })
        await page.keyboard.press('Escape')
      }
    })
  })

  test('of a thousand hits a few are in the page at first, and more as one asks', async () => {
    await fillEn()
    const { body } = await site().world.call('POST', `/v1/domains/${EN}/search`, { query: 'parcel', k: 1 })
    const [hit] = body.hits as { score: number; text: string }[]
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      ...hit,
      documentId: `d${i}`,
      text: `${i} ${'A passage of some length. '.repeat(40)}`,
      score: 1 - i / 1_000,
      scores: { dense: 1 - i / 1_000 },
    }))
    await visit(site(), `/search?domain=${EN}`, async (page) => {
      await page.route('**/search', (route) => route.fulfill({ json: { ...body, hits: many } }))
      await page.getByLabel('What do you look for?').fill('parcel')
      await page.keyboard.press('Enter')
      await page.getByText('1,000 hits').waitFor()
      const shown = page.locator('[data-hit]')
      const atFirst = await shown.count()
      expect(atFirst).toBeLessThan(50)
      await page.getByRole('button', { name: 'Show more' }).click()
      await expect.poll(() => shown.count()).toBeGreaterThan(atFirst)
      await slide(page, 'End')
      await page.getByText('Below the threshold: 999 hits').waitFor()
    })
  })

  test('an API that is slow, refuses, fails or is away is a sentence and a button', async () => {
    await fillEn()
    await visit(
      site(),
      `/search?domain=${EN}`,
      async (page) => {
        const ask = async (text: string) => {
          await page.getByLabel('What do you look for?').fill(text)
          await page.keyboard.press('Enter')
        }
        const error = (code: string) => ({ error: { code, message: 'English words', hint: 'A hint' } })
        const answers = [
          { status: 429, json: error('OVERLOADED'), headers: { 'retry-after': '1' } },
          { status: 500, json: error('INTERNAL') },
        ]
        await page.route('**/search', async (route) => {
          const next = answers.shift()
          return next === undefined ? route.abort() : route.fulfill(next)
        })
        await ask('one')
        await page.getByText('The server has more requests than it can answer right now.').waitFor()
        const again = page.getByRole('button', { name: 'Try again' })
        expect(await again.isDisabled()).toBe(true)
        await page.clock.fastForward(1_000)
        await again.and(page.locator(':enabled')).click()
        await page.getByText('Something went wrong in the server').waitFor()
        await again.click()
        await page.getByText('The server does not answer.').waitFor()
        await page.unroute('**/search')
        const { held, release } = hold()
        await page.route('**/search', async (route) => {
          await held
          await route.continue()
        })
        await Promise.all([page.waitForRequest('**/search'), again.click()])
        await page.clock.fastForward(3_000)
        await page.getByText('Still waiting').waitFor()
        release()
        await hits(page, 3)
        expect(await page.getByRole('alert').count()).toBe(0)
      },
      { allowFailures: true, before: withClock },
    )
  })

  test('a domain that is not there, one without documents, and a search for nothing are said', async () => {
    await site().world.call('POST', '/v1/domains', { name: 'search-empty', model: 'all-minilm-l6-v2' })
    await visit(
      site(),
      '/search?domain=no-such&q=x',
      async (page) => {
        await page.getByText('UNKNOWN_DOMAIN').waitFor()
        await page.getByLabel('Domain').selectOption('search-empty')
        await page.getByText('The domain has no documents yet.').waitFor()
        await page.getByLabel('What do you look for?').fill(' ')
        await page.getByRole('button', { name: 'Search', exact: true }).click()
        await page.getByText('Type what you look for.').waitFor()
      },
      { allowFailures: true },
    )
  })
}

const hits = (page: Page, count: number) =>
  expect.poll(() => page.locator('[data-hit]').count(), { timeout: 10_000 }).toBe(count)

async function slide(page: Page, key: string) {
  await page.getByRole('slider').focus()
  await page.keyboard.press(key)
}

const filterOf = (page: Page): unknown => JSON.parse(new URL(page.url()).searchParams.get('filter') ?? 'null')
