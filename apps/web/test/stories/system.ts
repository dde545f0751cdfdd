import { expect, test } from 'vitest'
import { type Site, seriousIn, visit, withClock } from '../browser.js'

export function systemStories(site: () => Site): void {
  test('queues, workers, models and what failed, with the way to the document', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'system-en', model: 'all-minilm-l6-v2' })
    const form = new FormData()
    form.append('file', new Blob(['%PDF-1.7 broken'], { type: 'application/pdf' }), 'broken.pdf')
    const sent = await fetch(`${world.url}/v1/domains/system-en/documents`, { method: 'POST', body: form })
    const { ingestion } = (await sent.json()) as { ingestion: string }
    await world.finished(ingestion)
    await visit(site(), '/system', async (page) => {
      await page.getByRole('heading', { name: 'Queues' }).waitFor()
      await page.getByRole('cell', { name: 'embed: compute vectors' }).waitFor()
      await page.getByText('nothing to do').waitFor()
      const failed = page.getByRole('region', { name: 'Failed documents' })
      await failed.getByRole('link', { name: 'broken.pdf', exact: true }).waitFor()
      expect(await seriousIn(page)).toEqual([])
      await failed.getByRole('link', { name: 'broken.pdf', exact: true }).click()
      await page.waitForURL('**/domains/system-en/document?id=broken.pdf')
    })
  })

  test('a status that does not come is said, and asked again by itself', async () => {
    await visit(
      site(),
      '/system',
      async (page) => {
        await page.getByText('服务器内部出错（状态 500）').waitFor()
        await page.unroute('**/v1/status')
        await page.clock.fastForward(5_000)
        await page.getByRole('heading', { name: '工作进程' }).waitFor()
      },
      {
        language: 'zh',
        allowFailures: true,
        before: async (page) => {
          await withClock(page)
          await page.route('**/v1/status', (route) =>
            route.fulfill({ status: 500, json: { error: { code: 'INTERNAL', message: 'broken' } } }),
          )
        },
      },
    )
  })
}
