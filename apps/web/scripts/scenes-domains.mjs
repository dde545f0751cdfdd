/** Domains and documents: a new one with a part open, its documents, its settings, one document, the question before it goes. */
export function domainScenes(language) {
  const domain = `support-${language}`
  const words =
    language === 'en'
      ? { part: 'Chunking', remove: `Delete ${domain}` }
      : { part: '切分', remove: `删除 ${domain}` }
  const rows = (page) => page.getByTestId('documents').getByRole('row').first().waitFor()
  return {
    'domains-new': {
      path: '/domains?new=1',
      act: async (page) => {
        await page.getByText(words.part, { exact: true }).click()
        await page.locator('details[open] select').first().waitFor()
      },
    },
    'domain-documents': { path: `/domains/${domain}`, act: rows },
    'domain-settings': {
      path: `/domains/${domain}?tab=settings`,
      act: (page) => page.locator('#fixed').waitFor(),
    },
    'domain-delete': {
      path: `/domains/${domain}?tab=settings`,
      act: async (page) => {
        await page.getByRole('button', { name: words.remove }).click()
        await page.getByRole('alertdialog').waitFor()
      },
    },
    document: {
      path: `/domains/${domain}/document?id=${language === 'en' ? 'accessibility.md' : 'payment-failed.md'}&chunk=0`,
      act: (page) => page.locator('[data-chunk="0"]').waitFor(),
    },
  }
}
