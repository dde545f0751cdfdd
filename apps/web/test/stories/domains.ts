import { expect, test } from 'vitest'
import { until } from '../../../../test/support/world.js'
import { hold, overflowOf, type Site, seriousIn, visit, withClock } from '../browser.js'

/** Domains and documents, from click to database and back. */
export function domainsStories(site: () => Site): void {
  const load = async (name: string, documents: readonly object[]) => {
    const { world } = site()
    const { body } = await world.call('POST', `/v1/domains/${name}/documents`, { documents })
    await world.finished(String(body.ingestion))
  }
  const settingsOf = async (name: string) => (await site().world.call('GET', `/v1/domains/${name}`)).body

  test('a domain is created with what was chosen, and what is wrong is said at its field', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'domains-taken', model: 'all-minilm-l6-v2' })
    await visit(
      site(),
      '/domains',
      async (page) => {
        await page.getByRole('link', { name: 'Create a domain' }).click()
        const name = page.getByRole('textbox', { name: 'Name', exact: true })
        expect(await page.getByRole('radio', { name: 'all-minilm-l6-v2' }).isChecked()).toBe(true)
        await page.getByRole('radio', { name: 'bge-small-zh-v1.5' }).check()
        await page.getByText('For Chinese').waitFor()
        const go = page.getByRole('button', { name: 'Create the domain' })
        await name.fill('Not A Name')
        await go.click()
        await page.getByRole('alert').getByText('Begin with a small letter or digit').waitFor()
        expect(await name.getAttribute('aria-invalid')).toBe('true')
        await name.fill('domains-taken')
        await go.click()
        await page.getByText('There is a domain "domains-taken" already').waitFor()
        await name.fill('domains-new')
        await page.getByRole('button', { name: 'Take 0.5' }).click()
        await page.getByText('Chunking', { exact: true }).click()
        await page.getByLabel('How texts are divided').selectOption('markdown')
        await page.getByLabel('Size, in tokens').fill('600')
        await go.click()
        await page.getByText('Write a whole number from 32 to 512.').waitFor()
        await page.getByLabel('Size, in tokens').fill('128')
        await page.getByText('Cleaning', { exact: true }).click()
        await page.getByLabel('HTML tags').uncheck()
        expect(await seriousIn(page)).toEqual([])
        await go.click()
        await page.waitForURL('**/domains/domains-new')
        await page.getByText('There are no documents in this domain yet.').waitFor()
        expect(await settingsOf('domains-new')).toMatchObject({
          model: 'bge-small-zh-v1.5',
          threshold: 0.5,
          chunking: { kind: 'markdown', size: 128, context: 'headings' },
          cleaning: { html: false, tables: true },
          storage: 'full',
        })
      },
      { allowFailures: true },
    )
  })

  test('thresholds, levels and search are set up; what decides vectors is shown as fixed', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'domains-setup', model: 'all-minilm-l6-v2' })
    await visit(
      site(),
      '/domains/domains-setup?tab=settings',
      async (page) => {
        const threshold = page.getByLabel('阈值', { exact: true })
        await threshold.fill('3')
        await page.keyboard.press('Enter')
        await page.getByText('请填写 -1 到 1 之间的数。').waitFor()
        await expect.poll(() => threshold.evaluate((field) => field.matches(':focus'))).toBe(true)
        await threshold.fill('')
        await threshold.pressSequentially('-0.5')
        expect(await threshold.inputValue()).toBe('-0.5')
        await threshold.fill('0.35')
        await page.getByLabel('中文名称').first().fill('几乎一样')
        await page.getByLabel('高于').nth(1).fill('0.9')
        await page.getByLabel('方式').selectOption('hybrid')
        await page.getByLabel('搜索时查看的数量（efSearch）').fill('300')
        const save = page.getByRole('button', { name: '保存' })
        await save.click()
        await page.getByText('请填写小于 0.8（上一等级）的数。').waitFor()
        await page.getByLabel('高于').nth(1).fill('0.45')
        await save.click()
        await page.getByText('已保存。').waitFor()
        const { levels, ...rest } = await settingsOf('domains-setup')
        expect(rest).toMatchObject({ threshold: 0.35, search: { mode: 'hybrid' }, index: { efSearch: 300 } })
        expect(levels).toMatchObject([
          { above: 0.8, name: { zh: '几乎一样', en: 'nearly the same' } },
          { above: 0.45 },
          { above: null },
        ])
        await page.getByRole('heading', { name: '固定的设置' }).waitFor()
        await page.getByText('按结构 · 256 个词元').waitFor()
        expect(await seriousIn(page)).toEqual([])
      },
      { language: 'zh', allowFailures: true, theme: 'dark' },
    )
  })

  test('documents are browsed by state; one is opened, its chunks told, ingested again and deleted', async () => {
    const { world } = site()
    const name = 'domains-documents'
    await world.call('POST', '/v1/domains', {
      name,
      model: 'all-minilm-l6-v2',
      chunking: { kind: 'markdown', size: 48 },
    })
    const markup = '<img src=x onerror="document.title=\'broken\'">'
    const text = `# Returns\n\nSend it back within ten days. ${'Keep the box. '.repeat(12)}\n\n## Broken ${markup}\n\n${'Take a photo first. '.repeat(12)}`
    await load(name, [
      { id: 'a/returns?', title: 'Returns', text, metadata: { lang: 'en' } },
      { id: 'b', text: 'A short text about parcels.' },
      { id: 'c', url: 'http://127.0.0.1:1/nothing' },
    ])
    await visit(site(), `/domains/${name}`, async (page) => {
      const rows = page.getByTestId('documents').getByRole('row')
      await expect.poll(() => rows.count()).toBe(3)
      expect(await page.getByRole('table').getAttribute('aria-rowcount')).toBe('4')
      await page.getByRole('link', { name: /^failed 1/ }).click()
      await expect.poll(() => rows.count()).toBe(1)
      await page.getByText('not on the public internet').waitFor()
      expect(await seriousIn(page)).toEqual([])
      await page.getByRole('link', { name: /^All 3/ }).click()
      await page.getByRole('link', { name: 'Returns' }).click()
      await page.getByRole('heading', { level: 1, name: 'Returns' }).waitFor()
      const third = page.getByRole('button', { name: /^Chunk 3 of/ })
      await page.getByRole('button', { name: /^Chunk 1 of/ }).focus()
      await page.keyboard.press('ArrowRight')
      await page.keyboard.press('ArrowRight')
      expect(await third.getAttribute('aria-pressed')).toBe('true')
      await page.getByText(/^Under Returns/).waitFor()
      expect(await page.locator('main img').count()).toBe(0)
      expect(await page.title()).toBe('Document · Millrace')
      expect(await seriousIn(page)).toEqual([])
      await page.getByRole('button', { name: 'Ingest again' }).click()
      await page.getByText('Unchanged, nothing to do').waitFor()
      await page.getByRole('button', { name: 'Delete the document' }).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Delete the document' }).click()
      await page.waitForURL(`**/domains/${name}`)
      await expect.poll(() => rows.count()).toBe(2)
    })
    expect(await settingsOf(name)).toMatchObject({ documents: { total: 2 } })
  })

  test('a failed file says why, and runs again as it was sent; its file can be had', async () => {
    const { world } = site()
    const name = 'domains-files'
    await world.call('POST', '/v1/domains', { name, model: 'all-minilm-l6-v2' })
    const form = new FormData()
    form.append('metadata', JSON.stringify({ lang: 'zh' }))
    form.append('file', new Blob(['%PDF-1.4 nothing'], { type: 'application/pdf' }), '坏.pdf')
    form.append('file', new Blob(['# Fine\n\nA file that can be read.']), 'fine.md')
    const sent = await fetch(`${world.url}/v1/domains/${name}/documents`, { method: 'POST', body: form })
    await world.finished(((await sent.json()) as { ingestion: string }).ingestion)
    const document = async (id: string) =>
      (await world.call('GET', `/v1/domains/${name}/documents/${encodeURIComponent(id)}`)).body
    expect(await document('坏.pdf')).toMatchObject({ state: 'failed', revision: 1 })
    await visit(
      site(),
      `/domains/${name}/document?id=${encodeURIComponent('坏.pdf')}`,
      async (page) => {
        await page.getByText('失败原因').waitFor()
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.getByRole('link', { name: '下载文件' }).click(),
        ])
        expect(download.suggestedFilename()).toBe('坏.pdf')
        await page.getByRole('button', { name: '重新导入' }).click()
        await page.getByText('已重新提交').waitFor()
        await until(async () => {
          const { state, revision } = await document('坏.pdf')
          return state === 'failed' && revision === 2 ? true : undefined
        })
        await page.goto(`/domains/${name}/document?id=fine.md`)
        await page.getByRole('button', { name: '重新导入' }).click()
        await page.getByText('内容没有变化').waitFor()
        expect(await seriousIn(page)).toEqual([])
        expect(await overflowOf(page)).toBe(0)
      },
      { language: 'zh', width: 360 },
    )
    expect(await document('坏.pdf')).toMatchObject({
      metadata: { lang: 'zh' },
      error: { code: 'FILE_BROKEN' },
    })
    expect(await document('fine.md')).toMatchObject({ revision: 1, title: 'Fine' })
  })

  test('a domain is deleted by who types its name', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'domains-gone', model: 'external', dims: 2 })
    await visit(site(), '/domains/domains-gone?tab=settings', async (page) => {
      await page.getByRole('button', { name: 'Delete domains-gone' }).click()
      const dialog = page.getByRole('alertdialog')
      const confirm = dialog.getByRole('button', { name: 'Delete domains-gone' })
      expect(await confirm.isDisabled()).toBe(true)
      await dialog.getByLabel('Type the name of the domain').fill('domains-gone')
      await confirm.click()
      await page.waitForURL(/\/domains$/)
      await page.getByText('domains-gone was deleted.').waitFor()
    })
    expect((await world.call('GET', '/v1/domains/domains-gone')).status).toBe(404)
    await visit(
      site(),
      '/domains/domains-gone',
      async (page) => {
        await page.getByText('没有名为“domains-gone”的知识库').waitFor()
        expect(await page.getByRole('link', { name: '导入文档' }).count()).toBe(0)
        expect(await seriousIn(page)).toEqual([])
        await page.getByRole('link', { name: '全部知识库' }).click()
        await page.waitForURL(/\/domains$/)
      },
      { language: 'zh', allowFailures: true },
    )
  })

  test('a list that is long is loaded as one scrolls, and a server in trouble is said in a sentence', async () => {
    const { world } = site()
    const name = 'domains-long'
    await world.call('POST', '/v1/domains', { name, model: 'external', dims: 2 })
    const documents = Array.from({ length: 700 }, (_, i) => ({
      id: `n${String(i).padStart(4, '0')}`,
      chunks: [{ text: `Number ${i}`, vector: [1, i] }],
    }))
    await load(name, documents)
    await visit(
      site(),
      `/domains/${name}`,
      async (page) => {
        const { held, release } = hold()
        let fault: 'busy' | 'broken' | 'gone' | 'slow' | 'none' = 'none'
        await page.route(`**/v1/domains/${name}/documents?*`, async (route) => {
          if (fault === 'gone') return route.abort()
          if (fault === 'slow') await held
          if (fault === 'busy') {
            const error = { code: 'OVERLOADED', message: 'Too much' }
            return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, json: { error } })
          }
          if (fault === 'broken') return route.fulfill({ status: 500, body: '<h1>nginx</h1>' })
          return route.continue()
        })
        const box = page.getByTestId('documents')
        await box.focus()
        await expect
          .poll(
            async () => {
              await page.keyboard.press('End')
              return page.getByRole('link', { name: 'n0699' }).isVisible()
            },
            { timeout: 15_000, interval: 100 },
          )
          .toBe(true)
        await page.getByText('all 700 loaded').waitFor()
        expect(await box.getByRole('row').count()).toBeLessThan(60)
        const refresh = page.getByRole('button', { name: 'Refresh' })
        const retry = page.getByRole('button', { name: 'Try again' })
        fault = 'busy'
        await refresh.click()
        await page.getByText('more requests than it can answer').waitFor()
        expect(await retry.isDisabled()).toBe(true)
        fault = 'broken'
        await refresh.click()
        await page.getByText('not an answer of the API (status 500)').waitFor()
        fault = 'gone'
        await refresh.click()
        await page.getByText('The server does not answer.').waitFor()
        fault = 'slow'
        await page.goto('/domains')
        await Promise.all([
          page.waitForRequest(`**/v1/domains/${name}/documents?*`),
          page.goto(`/domains/${name}`),
        ])
        await page.clock.fastForward(3_000)
        await page.getByText('Still waiting').waitFor()
        release()
        await page.getByRole('link', { name: 'n0000' }).waitFor()
      },
      { allowFailures: true, before: withClock },
    )
  })
}
