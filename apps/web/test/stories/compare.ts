import { expect, test } from 'vitest'
import { hold, type Site, seriousIn, visit, withClock } from '../browser.js'

const ZH = { a: '我忘记密码了，登录不上', b: '怎么重新设置登录密码？' }

export function compareStories(site: () => Site): void {
  test('two texts are compared with Ctrl+Enter, by a domain, and the words they share are marked', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'compare-en', model: 'all-minilm-l6-v2' })
    await visit(site(), '/', async (page) => {
      await page.getByLabel('Domain').selectOption('compare-en')
      await page.getByRole('textbox', { name: 'Text A' }).fill('I forgot my password')
      await page.getByRole('textbox', { name: 'Text B' }).fill('How do I reset my password?')
      await page.keyboard.press('Control+Enter')
      const shown = Number(await page.getByTestId('similarity').textContent())
      const { body } = await world.call('POST', '/similarity', {
        text_a: 'I forgot my password',
        text_b: 'How do I reset my password?',
        domain: 'compare-en',
      })
      expect(shown).toBe(body.similarity)
      await page.getByRole('meter', { name: `Similarity ${shown.toFixed(4)}` }).waitFor()
      // In both texts.
      await expect.poll(() => page.locator('mark', { hasText: /^password$/ }).count()).toBe(2)
      expect(await seriousIn(page)).toEqual([])
    })
  })

  test('the history is kept in the browser: search, show again, delete one, export, delete all', async () => {
    await visit(
      site(),
      '/',
      async (page) => {
        await page.getByRole('button', { name: '换种说法' }).click()
        await page.getByTestId('similarity').waitFor()
        await page.getByRole('button', { name: '毫不相关' }).click()
        const entries = page.getByRole('listitem')
        await expect.poll(() => entries.count()).toBe(2)
        await page.reload()
        await expect.poll(() => entries.count()).toBe(2)
        await page.getByLabel('搜索历史记录').fill('节假日')
        await expect.poll(() => entries.count()).toBe(1)
        await page.getByLabel('搜索历史记录').fill('')
        await page.getByRole('button', { name: new RegExp(`^再看一次：${ZH.a} / ${ZH.b}`) }).click()
        await page.getByTestId('similarity').waitFor()
        expect(await page.getByRole('textbox', { name: '文本 B' }).inputValue()).toBe(ZH.b)
        // The same pair once, at its latest.
        expect(await entries.count()).toBe(2)
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.getByRole('button', { name: '导出' }).click(),
        ])
        expect(download.suggestedFilename()).toBe('millrace-comparisons.json')
        await page
          .getByRole('button', { name: /^删除：/ })
          .first()
          .click()
        await expect.poll(() => entries.count()).toBe(1)
        await page.getByRole('button', { name: '全部删除' }).click()
        expect(await seriousIn(page)).toEqual([])
        await page.getByRole('alertdialog').getByRole('button', { name: '全部删除' }).click()
        await page.getByText('对比过的内容会保存在这里').waitFor()
        await page.reload()
        await page.getByText('对比过的内容会保存在这里').waitFor()
      },
      { language: 'zh' },
    )
  })

  test('an empty text is said where it is missing', async () => {
    await visit(site(), '/', async (page) => {
      await page.getByRole('textbox', { name: 'Text A' }).fill('something')
      await page.getByRole('button', { name: 'Compare', exact: true }).click()
      await page.getByText('Text B is empty.').waitFor()
      await expect
        .poll(() =>
          page
            .getByRole('textbox', { name: 'Text B' })
            .evaluate((node) => node === node.ownerDocument.activeElement),
        )
        .toBe(true)
    })
  })

  test('markup in a text is shown as text and runs nothing', async () => {
    const markup = '<img src=x onerror="document.title=\'broken\'"><b>bold password</b>'
    await visit(site(), '/', async (page) => {
      await page.getByRole('textbox', { name: 'Text A' }).fill(markup)
      await page.getByRole('textbox', { name: 'Text B' }).fill('bold password')
      await page.keyboard.press('Control+Enter')
      await page.getByTestId('similarity').waitFor()
      expect(await page.locator('main img, main b').count()).toBe(0)
      expect(await page.title()).toBe('Compare · Millrace')
    })
  })

  test('a server that is slow, busy, broken or gone is said in a sentence, and tried again', async () => {
    await visit(
      site(),
      '/',
      async (page) => {
        const { held, release } = hold()
        let fault: 'slow' | 'busy' | 'broken' | 'gone' | 'none' = 'busy'
        await page.route('**/similarity', async (route) => {
          if (fault === 'gone') return route.abort()
          if (fault === 'slow') await held
          if (fault === 'busy') {
            const error = { code: 'OVERLOADED', message: 'Too much' }
            return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, json: { error } })
          }
          if (fault === 'broken') return route.fulfill({ status: 500, body: '<h1>nginx</h1>' })
          return route.continue()
        })
        await page.getByRole('textbox', { name: 'Text A' }).fill('one')
        await page.getByRole('textbox', { name: 'Text B' }).fill('two')
        const go = page.getByRole('button', { name: 'Compare', exact: true })
        const retry = page.getByRole('button', { name: 'Try again' })
        await go.click()
        await page.getByText('more requests than it can answer').waitFor()
        expect(await retry.isDisabled()).toBe(true)
        await page.clock.fastForward(1_000)
        await expect.poll(() => retry.isDisabled()).toBe(false)
        fault = 'broken'
        await retry.click()
        await page.getByText('not an answer of the API (status 500)').waitFor()
        fault = 'gone'
        await retry.click()
        await page.getByText('The server does not answer.').waitFor()
        expect(await seriousIn(page)).toEqual([])
        fault = 'slow'
        await Promise.all([page.waitForRequest('**/similarity'), retry.click()])
        await page.clock.fastForward(3_000)
        await page.getByText('Still waiting').waitFor()
        release()
        await page.getByTestId('similarity').waitFor()
        fault = 'none'
        await go.click()
        await page.getByTestId('similarity').waitFor()
      },
      { allowFailures: true, before: withClock },
    )
  })
}
