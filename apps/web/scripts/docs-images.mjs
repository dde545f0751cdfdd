// The four pictures of docs/web.md, from a running demo (MILLRACE_URL): node apps/web/scripts/docs-images.mjs
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const url = process.env.MILLRACE_URL ?? 'http://127.0.0.1:8080'
const out = fileURLToPath(new URL('../../../docs/images/', import.meta.url))
const QUESTIONS = [
  ['my parcel never came', 'lost-parcel.md'],
  ['Why does my bank keep rejecting the purchase at checkout?', 'payment-declined.md'],
  ['The jacket is too tight, could I have it one number larger?', 'exchange-item.md'],
  ['When will the amount show up on my credit card?', 'refund-times.md'],
  ['somebody else logged into my account', 'locked-account.md'],
  ['we are a company, can we buy on account', 'business-accounts.md'],
]

await mkdir(out, { recursive: true })
const { documents } = await (await fetch(`${url}/v1/domains/support-en/documents?limit=1000`)).json()
const there = new Set(documents.map(({ id }) => id))
const post = (path, body) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
await post('/v1/domains/support-en/golden', {
  questions: QUESTIONS.filter(([, id]) => there.has(id)).map(([question, documentId]) => ({
    question,
    documentId,
  })),
})
await post('/v1/domains/support-en/golden/run', { mode: 'hybrid' })
await post('/v1/domains/support-en/golden/run', {})

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
const context = await browser.newContext({
  baseURL: url,
  locale: 'en-GB',
  colorScheme: 'light',
  viewport: { width: 1_160, height: 860 },
})
const page = await context.newPage()
const shoot = (name) => page.screenshot({ path: `${out}${name}.png` })

await page.goto('/')
await page.getByLabel('Domain').selectOption('support-en')
await page.getByRole('button', { name: 'A paraphrase' }).click()
await page.getByTestId('similarity').waitFor()
await page.waitForTimeout(800)
await page.evaluate('scrollTo(0, 150)')
await shoot('compare')

await page.goto('/search?domain=support-en&q=my+parcel+never+came&threshold=0.42')
await page.locator('[data-hit]').first().waitFor()
await page.waitForTimeout(800)
await shoot('search')

await page.goto('/recall?domain=support-en')
const lines = page.getByRole('slider').first()
await lines.waitFor()
await page.waitForTimeout(1_000)
await lines.scrollIntoViewIfNeeded()
await page.evaluate('scrollBy(0, 200)')
await page.waitForTimeout(500)
await shoot('recall')

await page.goto('/system')
await page.getByRole('heading', { name: 'Queues' }).waitFor()
await page.waitForTimeout(500)
await shoot('system')
await browser.close()
