import { loadScenes } from './scenes-load.mjs'

// What the screenshots show: an address, and what a person does there first. On the demo's domains.
const pages = (language) => ({
  compare: { path: '/' },
  search: { path: '/search' },
  ...searches(language),
  load: { path: '/load' },
  ...loadScenes(language),
  domains: { path: '/domains' },
  recall: { path: '/recall' },
  system: { path: '/system' },
})

/** What a search looks like: its hits with a threshold, a passage in its document, why not, SQL, two side by side. */
function searches(language) {
  const domain = `support-${language}`
  const q = language === 'en' ? 'my parcel never came' : '快递一直没收到'
  const words =
    language === 'en'
      ? { open: 'In its document', why: 'Why not', id: 'Document id', code: 'curl / SQL' }
      : { open: '查看原文', why: '为什么没有', id: '文档 ID', code: 'curl / SQL' }
  const address = (more) => `/search?${new URLSearchParams({ domain, q, threshold: '0.45', ...more })}`
  const found = (page) => page.locator('[data-hit]').first().waitFor()
  const press = (name) => async (page) => {
    await found(page)
    await page.getByRole('button', { name }).first().click()
  }
  return {
    'search-hits': { path: address({ filter: '{"path":{"exists":true}}' }), act: found },
    'search-passage': { path: address({}), act: press(words.open) },
    'search-why': {
      path: address({}),
      act: async (page) => {
        await press(words.why)(page)
        await page.getByLabel(words.id).fill('privacy-overview.md')
        await page.keyboard.press('Enter')
        await page.locator('.sentence').waitFor()
      },
    },
    'search-sql': {
      path: address({ mode: 'hybrid' }),
      act: async (page) => {
        await press(words.code)(page)
        await page.getByRole('tab', { name: 'SQL' }).click()
        await page.getByRole('region', { name: 'SQL' }).waitFor()
      },
    },
    'search-two': {
      path: address({ compare: '1', 'b.mode': 'hybrid', 'b.threshold': '0.3' }),
      act: async (page) => {
        await found(page)
        await page.locator('section').nth(1).locator('[data-hit]').first().waitFor()
      },
    },
  }
}

export const scenes = { en: pages('en'), zh: pages('zh') }
