import { expect, test } from 'vitest'
import type { World } from '../../../../test/support/world.js'
import { type Site, seriousIn, visit } from '../browser.js'

const DOCUMENTS = [
  { id: 'refunds', text: 'A refund takes ten days to reach your card.' },
  { id: 'parcels', text: 'If the courier lost your parcel we send another one.' },
  { id: 'hours', text: 'The shop opens at nine and closes at five.' },
]

async function makeDomain(world: World, name: string): Promise<void> {
  await world.call('POST', '/v1/domains', { name, model: 'all-minilm-l6-v2' })
  const { body } = await world.call('POST', `/v1/domains/${name}/documents`, { documents: DOCUMENTS })
  await world.finished(String(body.ingestion))
}

export function recallStories(site: () => Site): void {
  test('a question is added, the set is run, a miss says what came instead, two runs are compared', async () => {
    const { world } = site()
    await makeDomain(world, 'recall-en')
    await visit(site(), '/recall?domain=recall-en', async (page) => {
      await page.getByText('The set is empty.').waitFor()
      const add = async (question: string, document: string) => {
        await page.getByLabel('Question', { exact: true }).fill(question)
        await page.getByLabel('Document that answers it').fill(document)
        await page.getByRole('button', { name: 'Add', exact: true }).click()
      }
      await add('when do I get my money back on the card', 'refunds')
      await page.getByText('1 question', { exact: true }).waitFor()
      await add('when does the shop open', 'parcels')
      await page.getByText('2 questions', { exact: true }).waitFor()
      await add('', 'x')
      await page.getByText('Both are needed.').waitFor()
      const run = page.getByRole('button', { name: 'Run', exact: true })
      await page.getByLabel('Hits that count (K)').fill('1')
      await run.click()
      await page.getByRole('img', { name: /^Questions by grade:.*Miss 1/ }).waitFor()
      await page.getByRole('region', { name: 'Misses' }).getByText('when does the shop open').click()
      const { body } = await world.call('GET', '/v1/domains/recall-en/golden/runs')
      expect((body.runs as unknown[]).length).toBe(1)
      await page.getByText('What came instead').waitFor()
      await page.getByRole('list').getByRole('link', { name: 'hours' }).waitFor()
      await run.click()
      await page.getByText('2 questions were asked in both').waitFor()
      expect(await seriousIn(page)).toEqual([])
    })
  })

  test('a level is moved by key and by pointer, and saved', async () => {
    const { world } = site()
    await makeDomain(world, 'recall-lines')
    await visit(
      site(),
      '/recall?domain=recall-lines',
      async (page) => {
        const line = page.getByRole('slider').first()
        await line.focus()
        const before = Number(await line.getAttribute('aria-valuenow'))
        await page.keyboard.press('ArrowLeft')
        await page.keyboard.press('ArrowLeft')
        await expect
          .poll(() => line.getAttribute('aria-valuenow'))
          .toBe(String(Number((before - 0.02).toFixed(2))))
        // Hovering waits until the line stands still: what is above it is loaded by then.
        await page.getByText('还没有运行过。').waitFor()
        await line.hover()
        const box = await line.boundingBox()
        if (box === null) throw new Error('The line is not shown')
        await page.mouse.down()
        await page.mouse.move(box.x + box.width / 2 - 60, box.y + box.height / 2, { steps: 4 })
        await page.mouse.up()
        const moved = Number(await line.getAttribute('aria-valuenow'))
        expect(moved).toBeLessThan(before - 0.02)
        await page.getByRole('button', { name: '设置阈值' }).click()
        expect(await seriousIn(page)).toEqual([])
        await page.getByRole('button', { name: '保存阈值和等级' }).click()
        await page.getByText('已保存，搜索即刻生效。').waitFor()
        const { body } = await world.call('GET', '/v1/domains/recall-lines')
        const levels = body.levels as { above: number | null }[]
        expect(levels.map(({ above }) => above)).toContain(moved)
        expect(typeof body.threshold).toBe('number')
      },
      { language: 'zh' },
    )
  })
}
