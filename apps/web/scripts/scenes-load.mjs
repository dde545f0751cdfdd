// What the Load page shows on the way: files with a preview and their cost, a text, a load with a file that fails.
import { fileURLToPath } from 'node:url'

const samples = (language) => fileURLToPath(new URL(`../../../samples/support-${language}`, import.meta.url))
const TEXTS = {
  en: '# Returns\n\nSend it back within thirty days.\n\n## Broken on arrival\n\nTake a photo first, then write to us.',
  zh: '# 退货\n\n签收后三十天内可以退货。\n\n## 到货时已损坏\n\n请先拍照，再联系客服。',
}

const chooseFolder = (language) => async (page) => {
  await page.getByTestId('folder').setInputFiles(samples(language))
  await page.locator('[data-chunk="0"]').waitFor()
  await page.locator('section[aria-labelledby="load-cost"]').getByRole('button').click()
  await page.getByTestId('cost').waitFor()
}

const typeText = (language) => async (page) => {
  await page.getByRole('tab').nth(1).click()
  await page.locator('textarea').first().fill(TEXTS[language])
  await page.locator('[data-chunk="0"]').first().waitFor()
}

const loadFolder = (language) => async (page) => {
  await page.getByTestId('folder').setInputFiles(samples(language))
  const scan = { name: 'scan.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4 cut off') }
  await page.getByTestId('files').setInputFiles(scan)
  await page.getByRole('button', { name: new RegExp(`support-${language}$`) }).click()
  await page.locator('#load-reasons').waitFor()
  await page.getByTestId('progress').getByRole('link').first().waitFor()
}

export const loadScenes = (language) => {
  const path = `/load?domain=support-${language}`
  return {
    'load-files': { path, act: chooseFolder(language) },
    'load-text': { path, act: typeText(language) },
    'load-progress': { path, act: loadFolder(language) },
  }
}
