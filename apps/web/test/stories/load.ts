import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { hold, overflowOf, type Site, seriousIn, visit, withClock } from '../browser.js'

const TEXT = '# Returns\n\nSend it back within ten days.\n\n## Broken on arrival\n\nTake a photo first.'

const FILES = {
  'returns.md': TEXT,
  'deep/hours.txt': 'We answer from nine to five.',
  'deep/broken.pdf': '%PDF-1.4 nothing',
  'photo.png': 'no text',
  '.hidden/x.md': 'nobody sees this',
}

/** A folder with these files, for as long as the story takes. */
async function withFolder(files: Record<string, string>, story: (folder: string) => Promise<void>) {
  const root = await mkdtemp(join(tmpdir(), 'millrace-load-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, 'handbook', name)), { recursive: true })
      await writeFile(join(root, 'handbook', name), text)
    }
    await story(join(root, 'handbook'))
  } finally {
    await rm(root, { recursive: true })
  }
}

/** As a person does it: over the window with the folder, and let go. */
async function dropFolder(page: Page, path: string) {
  const session = await page.context().newCDPSession(page)
  const data = { items: [], files: [path], dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data })
  }
  await session.detach()
}

const idsOf = (page: Page): string => new URL(page.url()).searchParams.get('ingestion') ?? ''

