/** What a search looks like: its hits with a threshold, a passage in its document, why not, SQL, two side by side. */
export function searchScenes(language) {
  const domain = `support-${language}`
  const q = language === 'en' ? 'my parcel never came' : '快递一直没收到'
  const words =
    language === 'en'
      ? { open: 'In its document', why: 'Why not', id: 'Document id', code: 'curl / SQL' }
      : { open: '查看原文', why: '为什么没有', id: '文档 ID', code: 'curl / SQL' }
  const threshold = language === 'en' ? '0.45' : '0.6'
  const address = (more) => `/search?${new URLSearchParams({ domain, q, threshold, ...more })}`
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
        await page.getByLabel(words.id).fill('delete-account.md')
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
