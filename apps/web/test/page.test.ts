import { afterAll, beforeAll, describe } from 'vitest'
import { hasBrowser, openSite, type Site } from './browser.js'
import { shellStories } from './stories/shell.js'

/** One server and one browser for all: each story has a file in stories/, and domains of its own. */
const STORIES = { shell: shellStories }

describe.skipIf(!hasBrowser())('the web page', () => {
  let site: Site
  beforeAll(async () => {
    site = await openSite()
  })
  afterAll(() => site?.close())
  for (const [name, stories] of Object.entries(STORIES)) describe(name, () => stories(() => site))
})