export function loadStories(site: () => Site): void {
  const documentsOf = async (domain: string) => {
    const { body } = await site().world.call('GET', `/v1/domains/${domain}/documents`)
    return body.documents as { id: string; state: string; title: string | null; metadata: object }[]
  }

  /** The address has these ingestions, and they have ended. */
  const ended = async (page: Page, ids: RegExp) => {
    await page.waitForURL((url) => ids.test(url.searchParams.get('ingestion') ?? ''))
    for (const id of idsOf(page).split('-')) await site().world.finished(id)
  }

  test('a folder is dropped for a new domain: how it is divided, and what it would cost', async () => {
    const story = async (page: Page, folder: string) => {
      const open = page.getByRole('button', { name: 'New domain…' })
      await open.or(page.getByLabel('Name')).first().waitFor()
      if (await open.isVisible()) await open.click()
      await page.getByLabel('Model', { exact: true }).selectOption('all-minilm-l6-v2')
      await page.getByLabel('Name').fill('Load EN')
      await page.getByRole('button', { name: 'Create the domain' }).click()
      await page.getByText('Begin with a letter or digit').waitFor()
      await page.getByLabel('Name').fill('load-en')
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'Load into load-en' }).click()
      await page.getByText('Choose files or a folder first.').waitFor()
      await dropFolder(page, folder)
      await page.getByText('Left out, since they are not read: .png (1).').waitFor()
      // The first one would fail, in words.
      await page.getByText('The file is damaged.').waitFor()
      await page.getByRole('button', { name: 'Preview returns.md' }).click()
      await page.getByText('Chunk 1', { exact: true }).waitFor()
      await expect.poll(() => page.locator('[data-chunk="0"]').allTextContents()).toEqual([TEXT])
      await page.getByRole('button', { name: 'Work out the cost' }).click()
      await page.getByTestId('cost').getByText('2 new').waitFor()
      await page.getByText('1 would be refused').waitFor()
      expect(await documentsOf('load-en')).toEqual([])
      expect(await seriousIn(page)).toEqual([])
    }
    // The preview of what cannot be read is a 422.
    const options = { allowFailures: true }
    await withFolder(FILES, (folder) => visit(site(), '/load', (page) => story(page, folder), options))
  })

  test('a folder and lines are loaded as one, each problem with its file, and shown again later', async () => {
    await site().world.call('POST', '/v1/domains', { name: 'load-one', model: 'all-minilm-l6-v2' })
    const lines = '{"id": "n1", "text": "A note about parcels."}\n{"id": "n2", "text": ""}\n'
    const story = async (page: Page, folder: string) => {
      await page.getByTestId('folder').setInputFiles(folder)
      await page
        .getByTestId('files')
        .setInputFiles({ name: 'notes.ndjson', mimeType: '', buffer: Buffer.from(lines) })
      await page.getByText('a document a line', { exact: true }).waitFor()
      await page.getByRole('button', { name: 'Load into load-one' }).click()
      // One request for the lines and one for the files.
      await ended(page, /^\d+-\d+$/)
      await page.getByRole('status').getByText('Done', { exact: true }).waitFor()
      await page.getByText('notes.ndjson:2').waitFor()
      await page.getByText('The text is empty or white space only.').waitFor()
      await page.getByText('deep/broken.pdf').waitFor()
      expect(await seriousIn(page)).toEqual([])
      expect((await documentsOf('load-one')).map(({ id, state }) => `${id} ${state}`)).toEqual([
        'deep/broken.pdf failed',
        'deep/hours.txt ready',
        'n1 ready',
        'returns.md ready',
      ])
      const row = page.getByRole('row', { name: /4 files/ })
      await row.getByText('done').waitFor()
      await page.reload()
      await page.getByRole('status').getByText('Done', { exact: true }).waitFor()
      await page.getByText('The text is empty or white space only.').waitFor()
      await page.getByRole('button', { name: 'Load more' }).click()
      await page.getByRole('link', { name: '4 files' }).waitFor()
    }
    const options = { allowFailures: true }
    const path = '/load?domain=load-one'
    await withFolder(FILES, (folder) => visit(site(), path, (page) => story(page, folder), options))
  })

  test('a text with metadata is pasted, in Chinese, on a phone', async () => {
    await site().world.call('POST', '/v1/domains', { name: 'load-zh', model: 'bge-small-zh-v1.5' })
    await visit(
      site(),
      '/load?domain=load-zh',
      async (page) => {
        await page.getByRole('tab', { name: '文本' }).click()
        await page.getByLabel('标题（可选）').fill('退货')
        await page
          .getByLabel('正文', { exact: true })
          .fill('商品签收后七天内可以申请退货。<img src=x onerror=alert(1)>')
        await page.getByText('ID 和元数据').click()
        await page.getByLabel('元数据（可选）').fill('{"team"}')
        await page.getByText('这不是 JSON 对象').waitFor()
        await page.getByLabel('元数据（可选）').fill('{"team": "客服"}')
        await page.getByLabel('ID（可选）').fill('退货/七天')
        await page.getByText('1 个分块').waitFor()
        expect(await page.locator('main img').count()).toBe(0)
        expect(await overflowOf(page)).toBe(0)
        await page.getByRole('button', { name: '导入到 load-zh' }).click()
        await ended(page, /^\d+$/)
        await page.getByRole('status').getByText('已完成').waitFor()
        expect(await overflowOf(page)).toBe(0)
        expect(await documentsOf('load-zh')).toMatchObject([
          { id: '退货/七天', title: '退货', state: 'ready', metadata: { team: '客服' } },
        ])
        expect(await seriousIn(page)).toEqual([])
      },
      { language: 'zh', width: 360, theme: 'dark' },
    )
  })

  test('closing the tab loses nothing; another one cancels the load, and resumes it', async () => {
    const { world } = site()
    await world.call('POST', '/v1/domains', { name: 'load-long', model: 'all-minilm-l6-v2' })
    const documents = Array.from({ length: 60 }, (_, i) => ({
      id: `d${i}`,
      text: Array.from({ length: 150 }, (_, j) => `Sentence ${j} of document ${i} says something else.`).join(
        ' ',
      ),
    }))
    const { body } = await world.call('POST', '/v1/domains/load-long/documents', { documents })
    const id = String(body.ingestion)
    const stateOf = async () => (await world.call('GET', `/v1/ingestions/${id}`)).body.state
    await visit(site(), `/load?ingestion=${id}`, async (page) => {
      await page.getByRole('status').getByText('Working').waitFor()
      await page.getByRole('progressbar', { name: 'Documents' }).waitFor()
      await page.getByRole('button', { name: 'Cancel' }).click()
      await page.getByRole('status').getByText('Cancelled').waitFor()
      expect(await stateOf()).toBe('cancelled')
    })
    await visit(site(), `/load?domain=load-long&ingestion=${id}`, async (page) => {
      await page.getByRole('button', { name: 'Resume' }).click()
      await page.getByRole('status').getByText('Working').waitFor()
      // The keyboard stays where it was.
      await expect.poll(() => page.evaluate('document.activeElement.textContent.trim()')).toBe('Cancel')
      await page.keyboard.press('Enter')
      await page.getByRole('status').getByText('Cancelled').waitFor()
      expect(await stateOf()).toBe('cancelled')
      await page
        .getByRole('row', { name: new RegExp(`Load ${id}`) })
        .getByText('cancelled')
        .waitFor()
    })
  })

  test('a server that is busy, broken or gone while files are sent, and a stream that breaks', async () => {
    await site().world.call('POST', '/v1/domains', { name: 'load-faults', model: 'all-minilm-l6-v2' })
    await visit(
      site(),
      '/load?domain=load-faults',
      async (page, context) => {
        await context.addInitScript("sessionStorage.setItem('millrace.key', 'abc')")
        await page.reload()
        const faults: ('busy' | 'broken' | 'gone')[] = ['busy', 'broken', 'gone']
        await page.route('**/v1/domains/load-faults/documents', async (route) => {
          const fault = faults.shift()
          if (fault === 'gone') return route.abort()
          if (fault === 'broken') return route.fulfill({ status: 500, body: '<h1>nginx</h1>' })
          if (fault === undefined) return route.continue()
          const error = { code: 'OVERLOADED', message: 'Too much' }
          return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, json: { error } })
        })
        const keys: (string | undefined)[] = []
        await page.route('**/events', (route) => {
          keys.push(route.request().headers().authorization)
          return route.abort()
        })
        await page
          .getByTestId('files')
          .setInputFiles({ name: 'a.md', mimeType: 'text/markdown', buffer: Buffer.from(TEXT) })
        await page.getByRole('button', { name: 'Load into load-faults' }).click()
        await page.getByText('The server is busy or away. It is tried again by itself.').waitFor()
        await page.clock.fastForward(1_000)
        await page.getByText('not an answer of the API (status 500)').waitFor()
        // Not everything is sent: the browser asks before it closes the tab.
        const asked = page.waitForEvent('dialog')
        await page.close({ runBeforeUnload: true })
        const dialog = await asked
        expect(dialog.type()).toBe('beforeunload')
        await dialog.dismiss()
        expect(await seriousIn(page)).toEqual([])
        const away = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/documents'))
        await page.getByRole('button', { name: 'Try again' }).click()
        await away
        await page.getByText('The server is busy or away. It is tried again by itself.').waitFor()
        await page.clock.fastForward(1_000)
        // Gone, tried again by itself, there; told by asking, since there is no stream.
        await ended(page, /^\d+$/)
        await page.clock.fastForward(4_000)
        await page.getByRole('status').getByText('Done', { exact: true }).waitFor()
        expect(keys).toContain('Bearer abc')
        expect((await documentsOf('load-faults')).map(({ state }) => state)).toEqual(['ready'])
        await page.goto('/load?ingestion=999999')
        await page.getByText('There is no such load').waitFor()
        const { held, release } = hold()
        await page.route('**/v1/domains', async (route) => {
          await held
          await route.abort()
        })
        await Promise.all([page.waitForRequest('**/v1/domains'), page.goto('/load')])
        await page.clock.fastForward(3_000)
        await page.getByText('Still waiting').waitFor()
        release()
        await page.getByText('The server does not answer.').waitFor()
        await page.unroute('**/v1/domains')
        await page.getByRole('button', { name: 'Try again' }).click()
        await page.getByLabel('Domain', { exact: true }).waitFor()
      },
      { allowFailures: true, before: withClock },
    )
  })
}
